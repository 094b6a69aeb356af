"""Whatever somebody has at hand leads to the notification, and to what became of it."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from notifyq.cli.show import NEWEST, show
from notifyq.domain.ids import notification_of, public_id, reference
from notifyq.domain.model import RANK_DELIVERED
from notifyq.domain.outcome import Accepted
from notifyq.store import db
from notifyq.store.db import Conn
from tests.store import helpers as h

NUMBER = "+14155550123"
KEY = "order-8123-shipped"
SID = "SM" + "a" * 32
MD5_KEY = hashlib.md5(b"a key", usedforsecurity=False).hexdigest()
Work = Callable[[Conn, h.Shop], Awaitable[Any]]


@pytest.fixture
def plant(database_url: str) -> Callable[[Work], Any]:
    def do(work: Work) -> Any:
        async def run() -> Any:
            async with await db.connect(database_url) as conn:
                return await work(conn, await h.open_shop(conn, "acme"))

        return asyncio.run(run())

    return do


@pytest.fixture
def run(database_url: str) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(
        show, arguments, env={"NOTIFYQ_DATABASE_URL": database_url}
    )


def told(run: Callable[..., Result], what: str) -> list[dict[str, Any]]:
    result = run(what, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


async def delivered(conn: Conn, shop: h.Shop, key: str = KEY) -> UUID:
    """Send one message to the end; return its delivery."""
    (ready,) = await h.begun(conn, shop, h.make_ask(shop, key=key, to=NUMBER))
    await h.settled(conn, h.post_of(shop), (ready, Accepted(SID)))
    found = ready.due.delivery_id
    await h.told(conn, h.receipt_for(found, 1, RANK_DELIVERED, provider_id=SID, status="delivered"))
    return found


def test_any_of_its_names_leads_to_it(
    plant: Callable[[Work], Any], run: Callable[..., Result]
) -> None:
    delivery = plant(delivered)
    named = public_id("ntf", 0, notification_of(delivery))
    names = [
        named,
        public_id("dlv", 0, delivery),
        reference(0, delivery, 1),
        str(delivery),
        KEY,
        SID,
        NUMBER,
        " +1 415-555-0123 ",
    ]
    for name in names:
        assert [one["id"] for one in told(run, name)] == [named], name


def test_a_key_with_the_shape_of_a_reference_is_found_as_a_key(
    plant: Callable[[Work], Any], run: Callable[..., Result]
) -> None:
    delivery = plant(lambda conn, shop: delivered(conn, shop, key=MD5_KEY))
    (found,) = told(run, MD5_KEY)
    assert found["id"] == public_id("ntf", 0, notification_of(delivery))


def test_it_shows_header_deliveries_and_timeline(
    plant: Callable[[Work], Any], run: Callable[..., Result]
) -> None:
    delivery = plant(delivered)
    result = run(KEY)
    assert result.exit_code == 0
    head, deliveries, timeline = result.stdout.split("\n\n")
    assert head.startswith(f"{public_id('ntf', 0, notification_of(delivery))}  live\n")
    for name, value in (("tenant", "acme"), ("category", "order.shipped (transactional)")):
        assert f"{name:10}  {value}\n" in head + "\n"
    assert "accepted " in head
    assert "expires " in head
    assert public_id("dlv", 0, delivery) in deliveries
    assert "delivered" in deliveries
    events = [line.split()[2] for line in timeline.splitlines()[1:]]
    assert events == [
        "notification.accepted",
        "attempt.begun",
        "attempt.accepted",
        "receipt",
        "delivery.delivered",
    ]
    assert SID in timeline
    assert "twilio" in timeline
    assert NUMBER not in result.stdout


def test_why_it_was_not_sent_is_in_it(
    plant: Callable[[Work], Any], run: Callable[..., Result]
) -> None:
    async def suppressed(conn: Conn, shop: h.Shop) -> None:
        await h.opt_out(conn, shop, NUMBER)
        await h.accepted(conn, h.make_ask(shop, key=KEY, to=NUMBER))
        await h.begin(conn, h.post_of(shop))

    plant(suppressed)
    (found,) = told(run, KEY)
    (delivery,) = found["deliveries"]
    assert (delivery["state"], delivery["reason"]) == ("suppressed", "opted_out")
    assert found["timeline"][-1]["reason"] == "opted_out"
    assert "opted_out" in run(NUMBER).stdout


def test_a_number_leads_to_its_newest_twenty(
    plant: Callable[[Work], Any], run: Callable[..., Result]
) -> None:
    async def many(conn: Conn, shop: h.Shop) -> list[UUID]:
        asks = [h.make_ask(shop, to=NUMBER, body=f"{n}") for n in range(NEWEST + 1)]
        return await h.accepted(conn, *asks)

    made = plant(many)
    newest = sorted((notification_of(one) for one in made), reverse=True)[:NEWEST]
    found = told(run, NUMBER)
    assert [one["id"] for one in found] == [public_id("ntf", 0, one) for one in newest]
    result = run(NUMBER)
    assert f"{NEWEST} notifications, the newest first" in result.stdout
    assert result.stdout.count("pending") == NEWEST


def test_the_same_key_of_two_tenants_shows_both(
    plant: Callable[[Work], Any], run: Callable[..., Result]
) -> None:
    async def both(conn: Conn, shop: h.Shop) -> None:
        other = await h.open_shop(conn, "other")
        for one in (shop, other):
            await h.accepted(conn, h.make_ask(one, key=KEY, to=NUMBER))

    plant(both)
    assert {one["tenant"] for one in told(run, KEY)} == {"acme", "other"}


@pytest.mark.parametrize(
    "what",
    [
        "ntf_zzz",
        "ntf_" + "0" * 29,
        "dlv_" + "v" * 29,
        "v" * 32,
        MD5_KEY,
        "+14155550199",
        "SM" + "0" * 32,
        "00000000-0000-7000-8000-000000000000",
        "",
        "é",
        "'; DROP TABLE notifyq.tenant; --",
    ],
)
def test_what_is_not_there_is_said(run: Callable[..., Result], what: str) -> None:
    result = run(what)
    assert result.exit_code == 1
    assert "nothing is known by" in result.stderr
    assert result.stdout == ""


def test_without_a_database_url_it_is_misused() -> None:
    result = CliRunner().invoke(show, [KEY], env={"NOTIFYQ_DATABASE_URL": None})
    assert result.exit_code == 2
    assert "NOTIFYQ_DATABASE_URL" in result.stderr
