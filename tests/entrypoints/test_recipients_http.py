"""Recipients over HTTP: every field at its limits, each answer as described."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Match

from notifyq.cli.tenants import make_key
from notifyq.domain.model import Channel
from notifyq.entrypoints.api.encoded import EncodedRoute
from notifyq.entrypoints.api.openapi import document
from notifyq.entrypoints.api.recipients import READ, WRITE
from notifyq.store import db, ledger
from notifyq.store.db import Unknown
from tests.entrypoints.conftest import application, bound_socket, on_a_port
from tests.entrypoints.test_openapi import validator

ALL = (READ, WRITE)
PHONE, OTHER = "+14155550123", "+14155550124"
IOS = {"platform": "ios", "app": "org.example.app", "token": "ab" * 32}
ANN: dict[str, Any] = {
    "phones": [PHONE, OTHER],
    "emails": ["ann@example.org"],
    "devices": [IOS],
    "time_zone": "America/New_York",
    "locale": "en-US",
    "region": "US-FL",
    "quiet_hours": {"start": "22:00", "end": "07:30"},
}
URL = "/v1/recipients/user_42"


@pytest.fixture
def key_of(keys: Any, database_url: str) -> Callable[..., Awaitable[str]]:
    async def make(
        tenant: str = "acme", *, test: bool = False, scopes: tuple[str, ...] = ALL
    ) -> str:
        return await make_key(database_url, tenant=tenant, test=test, scopes=scopes, by="test")

    return make


@pytest.fixture
async def api(open_client: Any, key_of: Any) -> Any:
    return await open_client(key=await key_of())


def at(id: str, what: str = "") -> str:
    return f"/v1/recipients/{quote(id, safe='')}{what}"


async def put(client: Any, body: Any, url: str = URL) -> dict[str, Any]:
    answer = await client.put(url, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    validator("SavedRecipientAnswer").validate(found)
    return found


async def get(client: Any, url: str = URL) -> dict[str, Any]:
    answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    validator("RecipientAnswer").validate(found)
    return found


async def patch(client: Any, body: Any, url: str = f"{URL}/preferences") -> dict[str, Any]:
    answer = await client.patch(url, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    validator("PreferencesAnswer").validate(found)
    return found


async def wishes(client: Any, url: str = f"{URL}/preferences") -> dict[str, Any]:
    answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    validator("PreferencesAnswer").validate(found)
    return found


# ------------------------------------------------------------------------- saved and shown


async def test_it_is_shown_as_it_was_saved(api: Any) -> None:
    assert await put(api, ANN) == {"id": "user_42", "version": 1, "changed": True}
    shown = await get(api)
    changed_at = datetime.fromisoformat(shown.pop("changed_at"))
    assert abs(datetime.now(UTC) - changed_at) < timedelta(minutes=1)
    device = IOS | {"registered_at": None, "last_seen": None}
    assert shown == ANN | {"id": "user_42", "version": 1, "devices": [device]}
    assert await put(api, ANN) == {"id": "user_42", "version": 1, "changed": False}


async def test_a_put_replaces_the_whole_but_not_what_the_person_wants(api: Any) -> None:
    await put(api, ANN)
    await patch(api, {"preferences": {"*": {"sms": False}}})
    await put(api, {"emails": ["new@example.org"]})
    shown = await get(api)
    assert shown["emails"] == ["new@example.org"]
    assert (shown["phones"], shown["devices"], shown["region"]) == ([], [], None)
    assert shown["quiet_hours"] == ANN["quiet_hours"]
    assert (await wishes(api))["preferences"] == {"*": {"sms": False}}
    await put(api, {"quiet_hours": None})
    assert (await get(api))["quiet_hours"] is None


async def test_addresses_and_tags_are_kept_in_their_normal_form(api: Any) -> None:
    await put(
        api,
        {
            "phones": ["+1 (415) 555-0123"],
            "emails": ["Ann@EXAMPLE.org"],
            "devices": [IOS | {"token": "AB" * 32}],
            "locale": "pt_br",
        },
    )
    shown = await get(api)
    assert (shown["phones"], shown["emails"]) == ([PHONE], ["ann@example.org"])
    assert (shown["devices"][0]["token"], shown["locale"]) == ("ab" * 32, "pt-BR")
    same = {"phones": [PHONE], "emails": ["ann@example.org"], "devices": [IOS], "locale": "pt-BR"}
    assert (await put(api, same))["changed"] is False


async def test_a_start_of_the_app_is_no_version(api: Any) -> None:
    def started(days: int) -> dict[str, Any]:
        seen = datetime.now(UTC) + timedelta(days=days)
        return {"devices": [IOS | {"last_seen": seen.isoformat(), "registered_at": None}]}

    assert (await put(api, started(-2)))["version"] == 1
    assert await put(api, started(-1)) == {"id": "user_42", "version": 1, "changed": False}
    newest = (await get(api))["devices"]
    assert await put(api, started(-3)) == {"id": "user_42", "version": 1, "changed": False}
    assert (await get(api))["devices"] == newest


async def test_what_is_replaced_must_be_the_newest(api: Any, problem: Any) -> None:
    assert (await put(api, ANN | {"replaces": 0}))["version"] == 1
    answer = await api.put(URL, json={"replaces": 0})
    assert problem(answer, 409, "version_conflict")["detail"] == "the newest version is 1"
    assert (await put(api, {"replaces": 1}))["version"] == 2
    answers = await asyncio.gather(
        *(api.put(URL, json={"phones": [f"+1415555{n:04}"], "replaces": 2}) for n in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


IDS = [
    "a",
    "x" * 128,
    "\U0001f600" * 128,
    "a/b",
    "/",
    "a/preferences",
    "a/merge",
    "merge",
    "%2F",
    "a%b",
    "a b?c#d&e=f",
    "a\nb",
    "Ünï",
    "**",
]


@pytest.mark.parametrize("id", IDS, ids=lambda id: ascii(id)[:30])
async def test_any_id_of_1_to_128_characters_names_its_own_person(api: Any, id: str) -> None:
    named = {"id": id, "version": 1, "changed": True}
    assert await put(api, {"locale": "de"}, at(id)) == named
    assert (await get(api, at(id)))["id"] == id
    assert (await patch(api, {"preferences": {}}, at(id, "/preferences")))["id"] == id
    assert (await wishes(api, at(id, "/preferences")))["id"] == id
    await put(api, {}, at("other"))
    merged = await api.post(at(id, "/merge"), json={"from": "other"})
    assert merged.json()["id"] == id
    assert (await api.delete(at(id))).status_code == 204
    assert (await api.get(at(id))).status_code == 404


async def test_ids_of_paths_are_the_same_over_a_socket(
    settings: Any, keys: Any, key_of: Any
) -> None:
    headers = {"Authorization": f"Bearer {await key_of()}"}
    async with (
        application(settings) as app,
        on_a_port(app, bound_socket()) as url,
        httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client,
    ):
        for id in ("a/b", "a%2Fb", "user_42", "a/preferences"):
            assert (await put(client, {}, at(id)))["id"] == id
        found = await client.get("/v1/recipients/a/b")
        assert found.status_code == 404
        assert (await get(client, "/v1/recipients/%75ser%5F42"))["id"] == "user_42"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (at("x" * 129), "at most 128 characters, has 129"),
        ("/v1/recipients/a%00b", "without the NUL"),
        ("/v1/recipients/%ff", "must be UTF-8"),
        ("/v1/recipients/%ed%a0%80", "must be UTF-8"),
        ("/v1/recipients/*", "tenant's defaults"),
        ("/v1/recipients/%2A", "tenant's defaults"),
    ],
)
async def test_what_is_no_id_of_a_person_is_refused(
    api: Any, problem: Any, stores_nothing: Any, path: str, says: str
) -> None:
    async with stores_nothing():
        for answer in (
            await api.put(path, json=ANN),
            await api.get(path),
            await api.delete(path),
            await api.post(f"{path}/merge", json={"from": "x"}),
        ):
            problem(answer, 422, "invalid_request", pointer="/id", says=says)


@pytest.mark.parametrize("path", ["/v1/recipients", "/v1/recipients/", "/v1/recipients//merge"])
async def test_there_is_nobody_without_an_id(api: Any, problem: Any, path: str) -> None:
    problem(await api.get(path), 404, "not_found")


async def test_other_methods_do_nothing_and_the_good_ones_are_named(api: Any, problem: Any) -> None:
    for what, allowed in (
        ("", {"GET", "HEAD", "PUT", "DELETE"}),
        ("/merge", {"POST"}),
        ("/preferences", {"GET", "HEAD", "PATCH"}),
    ):
        answer = await api.request("TRACE", URL + what)
        problem(answer, 405, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) == allowed


# --------------------------------------------------------------------------- good and bad


def phones(count: int) -> list[str]:
    return [f"+1415555{n:04}" for n in range(100, 100 + count)]


def mailboxes(count: int) -> list[str]:
    return [f"u{n}@example.org" for n in range(count)]


def devices(count: int) -> list[dict[str, Any]]:
    return [IOS | {"token": f"{n:02x}" * 16} for n in range(count)]


TAKEN: list[dict[str, Any]] = [
    {},
    {"phones": [], "emails": [], "devices": []},
    {"phones": phones(1)},
    {"phones": phones(5)},
    {"emails": mailboxes(5)},
    {"devices": devices(20)},
    {"devices": [IOS | {"registered_at": "2026-01-01T00:00:00Z", "last_seen": None}]},
    {"devices": [IOS | {"last_seen": "2026-01-01T00:00:00.5+02:00"}]},
    {"time_zone": "Europe/Berlin"},
    {"time_zone": None, "locale": None, "region": None, "quiet_hours": None, "replaces": None},
    {"locale": "de"},
    {"locale": "zh-Hant-TW"},
    {"region": "US-DC"},
    {"region": "US-PR"},
    {"quiet_hours": {"start": "00:00", "end": "23:59"}},
    {"replaces": 0},
]
REFUSED: list[tuple[Any, str, str]] = [
    ([], "", ""),
    ({"name": "Ann"}, "/name", "unknown field"),
    ({"phone": PHONE}, "/phone", "unknown field"),
    ({"preferences": {}}, "/preferences", "unknown field"),
    ({"phones": None}, "/phones", "list"),
    ({"phones": PHONE}, "/phones", "list"),
    ({"phones": phones(6)}, "/phones", "at most 5 entries, has 6"),
    ({"phones": ["4155550123"]}, "/phones/0", "international form"),
    ({"phones": [PHONE, 1]}, "/phones/1", "string"),
    ({"phones": ["+" + "1" * 32]}, "/phones/0", "at most 32 characters"),
    ({"phones": [PHONE, "+1 415 555 0123"]}, "/phones", "a number twice"),
    ({"emails": mailboxes(6)}, "/emails", "at most 5 entries, has 6"),
    ({"emails": ["ann"]}, "/emails/0", "no mail address"),
    ({"emails": ["a" * 250 + "@b.org"]}, "/emails/0", "at most 254 characters"),
    ({"emails": ["ann@example.org", "Ann@Example.org"]}, "/emails", "a mailbox twice"),
    ({"devices": devices(21)}, "/devices", "at most 20 entries, has 21"),
    ({"devices": [IOS, IOS | {"token": "AB" * 32}]}, "/devices", "a device twice"),
    ({"devices": [{"platform": "ios"}]}, "/devices/0/token", "is required"),
    ({"devices": [IOS | {"token": "zz"}]}, "/devices/0/token", "hexadecimal"),
    ({"devices": [IOS | {"seen": 1}]}, "/devices/0/seen", "unknown field"),
    ({"devices": [IOS | {"last_seen": 1}]}, "/devices/0/last_seen", "RFC 3339"),
    ({"devices": [IOS | {"last_seen": "2026-01-01"}]}, "/devices/0/last_seen", "RFC 3339"),
    ({"time_zone": "Mars/Olympus"}, "/time_zone", "IANA"),
    ({"time_zone": "x" * 65}, "/time_zone", "at most 64"),
    ({"locale": "english"}, "/locale", "language tag"),
    ({"locale": "d"}, "/locale", "at least 2"),
    ({"locale": "de-" + "x" * 33}, "/locale", "at most 35"),
    ({"region": "FL"}, "/region", "like US-FL"),
    ({"region": "us-fl"}, "/region", "like US-FL"),
    ({"region": "US-XX"}, "/region", "like US-FL"),
    ({"region": "DE-BY"}, "/region", "like US-FL"),
    ({"quiet_hours": {"start": "22:00"}}, "/quiet_hours/end", "is required"),
    ({"quiet_hours": {"start": "24:00", "end": "07:00"}}, "/quiet_hours/start", "like 22:00"),
    ({"quiet_hours": {"start": "7:00", "end": "08:00"}}, "/quiet_hours/start", "like 22:00"),
    ({"quiet_hours": {"start": "22:00:00", "end": "08:00"}}, "/quiet_hours/start", "like 22:00"),
    ({"quiet_hours": {"start": "T2200", "end": "08:00"}}, "/quiet_hours/start", "like 22:00"),
    ({"quiet_hours": {"start": "٢٢:00", "end": "08:00"}}, "/quiet_hours/start", "like 22:00"),
    ({"quiet_hours": {"start": "08:00", "end": "08:00"}}, "/quiet_hours", "at the same time"),
    ({"quiet_hours": []}, "/quiet_hours", ""),
    ({"replaces": -1}, "/replaces", "greater than or equal to 0"),
    ({"replaces": 2_147_483_648}, "/replaces", "less than or equal to 2147483647"),
    ({"replaces": "1"}, "/replaces", "integer"),
]
# What no schema of JSON can say: what the words mean, and what is the same in other words.
ONLY_WE_KNOW = ("twice", "international form", "no mail address", "hexadecimal", "IANA",
                "language tag", "RFC 3339", "at the same time")  # fmt: skip


@pytest.mark.parametrize("body", TAKEN, ids=lambda body: str(body)[:50])
async def test_what_the_document_allows_is_taken(api: Any, body: Any) -> None:
    assert not list(validator("RecipientBody").iter_errors(body))
    assert (await put(api, body))["version"] == 1


@pytest.mark.parametrize(
    ("body", "pointer", "says"), REFUSED, ids=[str(row[0])[:50] for row in REFUSED]
)
async def test_what_breaks_a_rule_is_refused_with_its_place(
    api: Any, problem: Any, stores_nothing: Any, body: Any, pointer: str, says: str
) -> None:
    only_we_know = any(rule in says for rule in ONLY_WE_KNOW)
    assert not validator("RecipientBody").is_valid(body) or only_we_know
    async with stores_nothing():
        answer = await api.put(URL, json=body)
    problem(answer, 422, "invalid_request", pointer=pointer, says=says)


@pytest.mark.parametrize(
    ("content", "media", "status", "code"),
    [
        (b"{", "application/json", 400, "not_json"),
        (b'{"phones": [], "phones": []}', "application/json", 400, "not_json"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b" " * 65_537, "application/json", 413, "body_too_large"),
    ],
)
async def test_what_is_no_body_is_refused(
    api: Any, problem: Any, content: bytes, media: str, status: int, code: str
) -> None:
    headers = {"Content-Type": media}
    for method, what in (("PUT", ""), ("POST", "/merge"), ("PATCH", "/preferences")):
        answer = await api.request(method, URL + what, content=content, headers=headers)
        problem(answer, status, code)
        path = f"/v1/recipients/{{id}}{what}"
        described = document()["paths"][path][method.lower()]["responses"]
        assert f"`{code}`" in described[str(status)]["description"]


async def test_each_tenant_mode_and_scope_has_its_own(
    api: Any, open_client: Any, key_of: Any, problem: Any
) -> None:
    await put(api, ANN)
    wish = {"preferences": {"*": {"sms": False}}}
    for whose in (await key_of("globex"), await key_of(test=True)):
        other = await open_client(key=whose)
        problem(await other.get(URL), 404, "not_found")
        problem(await other.get(f"{URL}/preferences"), 404, "not_found")
        problem(await other.delete(URL), 404, "not_found")
        problem(await other.post(f"{URL}/merge", json={"from": "x"}), 404, "not_found")
        await put(other, {}, at("x"))
        problem(await other.post(f"{URL}/merge", json={"from": "x"}), 404, "not_found")
        assert (await patch(other, wish))["version"] == 1
        assert (await patch(other, wish, at("*", "/preferences")))["version"] == 1
    assert (await get(api))["version"] == 1
    assert (await wishes(api, at("*", "/preferences")))["version"] == 0
    reader = await open_client(key=await key_of(scopes=(READ,)))
    assert (await reader.get(URL)).json()["phones"] == ANN["phones"]
    assert (await reader.get(f"{URL}/preferences")).status_code == 200
    for answer in (
        await reader.put(URL, json=ANN),
        await reader.delete(URL),
        await reader.post(f"{URL}/merge", json={"from": "x"}),
        await reader.patch(f"{URL}/preferences", json=wish),
    ):
        problem(answer, 403, "missing_scope", says=WRITE)
    writer = await open_client(key=await key_of(scopes=(WRITE,)))
    for what in ("", "/preferences"):
        problem(await writer.get(URL + what), 403, "missing_scope", says=READ)
    stranger = await open_client(key="nq_live_x")
    problem(await stranger.get(URL), 401, "unauthenticated")


# -------------------------------------------------------------------------- merged, erased


async def test_two_that_are_merged_are_one_under_both_ids(api: Any, problem: Any) -> None:
    await put(api, {"phones": [PHONE]}, at("a/1"))
    await put(api, {"emails": ["ann@example.org"], "time_zone": "Europe/Berlin"})
    await patch(api, {"preferences": {"*": {"sms": False}}}, at("a/1", "/preferences"))
    answer = await api.post(f"{URL}/merge", json={"from": "a/1"})
    validator("MergedAnswer").validate(answer.json())
    assert (answer.status_code, answer.json()) == (
        200,
        {"id": "user_42", "version": 2, "opted_out": []},
    )
    assert await get(api) == await get(api, at("a/1"))
    assert (await get(api))["phones"] == [PHONE]
    found = await wishes(api, at("a/1", "/preferences"))
    assert (found["id"], found["preferences"]) == ("user_42", {"*": {"sms": False}})
    answer = await api.put(at("a/1"), json={"phones": [OTHER]})
    problem(answer, 409, "merged", says="'user_42'")
    again = await api.post(f"{URL}/merge", json={"from": "a/1"})
    assert again.json() == {"id": "user_42", "version": 2, "opted_out": []}


async def test_an_opt_out_of_one_of_them_is_of_both(
    api: Any, database_url: str, database: Any, open_client: Any, key_of: Any
) -> None:
    """In the mode of the key that merges: a test is about tests."""

    async def work(conn: db.Conn) -> bool:
        return await ledger.opt_out(
            conn, cell=0, brand="acme", channel=Channel.SMS, address=PHONE, actor="test",
            reason="STOP", event_id=uuid4(),
        )  # fmt: skip

    async with await db.connect(database_url) as conn:
        assert await db.transact(conn, work) == db.Committed(True)
    says = "SELECT blocked FROM consent WHERE brand = 'acme' AND address_key = address_key(%s)"
    for client, opted_out, blocked in (
        (await open_client(key=await key_of(test=True)), [], []),
        (api, ["sms"], [(True,)]),
    ):
        await put(client, {"phones": [PHONE]}, at("a"))
        await put(client, {"phones": [OTHER]}, at("b"))
        answer = await client.post(at("b", "/merge"), json={"from": "a"})
        assert answer.json()["opted_out"] == opted_out
        assert await database.rows(says, OTHER) == blocked


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({}, "/from", "is required"),
        ({"from": None}, "/from", "string"),
        ({"from": ""}, "/from", "at least 1"),
        ({"from": "x" * 129}, "/from", "at most 128"),
        ({"from": "a\0"}, "/from", "NUL"),
        ({"from": "*"}, "/from", "tenant's defaults"),
        ({"from": "user_42"}, "/from", "another recipient"),
        ({"from": "a", "into": "b"}, "/into", "unknown field"),
        ({"source": "a"}, "/source", "unknown field"),
    ],
)
async def test_a_bad_merge_is_refused(
    api: Any, problem: Any, body: Any, pointer: str, says: str
) -> None:
    await put(api, ANN)
    answer = await api.post(f"{URL}/merge", json=body)
    problem(answer, 422, "invalid_request", pointer=pointer, says=says)
    assert (await get(api))["version"] == 1


async def test_who_is_not_there_is_not_merged(api: Any, problem: Any) -> None:
    await put(api, ANN)
    answer = await api.post(f"{URL}/merge", json={"from": "none"})
    problem(answer, 404, "not_found", says="from names no recipient")
    answer = await api.post(at("none", "/merge"), json={"from": "user_42"})
    problem(answer, 404, "not_found", says="the path names no recipient")


async def test_two_with_too_much_together_are_told_what(api: Any, problem: Any) -> None:
    await put(api, {"phones": phones(3), "devices": devices(20)})
    await put(api, {"phones": ["+14155550199", "+14155550198", "+14155550197"]}, at("b"))
    answer = await api.post(f"{URL}/merge", json={"from": "b"})
    says = "makes 6 phones, at most 5: remove some first"
    problem(answer, 422, "invalid_request", pointer="/from", says=says)


async def test_who_is_erased_is_gone_and_may_be_erased_again(
    api: Any, problem: Any, database: Any
) -> None:
    problem(await api.delete(URL), 404, "not_found")
    await put(api, ANN)
    await put(api, {"emails": ["new@example.org"]})
    for _ in range(2):
        answer = await api.delete(URL)
        assert (answer.status_code, answer.content) == (204, b"")
    problem(await api.get(URL), 404, "not_found")
    problem(await api.get(f"{URL}/preferences"), 404, "not_found")
    assert await database.rows("SELECT DISTINCT profile FROM recipient_version") == [("{}",)]
    assert await database.one("SELECT count(*) FROM recipient_address") == 0
    assert (await put(api, ANN | {"replaces": 0}))["version"] == 4


# -------------------------------------------------------------------------- what else holds


async def test_what_somebody_holds_for_long_is_unavailable(
    open_client: Any, key_of: Any, database_url: str, problem: Any
) -> None:
    pools: list[db.Pool] = []

    def hasty(parts: Any) -> Any:
        pools.append(db.Pool(database_url, size_max=1, lock_timeout_ms=100))
        return replace(
            parts,
            recipients=replace(parts.recipients, pool=pools[0]),
            preferences=replace(parts.preferences, pool=pools[0]),
        )

    client = await open_client(key=await key_of(), change=hasty)
    async with pools[0], await db.connect(database_url) as holder:
        await put(client, ANN)
        await put(client, {}, at("b"))
        await holder.execute("SELECT 1 FROM recipient FOR UPDATE")
        for answer in (
            await client.put(URL, json={}),
            await client.delete(URL),
            await client.post(f"{URL}/merge", json={"from": "b"}),
            await client.patch(f"{URL}/preferences", json={}),
        ):
            problem(answer, 503, "unavailable", retryable=True, says="ask again")
            assert answer.headers["retry-after"] == "1"
        await holder.rollback()
        assert (await client.delete(URL)).status_code == 204


async def test_a_change_of_unknown_fate_is_unavailable_and_safe_to_repeat(
    api: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(api, ANN)

    async def unknown(*_: Any, **__: Any) -> Unknown:
        return Unknown("the connection broke")

    for method, what, name, body in (
        ("PUT", "", "recipients.upsert", {}),
        ("POST", "/merge", "recipients.merge", {"from": "b"}),
        ("DELETE", "", "recipients.erase", {}),
        ("PATCH", "/preferences", "preferences.revise", {}),
    ):
        monkeypatch.setattr(f"notifyq.entrypoints.api.{name}", unknown)
        answer = await api.request(method, URL + what, json=body)
        problem(answer, 503, "unavailable", retryable=True, says="not known to be stored")


def test_a_server_that_gives_no_raw_path_is_served_as_well() -> None:
    async def endpoint(_: Any) -> Any: ...

    route = EncodedRoute("/v1/recipients/{id}", endpoint)
    scope = {"type": "http", "method": "GET", "path": "/v1/recipients/a b", "headers": []}
    for raw, id in (
        (None, "a b"),
        (b"/v1/recipients/a%2Fb?x=/", "a/b"),
        (b"/v1/rec%69pients/a", "a"),
    ):
        match, child = route.matches(scope | ({"raw_path": raw} if raw else {}))
        assert (match, child["path_params"]) == (Match.FULL, {"id": id})


async def test_every_change_says_who_made_it(api: Any, database: Any) -> None:
    await put(api, ANN)
    await put(api, {}, at("b"))
    await patch(api, {"preferences": {"*": {"sms": False}}})
    await api.post(f"{URL}/merge", json={"from": "b"})
    await api.delete(URL)
    actors = await database.rows("SELECT DISTINCT actor FROM recipient_version")
    assert actors == [(api.headers["Authorization"].split()[1][:16],)]


async def test_no_address_is_logged(api: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await put(api, ANN)
    await put(api, {"phones": ["+14155550199"]}, at("b"))
    await get(api)
    await api.put(URL, json={"phones": [PHONE, PHONE, "+1"]})
    await api.post(f"{URL}/merge", json={"from": "b"})
    await api.delete(URL)
    said = "\n".join(record.getMessage() for record in caplog.records)
    for secret in (PHONE, OTHER, "+14155550199", "ann@example.org", IOS["token"]):
        assert secret not in said


async def test_every_answer_is_in_the_document(api: Any) -> None:
    await put(api, {}, at("b"))
    for method, what, body in (
        ("PUT", "", ANN), ("PUT", "", ANN | {"replaces": 7, "phones": []}), ("PUT", "", {"x": 1}),
        ("GET", "", None), ("PATCH", "/preferences", {}), ("PATCH", "/preferences", []),
        ("GET", "/preferences", None), ("POST", "/merge", {"from": "b"}),
        ("POST", "/merge", {"from": "x"}), ("POST", "/merge", {}), ("DELETE", "", None),
        ("GET", "", None),
    ):  # fmt: skip
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        answer = await api.request(method, URL + what, content=content, headers=headers)
        path = f"/v1/recipients/{{id}}{what}"
        told = document()["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        if answer.status_code == 204:
            assert "content" not in told
            continue
        schema = told["content"][answer.headers["content-type"]]["schema"]
        Draft202012Validator({**schema, "components": document()["components"]}).validate(
            answer.json()
        )
        if answer.status_code != 200:
            assert f"`{answer.json()['code']}`" in told["description"]
