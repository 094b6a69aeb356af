"""why_not_sent: what decided over what did not go out, by psql, as the role that may only read."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifyq import migrate
from notifyq.domain.consent import Kind
from notifyq.domain.outcome import Accepted, InDoubt, Outcome, Refusal, Refused, Throttled
from notifyq.store import catalog, db
from notifyq.store.db import Conn
from tests.audit.test_audit_files import psql
from tests.services import explain_cases as c
from tests.services.explain_cases import CAPPED, CASES, SHIPPED
from tests.store import helpers as h

FILE = Path(migrate.files("sql") / "lookup" / "why_not_sent.sql")
Live = Callable[[Callable[[Conn, h.Shop], Any]], list[dict[str, str]]]


@pytest.fixture
def lookup(database_url: str) -> Live:
    """lookup(work): what the look-up tells of u42's number after that."""

    def do(work: Callable[[Conn, h.Shop], Any]) -> list[dict[str, str]]:
        async def inside() -> None:
            async with await db.connect(database_url) as conn:
                await catalog.make_roles(conn)
                await conn.commit()
                await work(conn, await h.open_shop(conn))

        asyncio.run(inside())
        return psql(database_url, FILE, number=h.PHONE)

    return do


@pytest.mark.parametrize(
    "name", ["opted out", "opted out of codes", "preference off", "dead address", "capped",
             "quiet hours", "no written consent", "a text that nobody read"],
)  # fmt: skip
def test_it_tells_what_explain_told_before(lookup: Live, name: str) -> None:
    case = CASES[name]

    async def live(conn: Conn, shop: h.Shop) -> None:
        await case.plant(conn, shop)
        await h.accepted(conn, c.asking(shop, case.category))
        await h.begin(conn, h.post_of(shop))

    row = lookup(live)[0]
    assert (row["reason"], row["category"], row["tenant"]) == (
        case.reason, case.category.name, "acme",
    )  # fmt: skip
    assert row["state"] == {"wait": "pending", "suppress": "suppressed"}[case.verdict]
    assert (row["due"] != "") is (case.verdict == "wait")
    assert (row["word"] == "opt_out") is name.startswith("opted out")
    assert (row["dead_code"] == "410") is (name == "dead address")
    assert row["begun_in_day"] == {"capped": "2"}.get(name, "0" if case.category.cap else "")
    assert row["attempts"] == "0"


def test_the_word_that_decided_is_the_one_of_then_and_what_took_it_back(lookup: Live) -> None:
    async def live(conn: Conn, shop: h.Shop) -> None:
        for seconds, kind in ((90, Kind.OPT_OUT), (60, Kind.LIFT)):
            await h.accepted(conn, c.asking(shop, SHIPPED, recipient=None))
            await c.says(conn, shop, kind, seconds=seconds)
            turn = await h.begin(conn, h.post_of(shop))
            assert len(turn.ready) == (kind is Kind.LIFT)
        await c.says(conn, shop, Kind.OPT_OUT, seconds=30, program="codes")
        await c.says(conn, shop, Kind.OPT_OUT, seconds=1)

    (row,) = lookup(live)  # the second one was sent
    assert (row["word"], row["word_program"], row["word_source"]) == ("opt_out", "", "sms")
    assert row["word_reason"] == "a text: stop"
    assert row["word_at"] < row["word_stored_at"] < row["lifted_at"]


def test_a_code_is_not_stopped_by_the_brand_nor_an_order_by_its_program(lookup: Live) -> None:
    async def live(conn: Conn, shop: h.Shop) -> None:
        await c.says(conn, shop, Kind.OPT_OUT, program="codes")
        await h.accepted(conn, c.asking(shop, SHIPPED, recipient=None, lifetime_s=-1))
        await h.begin(conn, h.post_of(shop))

    (row,) = lookup(live)
    assert (row["reason"], row["word"]) == ("expired", "")


def test_what_a_provider_has_or_may_have_is_not_told(lookup: Live) -> None:
    async def live(conn: Conn, shop: h.Shop) -> None:
        asks = [c.asking(shop, SHIPPED, recipient=None) for _ in range(5)]
        ready = await h.begun(conn, shop, *asks)
        ended: list[Outcome] = [Accepted("SM1"), InDoubt("cut"), Throttled("429"),
                 Refused(Refusal.CONTENT, "30007")]  # fmt: skip
        await h.settled(conn, h.post_of(shop), *zip(ready, ended, strict=False))
        await h.accepted(conn, c.asking(shop, SHIPPED, to="+14155550199", recipient=None))

    refused, throttled = lookup(live)
    assert (refused["state"], refused["outcome"], refused["code"]) == ("dead", "refused", "30007")
    assert (throttled["reason"], throttled["outcome"]) == ("retry_throttled", "throttled")
    assert (throttled["attempts"], throttled["due"] != "") == ("1", True)


def test_begins_are_counted_in_the_day_before_it_waited(lookup: Live) -> None:
    async def live(conn: Conn, shop: h.Shop) -> None:
        await h.begun(conn, shop, *(c.asking(shop, CAPPED) for _ in range(2)))
        await conn.execute("UPDATE attempt SET began_at = began_at - interval '25 hours'"
                           " WHERE delivery_id = (SELECT min(delivery_id::text)::uuid"
                           " FROM attempt)")  # fmt: skip
        await conn.commit()
        await h.accepted(conn, c.asking(shop, CAPPED))
        await h.begin(conn, h.post_of(shop))
        await conn.execute("UPDATE job SET due = %s", [h.database_now() + timedelta(hours=1)])
        await conn.commit()

    (row,) = lookup(live)
    assert (row["reason"], row["begun_in_day"], row["cap"]) == ("capped", "1", "2")


def test_of_nobody_there_is_no_row(lookup: Live) -> None:
    async def nothing(conn: Conn, shop: h.Shop) -> None:
        pass

    assert lookup(nothing) == []
