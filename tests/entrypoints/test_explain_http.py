"""GET /v1/explain: the same over HTTP, for what a key may see."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from notifyq.config.settings import Settings
from notifyq.domain.consent import Kind
from notifyq.domain.model import Channel
from notifyq.domain.policy import RULES
from notifyq.entrypoints.api import explaining as route
from notifyq.services import explain
from notifyq.store import db, lanes
from notifyq.store.db import Conn
from tests.entrypoints.test_openapi import validator
from tests.services import explain_cases as c
from tests.services.explain_cases import ANN, SHIPPED
from tests.store import helpers as h

ASKED = {"recipient": ANN, "category": "order.shipped"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    categories = {**settings.categories, SHIPPED.name: SHIPPED}
    return settings.model_copy(update={"categories": categories})


@pytest.fixture
async def shop(database_url: str, keys: Any) -> Any:
    """acme, with u42 and a number of theirs."""
    async with await db.connect(database_url) as conn:
        tenant_id = await h.one(conn, "SELECT id FROM tenant WHERE name = 'acme'")
        found = await lanes.ensure(conn, [(Channel.SMS, "twilio-main")], cell=0)
        shop = h.Shop(tenant_id, "acme", found[Channel.SMS, "twilio-main"])
        await conn.commit()
        await c.save(conn, shop)
    return shop


async def does(url: str, work: Any) -> None:
    async with await db.connect(url) as conn:
        await work(conn)


async def told(client: Any, **changes: str) -> Any:
    answer = await client.get("/v1/explain", params=ASKED | changes)
    assert answer.status_code == 200, answer.text
    validator("ExplainAnswer").validate(answer.json())
    return answer.json()


async def test_every_rule_is_told_and_which_decides(
    client: Any, shop: h.Shop, database_url: str
) -> None:
    found = await told(client)
    assert {name: found[name] for name in ("recipient", "kept", "category", "brand", "test")} == {
        "recipient": ANN, "kept": True, "category": "order.shipped", "brand": "acme", "test": False,
    }  # fmt: skip
    (one,) = found["addresses"]
    assert (one["channel"], one["address"]) == ("sms", "…23")
    assert (one["verdict"], one["rule"], one["reason"], one["until"]) == ("send", None, None, None)
    assert [rule["rule"] for rule in one["rules"]] == [*RULES]
    assert found["latest"] == []
    assert abs(datetime.fromisoformat(found["at"]) - datetime.now(UTC)) < timedelta(seconds=30)
    await does(database_url, lambda conn: c.says(conn, shop, Kind.OPT_OUT))
    (one,) = (await told(client))["addresses"]
    assert (one["verdict"], one["rule"], one["reason"]) == ("suppress", "opt_out", "opted_out")
    (rule,) = [rule for rule in one["rules"] if rule["rule"] == "opt_out"]
    assert (rule["verdict"], rule["row"]) == (
        "suppress", "consent_event: acme, sms, revision 1",
    )  # fmt: skip
    assert h.PHONE not in str(await told(client))


async def test_what_became_of_the_last_deliveries_is_told(
    client: Any, shop: h.Shop, database_url: str
) -> None:
    async def live(conn: Conn) -> None:
        await h.begun(conn, shop, c.asking(shop, SHIPPED))
        await h.accepted(conn, c.asking(shop, SHIPPED, lifetime_s=-1))
        await h.begin(conn, h.post_of(shop))

    await does(database_url, live)
    found = (await told(client))["latest"]
    assert [(one["state"], one["reason"]) for one in found] == [
        ("expired", "expired"), ("pending", None),
    ]  # fmt: skip
    shown = await client.get(f"/v1/notifications/{found[0]['id'].replace('dlv', 'ntf')}")
    assert shown.status_code == 404  # a delivery's id is no notification's
    assert found[0]["id"].startswith("dlv_")
    assert found[1]["began_at"] is not None


async def test_as_of_yesterday_it_is_yesterdays_answer(
    client: Any, shop: h.Shop, database_url: str
) -> None:
    async def live(conn: Conn) -> None:
        await c.says(conn, shop, Kind.OPT_OUT)
        await conn.execute(h.LEDGER_OPEN)
        await conn.execute("UPDATE consent_event SET at = at - interval '30 hours',"
                           " happened_at = happened_at - interval '30 hours'")  # fmt: skip
        await conn.execute("UPDATE recipient_version SET at = at - interval '30 hours'")
        await conn.commit()
        await c.says(conn, shop, Kind.LIFT, seconds=5)

    await does(database_url, live)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    abroad = yesterday.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    for at in (yesterday, abroad):
        found = await told(client, at=at.isoformat())
        assert found["addresses"][0]["rule"] == "opt_out"
        assert datetime.fromisoformat(found["at"]) == yesterday
    assert (await told(client))["addresses"][0]["verdict"] == "send"
    earlier = (yesterday - timedelta(days=30)).isoformat()
    refused = await client.get("/v1/explain", params=ASKED | {"at": earlier})
    assert refused.json()["errors"][0]["pointer"] == "/recipient"


async def test_an_address_is_taken_for_one(client: Any, shop: h.Shop) -> None:
    found = await told(client, recipient=h.PHONE)
    assert (found["kept"], found["addresses"][0]["channel"]) == (False, "sms")
    assert (await told(client, recipient="Ann@Example.org"))["addresses"][0]["channel"] == "email"
    token = "ios:org.example.app:" + "0a" * 2_000  # longer than any id
    assert (await told(client, recipient=token))["addresses"][0]["address"] == "ios org.example.app"


async def test_a_clock_that_is_ahead_a_little_asks_about_now(client: Any, shop: h.Shop) -> None:
    ahead = datetime.now(UTC) + timedelta(seconds=3)
    found = await told(client, at=ahead.isoformat())
    assert datetime.fromisoformat(found["at"]) < ahead


@pytest.mark.parametrize(
    ("changes", "pointer", "rule"),
    [
        ({"recipient": None}, "/recipient", "is required"),
        ({"category": None}, "/category", "is required"),
        ({"recipient": "nobody"}, "/recipient", "must be the id of a recipient that was kept"),
        ({"recipient": " 14155550123"}, "/recipient", "a + is %2B in a URL"),
        ({"recipient": "*"}, "/recipient", "* is the tenant's defaults"),
        ({"recipient": ""}, "/recipient", "must have at least 1 characters"),
        ({"recipient": "a\0b"}, "/recipient", "must not contain the NUL character"),
        ({"recipient": "x" * 5_000}, "/recipient", "must have at most "),
        ({"category": "order.shiped"}, "/category", "set up: fire, login.code, order.shipped"),
        ({"at": "yesterday"}, "/at", "must be an RFC 3339 time with its timezone offset"),
        ({"at": "1763890000"}, "/at", "must be an RFC 3339 time with its timezone offset"),
        ({"at": "2026-02-30T00:00:00Z"}, "/at", ""),
        ({"at": "2999-01-01T00:00:00Z"}, "/at", "must not be in the future: leave it out"),
        ({"time": "2026-01-01T00:00:00Z"}, "/time", "unknown field"),
        ({"at": ["2026-01-01T00:00:00Z"] * 2}, "/at", "is there twice: send it once"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name_rule_and_mend(
    client: Any, shop: h.Shop, changes: Any, pointer: str, rule: str
) -> None:
    params = {name: said for name, said in (ASKED | changes).items() if said is not None}
    answer = await client.get("/v1/explain", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert rule in error["detail"]


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("send_only", 403, "missing_scope"), ("revoked", 401, "unauthenticated")],
)
async def test_it_takes_the_scope_of_reading_notifications(
    open_client: Any, keys: Any, shop: h.Shop, key: str, status: int, code: str
) -> None:
    client = await open_client(key=getattr(keys, key))
    answer = await client.get("/v1/explain", params=ASKED)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await told(await open_client(key=keys.read_only)))["kept"]


async def test_a_key_sees_what_is_of_its_tenant_and_its_mode(
    open_client: Any, keys: Any, shop: h.Shop, database_url: str
) -> None:
    async def live(conn: Conn) -> None:
        await c.says(conn, shop, Kind.OPT_OUT)
        await h.accepted(conn, c.asking(shop, SHIPPED))

    await does(database_url, live)
    assert (await told(await open_client(), recipient=h.PHONE))["latest"]
    for key in (keys.test, keys.other, keys.other_test):
        client = await open_client(key=key)
        answer = await client.get("/v1/explain", params=ASKED)
        assert answer.status_code == 422
        found = await told(client, recipient=h.PHONE)
        assert (found["addresses"][0]["verdict"], found["latest"]) == ("send", [])


async def test_what_takes_too_long_is_left_out_and_holds_nothing(
    open_client: Any, keys: Any, shop: h.Shop, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules are told without the last deliveries; not even those: 503, to be asked later."""
    client = await open_client()
    monkeypatch.setattr(route, "TIMEOUT_S", 0.1)
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("LOCK TABLE notifyq.delivery IN ACCESS EXCLUSIVE MODE")
        found = await told(client)
        assert (found["latest"], found["addresses"][0]["verdict"]) == (None, "send")
        await other.execute("LOCK TABLE notifyq.consent IN ACCESS EXCLUSIVE MODE")
        answer = await client.get("/v1/explain", params=ASKED)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "not read within 0.1 s" in answer.json()["detail"]
    assert (await told(client))["latest"] == []


async def test_one_is_answered_at_a_time_so_that_callbacks_have_connections(
    open_client: Any, shop: h.Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await open_client()
    right, inside, most = explain.answer, 0, 0

    async def counting(*given: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        found = await right(*given)
        inside -= 1
        return found

    monkeypatch.setattr(explain, "answer", counting)
    await asyncio.gather(*(told(client) for _ in range(8)))
    assert most == 1
