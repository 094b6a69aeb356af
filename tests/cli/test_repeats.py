"""Repeats are counted: by a look-up with both names, by the doctor where nobody asked for one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner

from notifyq import migrate
from notifyq.cli import main
from notifyq.domain.doubts import Claim
from notifyq.domain.ids import public_id
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Category, MessageClass, Ready
from notifyq.domain.outcome import Accepted, InDoubt
from notifyq.services.redrive import Errand, redrive
from notifyq.services.resolve import Witness, resolve
from notifyq.store import catalog, db
from notifyq.store.db import Conn
from tests.audit.test_audit_files import psql
from tests.store import helpers as h

SENT_AGAIN = Category("code", MessageClass.OTP, resend_after_s=0)
NO = Witness(Claim.NOT_CARRIED_OUT, "jo", "ticket 7", "not in the console")


def look(url: str) -> list[dict[str, str]]:
    return psql(url, migrate.files("sql") / "lookup" / "repeats.sql")


def told_twice(url: str) -> dict[str, Any]:
    environ = {"NOTIFYQ_DATABASE_URL": url, "NOTIFYQ_SANDBOX_URL": None}
    result = CliRunner().invoke(main, ["doctor", "--json"], env=environ)
    (found,) = [one for one in json.loads(result.stdout) if one["check"] == "told twice"]
    return dict(found)


@pytest.fixture
def plant(database_url: str) -> Callable[[Callable[[Conn], Awaitable[Any]]], Any]:
    def do(work: Callable[[Conn], Awaitable[Any]]) -> Any:
        async def inside() -> Any:
            async with await db.connect(database_url) as conn:
                await catalog.make_roles(conn)
                await conn.commit()
                return await work(conn)

        return asyncio.run(inside())

    return do


async def lost(conn: Conn, shop: h.Shop, **ask: Any) -> Ready:
    (ready,) = await h.begun(conn, shop, h.make_ask(shop, **ask), lease_s=-1.0)
    await h.settled(conn, h.post_of(shop), (ready, InDoubt("cut")))
    return ready


async def sent_again(conn: Conn, shop: h.Shop) -> None:
    (again,) = (await h.begin(conn, h.post_of(shop))).ready
    await h.settled(conn, h.post_of(shop), (again, Accepted("SM2")))


def test_a_no_that_was_none_is_counted(database_url: str, plant: Any) -> None:
    async def resolved_wrong(conn: Conn) -> str:
        shop = await h.open_shop(conn)
        at = (await lost(conn, shop)).due.delivery_id
        await resolve(conn, at, NO, cell=0, new_id=h.new_id)
        await sent_again(conn, shop)
        await h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED, provider_id="SM1"))
        return str(at)

    at = plant(resolved_wrong)
    (row,) = look(database_url)
    assert (row["rule"], row["delivery"], row["arrived"]) == ("never_twice", at, "2")
    found = told_twice(database_url)
    assert (found["result"], found["what"]) == ("bad", "1 deliveries in the last 7 days")
    assert "repeats.sql" in found["mend"]


def test_a_repeat_that_was_asked_for_is_shown_and_no_fault(database_url: str, plant: Any) -> None:
    async def resent(conn: Conn) -> None:
        shop = await h.open_shop(conn)
        at = (await lost(conn, shop, category=SENT_AGAIN)).due.delivery_id
        await h.swept(conn)
        await sent_again(conn, shop)
        await h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED, provider_id="SM1"))

    plant(resent)
    (row,) = look(database_url)
    assert (row["rule"], row["arrived"], row["redriven"]) == ("at_least_once", "2", "f")
    assert told_twice(database_url)["result"] == "ok"


def test_one_that_did_not_arrive_and_was_redriven_is_shown_and_no_fault(
    database_url: str, plant: Any
) -> None:
    async def redriven(conn: Conn) -> None:
        shop = await h.open_shop(conn)
        (ready,) = await h.begun(conn, shop, h.make_ask(shop))
        at = ready.due.delivery_id
        await h.settled(conn, h.post_of(shop), (ready, Accepted("SM1")))
        await h.told(conn, h.receipt_for(at, 1, RANK_UNDELIVERED))
        await redrive(conn, at, Errand(0, "jo", "again", 10.0, h.new_id))
        await sent_again(conn, shop)

    plant(redriven)
    (row,) = look(database_url)
    assert (row["rule"], row["arrived"], row["redriven"]) == ("never_twice", "1", "t")
    assert told_twice(database_url)["result"] == "ok"


def test_what_went_out_once_is_not_among_them(database_url: str, plant: Any) -> None:
    async def once(conn: Conn) -> str:
        shop = await h.open_shop(conn)
        at = (await lost(conn, shop)).due.delivery_id
        await resolve(conn, at, NO, cell=0, new_id=h.new_id)
        await sent_again(conn, shop)
        return public_id("dlv", 0, at)

    plant(once)
    assert look(database_url) == []
    assert told_twice(database_url)["what"] == "nobody in the last 7 days"
