"""Doubts that only a look-up can settle: the worker against the real sandbox, callbacks silent."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from notifyq.bootstrap.accounts import accounts
from notifyq.config.settings import SANDBOX
from notifyq.domain.message import Message
from notifyq.domain.model import Category, Channel, DoubtRules
from notifyq.domain.outcome import InDoubt, Outcome
from notifyq.domain.provider import LookUpFailed, Seen, Sighting, Sought
from notifyq.entrypoints.worker import looking_up
from notifyq.providers.twilio.client import Twilio
from notifyq.providers.wire import Wire
from notifyq.sandbox.twilio.rules import ACCOUNT_SID, AUTH_TOKEN
from notifyq.store import db

SOON = DoubtRules(60.0, (0.3, 0.3, 0.6, 1.0, 1.0, 2.0, 3.0, 4.0))
IN_STATE = "SELECT count(*) = %s FROM delivery WHERE state = %s::delivery_state"
LOOKED = "SELECT coalesce(max(step), 0) >= %s FROM timer WHERE kind = 'look_up'"
SID = "SM" + "c" * 32


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The loop looks more often than it would; what it says is heard."""
    monkeypatch.setattr(looking_up, "POLL_S", 0.05)
    monkeypatch.setattr(looking_up, "FAILED_S", 0.05)
    caplog.set_level(logging.DEBUG, "notifyq.reconcile")


async def silent(rig: Any) -> None:
    """The sandbox takes messages and says so to nobody."""
    await rig.script("drop_after_accept", times=None)
    await rig.script("no_callbacks", times=None)


