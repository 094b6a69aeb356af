"""Consent over HTTP: written down with its evidence, and looked up; test keys have their own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifyq.cli.tenants import make_key
from notifyq.domain.consent import Kind, Source
from notifyq.domain.model import Channel
from notifyq.entrypoints.api.consents import READ, WRITE
from notifyq.entrypoints.api.openapi import document
from notifyq.store import db, ledger
from tests.entrypoints.test_openapi import validator
from tests.store import helpers as h

PHONE, MAIL = "+14155550123", "ann@example.org"


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def record(seconds: float = 30, **changes: Any) -> dict[str, Any]:
    whole = {
        "phone": PHONE,
        "wording": "Yes, text me offers.",
        "wording_version": "v3",
        "medium": "web",
        "at": ago(seconds),
        "ip": "192.0.2.1",
        "user_agent": "Firefox",
        "page": "https://a.example/join",
        "campaign": "C1",
        "identity": "customer 42",
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def opt_out(**changes: Any) -> dict[str, Any]:
    said = {"kind": "opt_out", "wording": "no more, please", "medium": "voice"}
    return record(**{"wording_version": None} | said | changes)


@pytest.fixture
async def producer(keys: Any, open_client: Any, database_url: str) -> Any:
    key = await make_key(database_url, tenant="acme", test=False, scopes=(READ, WRITE), by="test")
    return await open_client(key=key)


@pytest.fixture
async def tester(keys: Any, open_client: Any, database_url: str) -> Any:
    key = await make_key(database_url, tenant="acme", test=True, scopes=(READ, WRITE), by="test")
    return await open_client(key=key)


async def wrote(client: Any, body: dict[str, Any]) -> dict[str, Any]:
    validator("ConsentBody").validate(body)
    answer = await client.post("/v1/consents", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    validator("ConsentAnswer").validate(found)
    return found


async def looked_up(client: Any, *addresses: str) -> list[dict[str, Any]]:
    answer = await client.post("/v1/suppressions/lookup", json={"addresses": list(addresses)})
    assert answer.status_code == 200, answer.text
    validator("LookupAnswer").validate(answer.json())
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def said(url: str, kind: Kind, seconds: float, source: Source = Source.SMS) -> None:
    """Something that comes to us by another way than this API."""
    async with await db.connect(url) as conn:

        async def work(conn: db.Conn) -> None:
            who = ledger.Person("acme", Channel.SMS, await ledger.address_key(conn, PHONE))
            at = h.database_now() - timedelta(seconds=seconds)
            entry = ledger.Entry(kind, source, "provider:twilio", "a text", at)
            await ledger.note(conn, who, entry, cell=0, event_id=h.new_id(), always=True)

        await db.transact(conn, work)


async def test_consent_is_kept_with_its_evidence(producer: Any, database: Any) -> None:
    body = record()
    assert await wrote(producer, body) == {
        "address": PHONE, "channel": "sms", "kind": "consent", "added": True, "lifted": False,
        "blocked": False, "programs": [], "held": False, "consented": True,
    }  # fmt: skip
    ((kind, source, reason, evidence),) = await database.rows(
        "SELECT kind, source, reason, evidence::jsonb FROM consent_event"
    )
    assert (kind, source) == ("consent", "web")
    assert reason == "recorded by the producer: web, wording v3"
    assert evidence == {name: value for name, value in body.items() if name != "phone"}
    assert PHONE not in str(await database.rows("SELECT * FROM consent_event"))


async def test_the_same_record_again_adds_nothing(producer: Any, database: Any) -> None:
    for body in (record(), opt_out(), record(phone=None, email=MAIL)):
        first = await wrote(producer, body)
        assert first["added"]
        assert await wrote(producer, body) == first | {"added": False}
    assert await database.one("SELECT count(*) FROM consent_event") == 3


async def test_an_opt_out_that_the_producer_was_told_stops_what_follows(
    open_client: Any, keys: Any, database_url: str, post: Any, hand: Any
) -> None:
    scopes = (READ, WRITE, "notifications:send", "notifications:read")
    key = await make_key(database_url, tenant="acme", test=False, scopes=scopes, by="test")
    client = await open_client(key=key)
    assert (await wrote(client, opt_out()))["blocked"]
    assert (await post(client)).status_code == 202
    assert await hand.begin() == []
    (found,) = await looked_up(client, PHONE)
    assert (found["blocked"], found["why"][0]["source"]) == (True, "web")


async def test_an_opt_out_of_a_clock_that_is_ahead_is_not_lost(producer: Any, problem: Any) -> None:
    tomorrow = ago(-86_400)
    answer = await producer.post("/v1/consents", json=record(at=tomorrow))
    problem(answer, 422, "invalid_request", pointer="/at", says="future")
    assert (await wrote(producer, opt_out(at=tomorrow)))["blocked"]


async def test_consent_given_anew_lifts_when_it_says_so(producer: Any) -> None:
    await wrote(producer, opt_out(seconds=60))
    assert (await wrote(producer, record(40)))["blocked"]
    found = await wrote(producer, record(20, lifts_opt_out=True))
    assert (found["lifted"], found["blocked"], found["consented"]) == (True, False, True)


async def test_a_lift_is_no_consent(producer: Any) -> None:
    await wrote(producer, opt_out(seconds=60))
    found = await wrote(producer, record(20, kind="lift"))
    assert (found["lifted"], found["blocked"], found["consented"]) == (True, False, False)


@pytest.mark.parametrize("lifting", [{"kind": "lift"}, {"lifts_opt_out": True}])
async def test_a_record_that_lifted_an_opt_out_does_not_lift_the_next_when_it_is_told_again(
    producer: Any, problem: Any, lifting: dict[str, Any]
) -> None:
    await wrote(producer, opt_out(seconds=60))
    lift = record(40, **lifting)
    assert (await wrote(producer, lift))["lifted"]
    assert not (await wrote(producer, lift))["added"]
    await wrote(producer, opt_out(seconds=20))
    answer = await producer.post("/v1/consents", json=lift)
    problem(answer, 409, "opt_out_stands", says="given after")


@pytest.mark.parametrize("lifting", [{"kind": "lift"}, {"lifts_opt_out": True}])
async def test_a_lift_is_refused_with_its_mend(
    producer: Any, problem: Any, database: Any, database_url: str, lifting: dict[str, Any]
) -> None:
    await said(database_url, Kind.OPT_OUT, 60)
    answer = await producer.post("/v1/consents", json=record(90, **lifting))
    problem(answer, 409, "opt_out_stands", says="given after")
    faults = (
        await producer.post("/v1/consents", json=record(30, ip=None, identity=None, **lifting))
    ).json()["errors"]
    assert [fault["pointer"] for fault in faults] == ["/identity", "/ip"]
    await said(database_url, Kind.OPT_OUT, 50, Source.PROVIDER)
    answer = await producer.post("/v1/consents", json=record(30, **lifting))
    problem(answer, 409, "provider_blocks", says="must text START")
    assert await database.one("SELECT count(*) FROM consent_event") == 2
    await said(database_url, Kind.LIFT, 20)
    assert not (await wrote(producer, record(10, **lifting)))["blocked"]


async def test_what_stands_is_told_with_why_and_not_who(
    producer: Any, database_url: str, database: Any
) -> None:
    await said(database_url, Kind.OPT_OUT, 60)
    await said(database_url, Kind.HOLD, 30)
    await wrote(producer, opt_out(phone=None, email=MAIL, program="default"))
    await database.do("UPDATE consent SET dead_at = now(), dead_code = '550' WHERE channel='email'")
    device = "ios:org.example.app:" + "0a" * 32
    ann, mail, nobody, app = await looked_up(
        producer, "+1 (415) 555-0123", "Ann@EXAMPLE.org", "+14155550199", device
    )
    assert (ann["address"], ann["channel"], ann["blocked"], ann["held"]) == (
        PHONE, "sms", True, True,
    )  # fmt: skip
    assert [(word["kind"], word["source"]) for word in ann["why"]] == [
        ("opt_out", "sms"), ("hold", "sms"),
    ]  # fmt: skip
    assert (mail["address"], mail["blocked"], mail["programs"], mail["dead"]) == (
        MAIL, False, ["default"], True,
    )  # fmt: skip
    assert [(word["kind"], word["program"]) for word in mail["why"]] == [
        ("opt_out", "default"), ("dead", None),
    ]  # fmt: skip
    assert nobody == {
        "address": "+14155550199", "channel": "sms", "blocked": False, "programs": [],
        "held": False, "consented": False, "dead": False, "changed_at": None, "why": [],
    }  # fmt: skip
    assert (app["address"], app["channel"]) == (device, "push")
    assert "twilio" not in str([ann, mail])


async def test_a_thousand_are_looked_up_at_once_and_no_more(producer: Any, problem: Any) -> None:
    many = [f"somebody-with-a-rather-long-name-{n}@a-rather-long-domain.example.org"
            for n in range(1_000)]  # fmt: skip
    assert [one["address"] for one in await looked_up(producer, *many)] == many
    answer = await producer.post("/v1/suppressions/lookup", json={"addresses": [*many, PHONE]})
    problem(answer, 422, "invalid_request", pointer="/addresses", says="at most 1000")


async def test_each_that_is_asked_for_is_answered_in_the_order_of_asking(producer: Any) -> None:
    """By its one form, however it is written and however often: there are no pages."""
    await wrote(producer, opt_out())
    asked = ["+14155550199", "+1 415 555 0123", PHONE, "ANN@example.org", MAIL, PHONE]
    found = await looked_up(producer, *asked)
    assert [(one["address"], one["blocked"]) for one in found] == [
        ("+14155550199", False), (PHONE, True), (PHONE, True), (MAIL, False), (MAIL, False),
        (PHONE, True),
    ]  # fmt: skip


async def test_every_bad_address_is_named(producer: Any, problem: Any) -> None:
    many = [PHONE, "911", MAIL, "@", "", "+1", "x" * 4_301]
    answer = await producer.post("/v1/suppressions/lookup", json={"addresses": many[:6]})
    found = problem(answer, 422, "invalid_request", pointer="/addresses/4", says="")
    pointers = [fault["pointer"] for fault in found["errors"]]
    assert pointers == [f"/addresses/{n}" for n in (1, 3, 4, 5)]
    answer = await producer.post("/v1/suppressions/lookup", json={"addresses": many})
    problem(answer, 422, "invalid_request", pointer="/addresses/6", says="at most 4300")


async def test_a_test_key_writes_and_reads_its_own(producer: Any, tester: Any) -> None:
    assert (await wrote(tester, opt_out()))["blocked"]
    assert [one["blocked"] for one in await looked_up(producer, PHONE)] == [False]
    assert [one["blocked"] for one in await looked_up(tester, PHONE)] == [True]
    assert (await wrote(producer, opt_out(seconds=60)))["added"]


async def test_another_brand_is_not_told(
    producer: Any, open_client: Any, database_url: str
) -> None:
    await wrote(producer, opt_out())
    key = await make_key(database_url, tenant="globex", test=False, scopes=(READ,), by="test")
    assert [one["blocked"] for one in await looked_up(await open_client(key=key), PHONE)] == [False]


async def test_reading_and_writing_are_scopes_of_their_own(
    open_client: Any, keys: Any, database_url: str, problem: Any
) -> None:
    async def client(scope: str) -> Any:
        key = await make_key(database_url, tenant="acme", test=False, scopes=(scope,), by="test")
        return await open_client(key=key)

    answer = await (await client(READ)).post("/v1/consents", json=record())
    problem(answer, 403, "missing_scope", says=WRITE)
    asked = {"addresses": [PHONE]}
    answer = await (await client(WRITE)).post("/v1/suppressions/lookup", json=asked)
    problem(answer, 403, "missing_scope", says=READ)


LIMITS = {
    "wording": 4_000,
    "wording_version": 64,
    "page": 2_048,
    "user_agent": 512,
    "campaign": 256,
    "identity": 256,
}


@pytest.mark.parametrize(("name", "most"), LIMITS.items())
async def test_what_is_as_long_as_it_may_be_is_kept_and_one_more_is_not(
    producer: Any, problem: Any, database: Any, name: str, most: int
) -> None:
    for length in (1, most):
        assert (await wrote(producer, record(**{name: "x" * length})))["added"]
    for text, says in (("x" * (most + 1), f"at most {most} characters"), ("", "say something")):
        answer = await producer.post("/v1/consents", json=record(**{name: text}))
        problem(answer, 422, "invalid_request", pointer=f"/{name}", says=says)
    assert await database.one("SELECT count(*) FROM consent_event") == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"at": "1991-12-20T00:00:00Z"},
        {"at": "1991-12-20T01:00:00+01:00"},
        {"ip": "2001:db8::1"},
        {"ip": None, "user_agent": None, "page": None, "campaign": None, "identity": None},
        {"medium": "paper"},
        {"wording": "Sí, envíenme ofertas 🎉"},
        {"kind": "opt_out", "wording_version": None, "program": "default"},
        {"phone": None, "email": "Ann@Example.ORG"},
        {"phone": "+1 (415) 555-0123"},
    ],
    ids=str,
)
async def test_what_is_just_good_enough_is_kept(producer: Any, changes: dict[str, Any]) -> None:
    found = await wrote(producer, record(**changes))
    assert found["added"]
    assert found["address"] in (PHONE, MAIL)


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"at": "1991-12-19T23:59:59Z"}, "/at", "must not be before 1991-12-20"),
    ({"program": "x" * 64, "kind": "lift"}, "/program", "at most 63"),
    ({"phone": "+1" + "4" * 31}, "/phone", "at most 32"),
    ({"ip": "1" * 46}, "/ip", "at most 45"),
    ({"campaign": "a\nb"}, "/campaign", "one line"),
    ({"wording": 7}, "/wording", "string"),
    ({"phone": None}, "", "one of phone and email"),
    ({"email": MAIL}, "", "one of phone and email"),
    ({"phone": "4155550123"}, "/phone", "international"),
    ({"phone": None, "email": "nobody"}, "/email", "no mail address"),
    ({"kind": "start"}, "/kind", "'consent', 'opt_out' or 'lift'"),
    ({"wording": None}, "/wording", "is required"),
    ({"wording": "  "}, "/wording", "must say something"),
    ({"wording": "x" * 4_001}, "/wording", "at most 4000"),
    ({"wording": "a\0b"}, "/wording", "NUL"),
    ({"wording_version": None}, "", "wording_version is required"),
    ({"wording_version": "v\n3"}, "/wording_version", "one line"),
    ({"medium": "smoke"}, "/medium", "'web'"),
    ({"at": None}, "/at", "is required"),
    ({"at": "2026-11-22T18:00:00"}, "/at", "RFC 3339"),
    ({"at": "0001-01-01T00:00:00+14:00"}, "/at", "1991"),
    ({"at": "9999-12-31T23:59:59-14:00"}, "/at", "future"),
    ({"ip": "999.1.1.1"}, "/ip", "IPv4 or IPv6"),
    ({"page": "x" * 2_049}, "/page", "at most 2048"),
    ({"identity": " "}, "/identity", "must say something"),
    ({"kind": "opt_out", "program": "nothing-like-it"}, "/program", "set up: default"),
    ({"program": "default"}, "", "leave program out"),
    ({"kind": "lift", "lifts_opt_out": True}, "", "goes with kind consent"),
    ({"lifts_opt_out": "yes"}, "/lifts_opt_out", "boolean"),
    ({"brand": "globex"}, "/brand", "unknown field"),
]


@pytest.mark.parametrize(("changes", "pointer", "says"), BAD, ids=str)
async def test_a_bad_record_is_refused_and_not_kept(
    producer: Any, problem: Any, database: Any, changes: dict[str, Any], pointer: str, says: str
) -> None:
    answer = await producer.post("/v1/consents", json=record(**changes))
    problem(answer, 422, "invalid_request", pointer=pointer, says=says)
    assert await database.one("SELECT count(*) FROM consent_event") == 0


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({}, "/addresses", "is required"),
        ({"addresses": []}, "/addresses", "at least 1"),
        ({"addresses": [PHONE, "911"]}, "/addresses/1", "international"),
        ({"addresses": ["a@"]}, "/addresses/0", "no mail address"),
        ({"addresses": ["ios:x:y"]}, "/addresses/0", "token"),
        ({"addresses": [7]}, "/addresses/0", "string"),
        ({"addresses": [PHONE], "brand": "globex"}, "/brand", "unknown field"),
    ],
)
async def test_a_bad_question_is_refused(
    producer: Any, problem: Any, body: dict[str, Any], pointer: str, says: str
) -> None:
    answer = await producer.post("/v1/suppressions/lookup", json=body)
    problem(answer, 422, "invalid_request", pointer=pointer, says=says)


async def test_what_is_not_known_to_be_stored_is_asked_again(
    producer: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from notifyq.services import consents

    async def cut_short(conn: db.Conn, work: Any) -> db.Unknown:
        await db.transact(conn, work)
        return db.Unknown("cut")

    body = opt_out()
    monkeypatch.setattr(consents, "transact", cut_short)
    answer = await producer.post("/v1/consents", json=body)
    problem(answer, 503, "unavailable", retryable=True, says="send it again")
    monkeypatch.undo()
    assert not (await wrote(producer, body))["added"]


def test_its_answers_are_described() -> None:
    paths = document()["paths"]
    assert paths["/v1/consents"]["post"]["responses"].keys() >= {"200", "409", "422", "503"}
    assert paths["/v1/suppressions/lookup"]["post"]["responses"].keys() >= {"200", "413", "422"}