async def test_a_doubt_is_settled_by_a_look_up_when_callbacks_are_silent(
    rig: Any, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await silent(rig)
    await rig.start(doubt=SOON)
    named = await rig.accept(text="only the list knows")
    await database.until(IN_STATE, 1, "delivered")
    (row,) = await rig.received()
    assert await database.rows("SELECT outcome::text, provider_id, code FROM attempt") == [
        ("accepted", row["provider_id"], "closed")
    ]
    assert await database.rows("SELECT provider, status FROM receipt") == [
        ("sandbox-sms", "look_up:delivered")
    ]
    assert await database.one("SELECT count(*) FROM timer") == 0
    assert "event=look_up.settled" in caplog.text
    assert "only the list knows" not in caplog.text
    headers = {"Authorization": f"Bearer {rig.keys.test}"}
    answer = await rig.api.get(f"/v1/notifications/{named}/timeline", headers=headers)
    assert "look_up:delivered" in answer.text


async def test_a_list_that_lags_is_found_at_a_later_step(
    rig: Any, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await silent(rig)
    await rig.script("lookup_lag", lag_s=1.0)
    await rig.start(doubt=SOON)
    await rig.accept(text="late in the list")
    await database.until(LOOKED, 2)
    assert "event=look_up.not_found" in caplog.text
    await database.until(IN_STATE, 1, "delivered")
    assert len(await rig.received()) == 1


@pytest.mark.parametrize("fault", ["lookup_error", "lookup_throttle", "lookup_drop"])
async def test_a_look_up_that_fails_is_made_again(
    rig: Any, database: Any, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    await silent(rig)
    await rig.script(fault)
    await rig.start(doubt=SOON)
    await rig.accept(text="once more")
    await database.until(IN_STATE, 1, "delivered")
    assert caplog.text.count("event=look_up.failed") == 1
    assert len(await rig.received()) == 1


async def test_two_equal_texts_to_one_number_stay_in_doubt(
    rig: Any, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await silent(rig)
    for _ in range(2):
        await rig.accept(text="your driver is arriving")
    await rig.accept(text="your driver has arrived")
    await rig.start(doubt=DoubtRules(60.0, (0.5, 0.2)))
    await database.until(IN_STATE, 1, "delivered")
    await database.until("SELECT count(*) = 0 FROM timer WHERE kind = 'look_up'")
    assert await database.one(IN_STATE, 2, "in_doubt")
    assert "event=look_up.ambiguous" in caplog.text
    assert len(await rig.received()) == 3


async def test_what_was_never_carried_out_is_not_found_and_stays_in_doubt(
    rig: Any, database: Any
) -> None:
    await rig.script("drop_before_accept")
    await rig.start(doubt=DoubtRules(60.0, (0.2, 0.2)))
    await rig.accept(text="never there")
    await database.until(IN_STATE, 1, "in_doubt")
    await database.until("SELECT count(*) = 0 FROM timer WHERE kind = 'look_up'")
    assert await database.rows("SELECT state::text, reason FROM delivery") == [
        ("in_doubt", "answer_lost")
    ]
    assert await database.rows("SELECT kind FROM timer") == [("settle_window",)]


# --------------------------------------------------------------------------- beside the sends


@pytest.mark.parametrize("wrong", [False, True], ids=["as_written", "mutant"])
async def test_a_look_up_does_not_wait_for_a_sends_place(
    rig: Any, database: Any, wrong: bool
) -> None:
    """All places are taken by sends that hang; the mutant has as many sockets as sends."""
    room = 2
    narrow = Twilio(
        name="sandbox-sms",
        base_url=f"{rig.settings.sandbox_url}/twilio",
        account_sid=ACCOUNT_SID,
        auth_token=AUTH_TOKEN,
        wire=Wire(max_in_flight=room),
        now=lambda: datetime.now(UTC),
    )
    await rig.script("hold_before_accept", match={"body_contains": "hang"}, times=None)
    await silent(rig)
    await rig.accept(text="lost")
    rules = DoubtRules(60.0, (2.0, 1.0, 1.0))
    provider = narrow if wrong else None
    await rig.start(provider=provider, room=room, timeout_s=20, lease_s=25, doubt=rules)
    await database.until(IN_STATE, 1, "in_doubt")
    for number in range(room):
        await rig.accept(text=f"hang {number}")
    await rig.held(room)
    if wrong:
        await database.until(LOOKED, 1)
        await asyncio.sleep(0.5)
        assert await database.one(IN_STATE, 1, "in_doubt")
    else:
        await database.until(IN_STATE, 1, "delivered")
    await rig.held(room)
    await rig.release()
    await narrow.close()


class Fake:
    """A provider that loses every answer, and lists what it is told to."""

    name = "fake"

    def __init__(self, look: Callable[[Sought], Awaitable[Seen | LookUpFailed]]) -> None:
        self.look = look

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        return InDoubt("closed")

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        return await self.look(sought)


def shown(sought: Sought) -> Seen:
    return Seen((Sighting(SID, sought.since + (sought.until - sought.since) / 4, "sent", 3, None),))


async def test_a_stop_ends_a_look_up_at_once_and_the_next_worker_makes_it_again(
    rig: Any, database: Any
) -> None:
    asked = asyncio.Event()

    async def hang(_: Sought) -> Seen:
        asked.set()
        await asyncio.sleep(3_600)
        return Seen(())

    run = await rig.start(provider=Fake(hang), doubt=SOON)
    await rig.accept(text="asked for when it stopped")
    async with asyncio.timeout(10):
        await asked.wait()
    rig.stop.set()
    async with asyncio.timeout(5):
        await run
    assert await database.one(IN_STATE, 1, "in_doubt")
    assert await database.rows("SELECT step FROM timer WHERE kind = 'look_up'") == [(1,)]

    async def find(sought: Sought) -> Seen:
        return shown(sought)

    rig.stop = asyncio.Event()
    await rig.start(provider=Fake(find), doubt=SOON)
    await database.until(IN_STATE, 1, "sent")


async def test_a_look_up_whose_connection_breaks_goes_on_with_another(
    rig: Any, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cuts = 0

    async def cut_and_find(sought: Sought) -> Seen:
        nonlocal cuts
        if cuts < 2:
            cuts += 1
            with suppress(AssertionError):
                await database.do(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND query LIKE '%%COMMIT%%'"
                    "   AND pid <> pg_backend_pid()"
                )
        return shown(sought)

    await rig.start(provider=Fake(cut_and_find), doubt=SOON)
    await rig.accept(text="cut")
    await database.until(IN_STATE, 1, "sent")
    assert cuts == 2
    assert "event=look_up.fake.broken" in caplog.text


async def test_a_lane_without_a_schedule_looks_nothing_up(rig: Any, database: Any) -> None:
    connections = 0

    async def never(_: Sought) -> Seen:
        raise AssertionError("nobody asked for it")

    async def connect() -> db.Conn:
        nonlocal connections
        connections += 1
        return await db.connect(rig.settings.database_url, hot=True)

    await rig.start(provider=Fake(never), connect=connect, doubt=DoubtRules(60.0))
    await rig.accept(text="no list")
    await database.until(IN_STATE, 1, "in_doubt")
    assert await database.rows("SELECT kind FROM timer") == [("settle_window",)]
    assert connections == 2  # claims and settling


async def test_the_accounts_have_the_schedules_of_the_settings(rig: Any) -> None:
    assert {account.name: account.doubt.look_up_s for account in accounts(rig.settings)} == {
        "twilio-main": (5, 30, 120, 600, 1_800),
        "twilio-spare": (5, 30, 120, 600, 1_800),
        "sandbox-sms": (2, 5, 15, 30),
        **dict.fromkeys(("sandbox-email", "sandbox-apns", "sandbox-fcm"), ()),  # they have no list
    }


@pytest.mark.parametrize(("resend_after_s", "window_s"), [(15, 60), (30, 60), (31, 62), (90, 180)])
def test_the_sandboxs_window_is_not_over_before_a_resend(
    settings: Any, resend_after_s: int, window_s: float
) -> None:
    again = Category("login.code", resend_after_s=resend_after_s)
    changed = settings.model_copy(update={"categories": {"login.code": again}})
    (sandbox,) = [a for a in accounts(changed) if a.name == SANDBOX[Channel.SMS][0]]
    assert sandbox.doubt.settle_window_s == window_s
