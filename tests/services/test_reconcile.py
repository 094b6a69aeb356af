"""Reconcile: what a provider's list proves settles a doubt, once; all else changes nothing."""

import inspect
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from notifyq.domain.doubts import BY_HAND, Claim
from notifyq.domain.message import Sender
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Category, DoubtRules, Ready
from notifyq.domain.outcome import Accepted, InDoubt, Refusal, Refused
from notifyq.domain.provider import LookUpFailed, Seen, Sighting, Sought
from notifyq.services import maintain, reconcile
from notifyq.services.reconcile import Looked, LookUpRules, Result
from notifyq.services.resolve import Answer, Witness, resolve
from notifyq.store import db, look_ups, receipts
from tests.store import helpers as h

WAITS_S = (5.0, 30.0, 120.0)
DOUBT = DoubtRules(h.SETTLE_WINDOW_S, WAITS_S)
SENDER = Sender("+15005550006")
RULES = LookUpRules(WAITS_S, 5.0, lambda brand, program: SENDER, h.DEDUPE_DAYS)
AT_LEAST_ONCE = Category("order.shipped", resend_after_s=15)
SENT = 3  # a rank below both ends
RIGHT_AND_WRONG = pytest.mark.parametrize("wrong", [False, True], ids=["as_written", "mutant"])


@dataclass
class List:
    """A provider's list of messages; `during` happens while it is read."""

    name: str = "twilio"
    messages: list[Sighting] = field(default_factory=list)
    fails: str | None = None
    during: Callable[[], Awaitable[object]] | None = None
    asked: list[Sought] = field(default_factory=list)

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        self.asked.append(sought)
        if self.during is not None:
            await self.during()
        if self.fails is not None:
            return LookUpFailed(self.fails)
        return Seen(tuple(self.messages))

    @classmethod
    def showing(
        cls, *args: Any, during: Callable[[], Awaitable[object]] | None = None, **about: Any
    ) -> "List":
        """A list with one message on it."""
        made = cls(during=during)
        made.shows(*args, **about)
        return made

    def shows(
        self, name: str = "SM1", *, rank: int = SENT, status: str = "sent", at: Any = None
    ) -> None:
        created = h.database_now() if at is None else at
        self.messages.append(Sighting(name, created, status, rank, None))


@pytest.fixture
async def hot(database_url: str) -> Any:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


@pytest.fixture
async def beside(database_url: str) -> Any:
    """A second connection, for what happens while a provider is asked."""
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


@pytest.fixture(autouse=True)
def schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lanes of this file have one."""
    rules = replace(h.SETTLE_RULES, doubt=DOUBT)
    monkeypatch.setattr(h, "SETTLE_RULES", rules)


@pytest.fixture
async def shop(hot: db.Conn) -> h.Shop:
    return await h.open_shop(hot)


async def doubtful(conn: db.Conn, shop: h.Shop, **ask: Any) -> Ready:
    """Begin an attempt and lose its answer."""
    (ready,) = await h.begun(conn, shop, h.make_ask(shop, **ask))
    await h.settled(conn, h.post_of(shop), (ready, InDoubt("closed")))
    return ready


async def look(
    conn: db.Conn, shop: h.Shop, provider: Any, rules: LookUpRules = RULES, *, due: bool = True
) -> Looked | None:
    """Make the next look-up; due: whatever its time."""
    if due:
        await conn.execute("UPDATE timer SET due = now() WHERE kind = 'look_up'")
        await conn.commit()
    looked = await reconcile.reconcile_due(
        conn, provider, rules, cell=0, lane=shop.lane, new_id=h.new_id
    )
    assert not isinstance(looked, db.Unknown), looked
    return looked


def result(looked: Looked | None) -> Result | None:
    return None if looked is None else looked.result


async def look_up_timer(conn: db.Conn) -> tuple[int, float] | None:
    """(look-ups made, seconds to the next one)."""
    rows = await h.all_rows(
        conn, "SELECT step, extract(epoch FROM due - now())::float8 FROM timer WHERE kind='look_up'"
    )
    await conn.commit()
    return (rows[0][0], rows[0][1]) if rows else None


# ---------------------------------------------------------------------------------- settled


@pytest.mark.parametrize(
    ("rank", "state", "outcome"),
    [
        (1, "sent", "accepted"),
        (SENT, "sent", "accepted"),
        (RANK_DELIVERED, "delivered", "accepted"),
        (RANK_UNDELIVERED, "undelivered", "bounced"),
    ],
)
async def test_a_message_that_is_there_settles_the_doubt_and_one_sees_what_did(
    hot: db.Conn, shop: h.Shop, rank: int, state: str, outcome: str
) -> None:
    ready = await doubtful(hot, shop)
    at = ready.due.delivery_id
    provider = List.showing(rank=rank, status="word")
    looked = await look(hot, shop, provider)
    assert looked == Looked(at, 1, 1, Result.SETTLED, state)
    after = await h.standing(hot, at)
    letters = ("undelivered",) if state == "undelivered" else ()
    assert (after.state, after.outcomes, after.timers) == (state, (outcome,), 0)
    assert after.dead_letters == letters
    kept = await h.all_rows(hot, "SELECT number, provider, provider_id, status FROM receipt")
    assert kept == [(1, "twilio", "SM1", "look_up:word")]
    assert await h.one(hot, "SELECT provider_id FROM attempt") == "SM1"
    told = await h.all_rows(hot, "SELECT kind FROM outbox ORDER BY id DESC LIMIT 1")
    assert told == [(f"delivery.{state}",)]
    assert await h.faults(hot) == []
    await hot.commit()
    assert await look(hot, shop, provider) is None


async def test_what_is_sought_is_the_text_to_the_address_in_the_time_of_its_attempt(
    hot: db.Conn,
    shop: h.Shop,
) -> None:
    await doubtful(hot, shop, to="+14155550177", body="Ünï")
    began, send_by = (await h.all_rows(hot, "SELECT began_at, send_by FROM attempt"))[0]
    provider = List()
    await look(hot, shop, provider)
    (sought,) = provider.asked
    assert (sought.to, sought.sender, sought.body) == ("+14155550177", SENDER.address, "Ünï")
    assert began - timedelta(seconds=11) < sought.since < began
    assert send_by + timedelta(seconds=30) <= sought.until <= send_by + timedelta(seconds=60)


async def test_the_next_channels_turn_comes_after_a_message_that_was_not_delivered(
    hot: db.Conn,
    shop: h.Shop,
) -> None:
    ready = await doubtful(hot, shop)
    behind = UUID(int=ready.due.delivery_id.int + 1)
    await hot.execute(
        "INSERT INTO delivery (cell, criticality, tenant_id, id, channel, state, expires_at, "
        "brand, program, address_key, reason) SELECT cell, criticality, tenant_id, %s, channel, "
        "'standby', expires_at, brand, program, address_key, 'earlier_channel' FROM delivery",
        [behind],
    )
    await hot.execute("INSERT INTO standby VALUES (0, %s, %s)", [behind, shop.lane.id])
    await hot.commit()
    assert result(await look(hot, shop, List.showing(rank=RANK_UNDELIVERED))) is Result.SETTLED
    assert (await h.standing(hot, behind)).reason == "turn_came"
    assert (await h.standing(hot, behind)).jobs == 1


async def test_a_closed_fence_does_not_matter_for_nothing_is_sent(
    hot: db.Conn, shop: h.Shop
) -> None:
    ready = await doubtful(hot, shop)
    await hot.execute("UPDATE fence SET phase = 'closed', region = 'elsewhere', epoch = 7")
    await hot.commit()
    assert result(await look(hot, shop, List.showing())) is Result.SETTLED
    assert (await h.standing(hot, ready.due.delivery_id)).state == "sent"


async def test_a_lease_that_ran_out_is_looked_up_too(hot: db.Conn, shop: h.Shop) -> None:
    (ready,) = await h.begun(hot, shop, h.make_ask(shop), lease_s=-1.0)
    await h.swept(hot, maintain.Rules({"twilio": DOUBT}, DoubtRules(1.0), h.DEDUPE_DAYS))
    assert result(await look(hot, shop, List.showing())) is Result.SETTLED
    after = await h.standing(hot, ready.due.delivery_id)
    assert after == h.Standing("sent", None, ("accepted",), 0, 0, ())


# ------------------------------------------------------------------------------ the schedule


async def test_each_step_waits_as_long_as_the_schedule_says_and_the_last_is_the_last(
    hot: db.Conn,
    shop: h.Shop,
) -> None:
    ready = await doubtful(hot, shop)
    provider = List()
    for step, wait_s in enumerate(WAITS_S):
        timer = await look_up_timer(hot)
        assert timer is not None
        assert timer[0] == step
        assert wait_s - 2 < timer[1] <= wait_s
        assert await look(hot, shop, provider, due=False) is None
        assert result(await look(hot, shop, provider)) is Result.NOT_FOUND
    assert await look_up_timer(hot) is None
    assert await look(hot, shop, provider) is None
    after = await h.standing(hot, ready.due.delivery_id)
    # Nothing found is no proof of anything: the window goes on.
    assert after == h.Standing("in_doubt", "answer_lost", ("in_doubt",), 0, 1, ())
    assert len(provider.asked) == len(WAITS_S)


async def test_a_list_that_lags_is_found_by_a_later_step(hot: db.Conn, shop: h.Shop) -> None:
    ready = await doubtful(hot, shop)
    provider = List()
    assert result(await look(hot, shop, provider)) is Result.NOT_FOUND
    provider.fails = "20429"
    assert result(await look(hot, shop, provider)) is Result.FAILED
    provider.fails = None
    provider.shows()
    looked = await look(hot, shop, provider)
    assert looked is not None
    assert (looked.result, looked.step) == (Result.SETTLED, 3)
    assert (await h.standing(hot, ready.due.delivery_id)).state == "sent"


async def test_a_schedule_that_was_shortened_meanwhile_ends_earlier(
    hot: db.Conn, shop: h.Shop
) -> None:
    await doubtful(hot, shop)
    provider = List()
    short = replace(RULES, waits_s=(5.0,))
    assert result(await look(hot, shop, provider, short)) is Result.NOT_FOUND
    assert await look_up_timer(hot) is None


async def test_nobody_looks_once_the_window_is_over(hot: db.Conn, shop: h.Shop) -> None:
    """An unknown one is corrected by a callback or by a person; no timer is left to look by."""
    ready = await doubtful(hot, shop)
    await hot.execute("UPDATE timer SET due = now() - interval '1 s' WHERE kind <> 'look_up'")
    await hot.commit()
    assert (await h.swept(hot)).windows == 1
    provider = List.showing()
    assert await look(hot, shop, provider) is None
    assert provider.asked == []
    assert (await h.standing(hot, ready.due.delivery_id)).state == "unknown"


async def test_the_window_that_ends_during_the_call_is_corrected_by_it(
    hot: db.Conn, shop: h.Shop, beside: db.Conn
) -> None:
    ready = await doubtful(hot, shop)

    async def window_over() -> None:
        await beside.execute("UPDATE timer SET due = now() - interval '1 s'")
        await beside.commit()
        assert (await h.swept(beside)).windows == 1

    assert result(await look(hot, shop, List.showing(during=window_over))) is Result.SETTLED
    after = await h.standing(hot, ready.due.delivery_id)
    assert after == h.Standing("sent", None, ("accepted",), 0, 0, ())


async def test_a_lane_takes_its_own_look_ups_only(hot: db.Conn, shop: h.Shop) -> None:
    other = await h.open_shop(hot, "globex", provider="sinch")
    await doubtful(hot, shop)
    provider = List()
    assert await look(hot, other, provider) is None
    assert result(await look(hot, shop, provider)) is Result.NOT_FOUND


async def test_two_workers_do_not_make_the_same_look_up(
    hot: db.Conn, shop: h.Shop, beside: db.Conn
) -> None:
    await doubtful(hot, shop)
    provider = List()

    async def again() -> None:
        assert await look(beside, shop, List(), due=False) is None

    provider.during = again
    assert result(await look(hot, shop, provider)) is Result.NOT_FOUND
    # Nor while the first has not committed yet.
    await hot.execute("UPDATE timer SET due = now() WHERE kind = 'look_up'")
    await hot.commit()
    first = await look_ups.claim(hot, cell=0, lane=shop.lane.id, waits_s=WAITS_S)
    assert first is not None
    assert await look(beside, shop, List(), due=False) is None
    await hot.commit()


async def test_without_a_sender_or_without_its_text_nothing_is_asked(
    hot: db.Conn, shop: h.Shop
) -> None:
    await doubtful(hot, shop)
    provider = List()
    nobody = replace(RULES, sender=lambda brand, program: None)
    looked = await look(hot, shop, provider, nobody)
    assert looked is not None
    assert (looked.result, looked.detail) == (Result.FAILED, "no_sender")
    await hot.execute("DELETE FROM content")
    assert await look(hot, shop, provider) is None
    assert provider.asked == []


# ---------------------------------------------------------------------------- whose message


async def test_two_equal_texts_to_one_number_stay_in_doubt(hot: db.Conn, shop: h.Shop) -> None:
    first, second = await doubtful(hot, shop), await doubtful(hot, shop)
    provider = List.showing("SM1")
    for _ in range(2):  # each of the two is looked up
        assert result(await look(hot, shop, provider)) is Result.AMBIGUOUS
    provider.shows("SM2")
    assert result(await look(hot, shop, provider)) is Result.AMBIGUOUS
    for ready in (first, second):
        after = await h.standing(hot, ready.due.delivery_id)
        assert (after.state, after.outcomes) == ("in_doubt", ("in_doubt",))
    assert await h.one(hot, "SELECT count(*) FROM receipt") == 0


async def test_once_the_one_is_settled_the_other_is_found(hot: db.Conn, shop: h.Shop) -> None:
    first, second = await doubtful(hot, shop), await doubtful(hot, shop)
    at = second.due.delivery_id
    await h.told(hot, h.receipt_for(first.due.delivery_id, 1, SENT, provider_id="SM1"))
    provider = List.showing("SM1")
    assert result(await look(hot, shop, provider)) is Result.NOT_FOUND
    provider.shows("SM2")
    assert result(await look(hot, shop, provider)) is Result.SETTLED
    assert await h.one(
        hot, "SELECT provider_id FROM attempt WHERE delivery_id = %(at)s", at=at
    ) == ("SM2")


@pytest.mark.parametrize("change", [{"to": "+14155550177"}, {"body": "another"}])
async def test_another_number_or_another_text_makes_nothing_ambiguous(
    hot: db.Conn, shop: h.Shop, change: dict[str, str]
) -> None:
    ready = await doubtful(hot, shop)
    await doubtful(hot, shop, **change)
    await hot.execute("DELETE FROM timer WHERE delivery_id <> %s", [ready.due.delivery_id])
    assert result(await look(hot, shop, List.showing())) is Result.SETTLED


async def test_one_whose_text_is_gone_may_have_been_the_same(hot: db.Conn, shop: h.Shop) -> None:
    ready = await doubtful(hot, shop)
    gone = await doubtful(hot, shop, body="another")
    await hot.execute("DELETE FROM content WHERE delivery_id = %s", [gone.due.delivery_id])
    await hot.execute("DELETE FROM timer WHERE delivery_id <> %s", [ready.due.delivery_id])
    assert result(await look(hot, shop, List.showing())) is Result.AMBIGUOUS


async def test_a_message_of_an_earlier_attempt_is_not_taken(hot: db.Conn, shop: h.Shop) -> None:
    """The earlier one was accepted and has its name; ours was never carried out."""
    (earlier,) = await h.begun(hot, shop, h.make_ask(shop))
    await h.settled(hot, h.post_of(shop), (earlier, Accepted("SM1")))
    ready = await doubtful(hot, shop)
    assert result(await look(hot, shop, List.showing("SM1"))) is Result.NOT_FOUND
    assert (await h.standing(hot, ready.due.delivery_id)).state == "in_doubt"


async def test_one_that_is_unknown_for_good_is_still_a_rival(hot: db.Conn, shop: h.Shop) -> None:
    await doubtful(hot, shop)
    await hot.execute("UPDATE timer SET due = now() - interval '1 s'")
    await hot.commit()
    assert (await h.swept(hot)).windows == 1
    await doubtful(hot, shop)
    assert result(await look(hot, shop, List.showing())) is Result.AMBIGUOUS


async def test_one_that_was_abandoned_is_still_a_rival(hot: db.Conn, shop: h.Shop) -> None:
    await doubtful(hot, shop, category=AT_LEAST_ONCE)
    await resend(hot)
    await hot.execute("DELETE FROM job")
    await hot.commit()
    await doubtful(hot, shop)
    assert result(await look(hot, shop, List.showing())) is Result.AMBIGUOUS


CARRIED = Witness(Claim.CARRIED_OUT, "jo", "asked", "the recipient showed it")


async def by_hand(conn: db.Conn, ready: Ready) -> None:
    """Somebody says that it was carried out, and does not know the provider's name for it."""
    await conn.execute("UPDATE attempt SET send_by = now() WHERE outcome <> 'open'")
    await conn.commit()
    said = await resolve(conn, ready.due.delivery_id, CARRIED, cell=0, new_id=h.new_id)
    assert isinstance(said, Answer)
    assert said.objection is None


async def carried_out(conn: db.Conn, shop: h.Shop, *, abandoned: bool) -> Ready:
    """One whose doubt somebody ended by hand; abandoned: its attempt had been given up before."""
    ready = await doubtful(conn, shop, category=AT_LEAST_ONCE)
    if abandoned:
        await resend(conn)
        (again,) = (await h.begin(conn, h.post_of(shop))).ready
        await h.settled(conn, h.post_of(shop), (again, Refused(Refusal.CONTENT, "21617")))
    await by_hand(conn, ready)
    named = "SELECT provider_id FROM attempt WHERE delivery_id = %(at)s AND number = 1"
    name = await h.one(conn, named, at=ready.due.delivery_id)
    assert name.startswith(BY_HAND)
    return ready


@pytest.mark.parametrize("abandoned", [False, True])
async def test_one_that_somebody_named_by_hand_is_still_a_rival(
    hot: db.Conn, shop: h.Shop, abandoned: bool
) -> None:
    await carried_out(hot, shop, abandoned=abandoned)
    ready = await doubtful(hot, shop)
    assert result(await look(hot, shop, List.showing("SM1"))) is Result.AMBIGUOUS
    assert (await h.standing(hot, ready.due.delivery_id)).state == "in_doubt"


@pytest.mark.parametrize("rank", [SENT, RANK_DELIVERED, RANK_UNDELIVERED])
@pytest.mark.parametrize("abandoned", [False, True])
async def test_the_providers_name_takes_the_place_of_one_given_by_hand(
    hot: db.Conn, shop: h.Shop, abandoned: bool, rank: int
) -> None:
    named = await carried_out(hot, shop, abandoned=abandoned)
    await h.told(hot, h.receipt_for(named.due.delivery_id, 1, rank, provider_id="SM1"))
    ready = await doubtful(hot, shop)
    provider = List.showing("SM1")
    assert result(await look(hot, shop, provider)) is Result.NOT_FOUND
    provider.shows("SM2")
    assert result(await look(hot, shop, provider)) is Result.SETTLED
    found = await h.all_rows(
        hot, "SELECT provider_id FROM attempt WHERE outcome <> 'refused' ORDER BY began_at"
    )
    assert found == [("SM1",), ("SM2",)]
    assert (await h.standing(hot, ready.due.delivery_id)).state == "sent"


async def test_a_name_that_the_provider_gave_stays(hot: db.Conn, shop: h.Shop) -> None:
    (ready,) = await h.begun(hot, shop, h.make_ask(shop))
    await h.settled(hot, h.post_of(shop), (ready, Accepted("SM1")))
    other = h.receipt_for(ready.due.delivery_id, 1, RANK_DELIVERED, provider_id="SM2")
    await h.told(hot, other)
    assert await h.one(hot, "SELECT provider_id FROM attempt") == "SM1"


async def test_one_that_was_begun_while_the_list_was_read_is_a_rival(
    hot: db.Conn, shop: h.Shop, beside: db.Conn
) -> None:
    """Its message may be what is listed, while ours was never carried out."""
    await doubtful(hot, shop)

    async def begin_another() -> None:
        await h.begun(beside, shop, h.make_ask(shop))

    assert result(await look(hot, shop, List.showing(during=begin_another))) is Result.AMBIGUOUS


async def test_one_that_is_known_not_to_have_been_carried_out_is_no_rival(
    hot: db.Conn, shop: h.Shop
) -> None:
    (refused,) = await h.begun(hot, shop, h.make_ask(shop))
    await h.settled(hot, h.post_of(shop), (refused, Refused(Refusal.CONTENT, "21617")))
    await doubtful(hot, shop)
    assert result(await look(hot, shop, List.showing())) is Result.SETTLED


async def test_one_of_another_time_is_no_rival(hot: db.Conn, shop: h.Shop) -> None:
    old = await doubtful(hot, shop)
    await hot.execute(
        "UPDATE attempt SET began_at = began_at - interval '1 hour', "
        "send_by = send_by - interval '1 hour'"
    )
    await hot.execute("DELETE FROM timer WHERE delivery_id = %s", [old.due.delivery_id])
    await hot.commit()
    await doubtful(hot, shop)
    assert result(await look(hot, shop, List.showing())) is Result.SETTLED


async def test_the_longest_lease_reaches_to_the_time_of_the_message(
    hot: db.Conn, shop: h.Shop
) -> None:
    """A rival is found by when it was begun: as long ago as a lease may last."""
    old = await doubtful(hot, shop)
    await hot.execute("UPDATE attempt SET began_at = began_at - interval '295 s'")
    await hot.execute("DELETE FROM timer WHERE delivery_id = %s", [old.due.delivery_id])
    await hot.commit()
    await doubtful(hot, shop)
    assert result(await look(hot, shop, List.showing())) is Result.AMBIGUOUS


# -------------------------------------------------------------------- others come first, or beside


async def resend(conn: db.Conn) -> None:
    await conn.execute("UPDATE timer SET due = now() - interval '1 s' WHERE kind = 'resend'")
    await conn.commit()
    assert (await h.swept(conn)).resends == 1


@pytest.mark.parametrize(
    ("told", "seen", "moves"),
    [
        (SENT, SENT, ["in_doubt", "sent"]),
        (SENT, RANK_DELIVERED, ["in_doubt", "sent", "delivered"]),
        (RANK_DELIVERED, SENT, ["in_doubt", "delivered"]),
    ],
)
async def test_a_callback_and_a_look_up_settle_it_once(
    hot: db.Conn, shop: h.Shop, beside: db.Conn, told: int, seen: int, moves: list[str]
) -> None:
    ready = await doubtful(hot, shop)

    async def called_back() -> None:
        await h.told(beside, h.receipt_for(ready.due.delivery_id, 1, told))

    assert (
        result(await look(hot, shop, List.showing(rank=seen, during=called_back))) is Result.SETTLED
    )
    after = await h.standing(hot, ready.due.delivery_id)
    assert after == h.Standing(moves[-1], None, ("accepted",), 0, 0, ())
    events = await h.all_rows(
        hot, "SELECT kind FROM outbox WHERE kind <> 'notification.accepted' ORDER BY id"
    )
    assert [kind.removeprefix("delivery.") for (kind,) in events] == moves


async def test_a_callback_that_comes_after_a_look_up_says_nothing_new(
    hot: db.Conn, shop: h.Shop
) -> None:
    ready = await doubtful(hot, shop)
    at = ready.due.delivery_id
    provider = List.showing(rank=SENT)
    await look(hot, shop, provider)
    assert (await h.told(hot, h.receipt_for(at, 1, SENT))).applied.name == "KNOWN"
    assert (await h.told(hot, h.receipt_for(at, 1, RANK_DELIVERED))).applied.name == "MOVED"


async def test_a_message_by_another_name_than_the_callback_gave_is_not_ours(
    hot: db.Conn, shop: h.Shop, beside: db.Conn
) -> None:
    ready = await doubtful(hot, shop)

    async def called_back() -> None:
        await h.told(beside, h.receipt_for(ready.due.delivery_id, 1, SENT, provider_id="SM1"))

    assert (
        result(
            await look(hot, shop, List.showing("SM2", rank=RANK_UNDELIVERED, during=called_back))
        )
        is Result.NOT_FOUND
    )
    assert (await h.standing(hot, ready.due.delivery_id)).state == "sent"


async def test_a_resend_takes_the_look_ups_of_what_it_abandons(hot: db.Conn, shop: h.Shop) -> None:
    await doubtful(hot, shop, category=AT_LEAST_ONCE)
    assert await look_up_timer(hot) is not None
    await resend(hot)
    assert await look_up_timer(hot) is None


async def test_a_message_of_an_attempt_abandoned_meanwhile_is_late_and_takes_the_retry_back(
    hot: db.Conn, shop: h.Shop, beside: db.Conn
) -> None:
    ready = await doubtful(hot, shop, category=AT_LEAST_ONCE)
    assert (
        result(await look(hot, shop, List.showing(during=lambda: resend(beside)))) is Result.SETTLED
    )
    after = await h.standing(hot, ready.due.delivery_id)
    assert after == h.Standing("sent", None, ("abandoned",), 0, 0, ())
    assert await h.all_rows(hot, "SELECT late_at IS NOT NULL, provider_id FROM attempt") == [
        (True, "SM1")
    ]
    await hot.commit()
    assert (await h.begin(hot, h.post_of(shop))).ready == []
    assert await h.faults(hot) == []


async def test_a_message_of_an_abandoned_attempt_beside_its_resend_is_ambiguous(
    hot: db.Conn, shop: h.Shop, beside: db.Conn
) -> None:
    """It may be the one or the other; both are of one delivery, and neither is settled by it."""
    ready = await doubtful(hot, shop, category=AT_LEAST_ONCE)

    async def resent_and_begun() -> None:
        await resend(beside)
        assert len((await h.begin(beside, h.post_of(shop))).ready) == 1

    assert result(await look(hot, shop, List.showing(during=resent_and_begun))) is Result.AMBIGUOUS
    after = await h.standing(hot, ready.due.delivery_id)
    assert after.outcomes == ("abandoned", "open")


# ------------------------------------------------------------------------ crashes in between


class Crash(Exception):
    """The process ends here."""


@pytest.mark.parametrize("place", ["after the claim", "in the call", "before the last commit"])
async def test_a_crash_between_two_steps_loses_one_step_and_nothing_else(
    hot: db.Conn, shop: h.Shop, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    ready = await doubtful(hot, shop)
    provider = List.showing()

    async def crash(*_: object, **__: object) -> Any:
        raise Crash

    with monkeypatch.context() as broken:
        if place == "after the claim":
            broken.setattr(reconcile, "_look", crash)
        elif place == "in the call":
            broken.setattr(provider, "during", crash)
        else:
            broken.setattr(receipts, "keep", crash)
        with pytest.raises(Crash):
            await look(hot, shop, provider)
    after = await h.standing(hot, ready.due.delivery_id)
    assert (after.state, after.outcomes, after.timers) == ("in_doubt", ("in_doubt",), 2)
    assert await h.one(hot, "SELECT count(*) FROM receipt") == 0
    timer = await look_up_timer(hot)
    assert timer is not None
    assert timer[0] == 1
    assert result(await look(hot, shop, provider)) is Result.SETTLED


async def test_no_transaction_is_open_during_the_call(
    hot: db.Conn, shop: h.Shop, beside: db.Conn
) -> None:
    await doubtful(hot, shop)
    states: list[str] = []

    async def watch() -> None:
        pid = hot.info.backend_pid
        states.append(
            await h.one(beside, "SELECT state FROM pg_stat_activity WHERE pid = %(pid)s", pid=pid)
        )
        await beside.commit()

    await look(hot, shop, List(during=watch))
    assert states == ["idle"]


@pytest.mark.parametrize("commit", [1, 2], ids=["of the claim", "of the evidence"])
async def test_a_commit_of_unknown_fate_is_said_and_nothing_rests_on_it(
    hot: db.Conn, shop: h.Shop, monkeypatch: pytest.MonkeyPatch, commit: int
) -> None:
    await doubtful(hot, shop)
    await hot.execute("UPDATE timer SET due = now() WHERE kind = 'look_up'")
    await hot.commit()
    provider: Any = List()
    provider.shows()
    commits, real = 0, hot.commit

    async def broken() -> None:
        nonlocal commits
        commits += 1
        if commits == commit:
            raise psycopg.OperationalError("gone")
        await real()

    monkeypatch.setattr(hot, "commit", broken)
    looked = await reconcile.reconcile_due(
        hot, provider, RULES, cell=0, lane=shop.lane, new_id=h.new_id
    )
    assert isinstance(looked, db.Unknown)
    assert len(provider.asked) == commit - 1


# --------------------------------------------------------------------------------- the mutants

# Each guard is taken out of its statement, and a test of this file is run against the hole.
Test = Callable[..., Awaitable[None]]
IN_SQL: dict[str, tuple[str, tuple[str, str], Test]] = {
    "a message that has an owner": (
        "OTHERS",
        ("a.provider_id = ANY (%(names)s::text[])", "false"),
        test_a_message_of_an_earlier_attempt_is_not_taken,
    ),
    "a rival in doubt": (
        "OTHERS",
        ("('open', 'in_doubt', 'abandoned')", "('open', 'abandoned')"),
        test_two_equal_texts_to_one_number_stay_in_doubt,
    ),
    "a rival that was abandoned": (
        "OTHERS",
        ("('open', 'in_doubt', 'abandoned')", "('open', 'in_doubt')"),
        test_one_that_was_abandoned_is_still_a_rival,
    ),
    "a rival whose text is gone": (
        "OTHERS",
        (
            "AND NOT EXISTS (SELECT 1 FROM content\n"
            "                             WHERE cell = %(cell)s::int2 AND delivery_id = "
            "a.delivery_id\n                               AND body <> %(body)s::text)",
            "AND EXISTS (SELECT 1 FROM content\n"
            "                             WHERE cell = %(cell)s::int2 AND delivery_id = "
            "a.delivery_id\n                               AND body = %(body)s::text)",
        ),
        test_one_whose_text_is_gone_may_have_been_the_same,
    ),
    "the longest lease": (
        "OTHERS",
        ("- make_interval(secs => %(lease_s_max)s::float8)", ""),
        test_the_longest_lease_reaches_to_the_time_of_the_message,
    ),
    "the lane of a look-up": (
        "CLAIM",
        ("AND lane = %(lane)s::int4 AND kind", "AND kind"),
        test_a_lane_takes_its_own_look_ups_only,
    ),
    "the end of the schedule": (
        "CLAIM",
        ("turn.step + 2 > cardinality", "turn.step + 99 < cardinality"),
        test_each_step_waits_as_long_as_the_schedule_says_and_the_last_is_the_last,
    ),
}


@pytest.mark.parametrize("guard", IN_SQL)
async def test_without_a_guard_of_the_statements_its_test_fails(
    hot: db.Conn, shop: h.Shop, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    name, change, test = IN_SQL[guard]
    monkeypatch.setattr(look_ups, name, h.mutated(getattr(look_ups, name), change))
    with pytest.raises(AssertionError):
        await test(hot, shop)


def remade(function: Callable[..., Any], *changes: tuple[str, str]) -> Any:
    """The function with fragments of its source replaced, in its module's own names."""
    scope = dict(vars(sys.modules[function.__module__]))
    exec(h.mutated(inspect.getsource(function), *changes), scope)
    return scope[function.__name__]


@RIGHT_AND_WRONG
async def test_facts_about_others_that_are_read_before_the_list_take_anothers_message(
    hot: db.Conn, shop: h.Shop, beside: db.Conn, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    ready = await doubtful(hot, shop)

    async def read_before(*_: object, **__: object) -> list[Any]:
        return []  # what there was before the call: nobody else

    if wrong:
        monkeypatch.setattr(look_ups, "others", read_before)

    async def begin_another() -> None:
        await h.begun(beside, shop, h.make_ask(shop))

    provider = List.showing(during=begin_another)
    await look(hot, shop, provider)
    after = await h.standing(hot, ready.due.delivery_id)
    assert (after.state == "in_doubt") is not wrong


@RIGHT_AND_WRONG
async def test_an_attempt_whose_name_is_forgotten_takes_another_one(
    hot: db.Conn, shop: h.Shop, beside: db.Conn, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        forgetful = remade(reconcile._apply, ("Maker(standing.provider_id, ", "Maker(None, "))
        monkeypatch.setattr(reconcile, "_apply", forgetful)
    test = test_a_message_by_another_name_than_the_callback_gave_is_not_ours
    if wrong:
        with pytest.raises(AssertionError):
            await test(hot, shop, beside)
    else:
        await test(hot, shop, beside)


@RIGHT_AND_WRONG
async def test_evidence_of_a_lower_rank_does_not_undo_a_callback(
    hot: db.Conn, shop: h.Shop, beside: db.Conn, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    """A handset's receipt stands above what an older list says."""
    if wrong:
        careless = remade(reconcile._settle, (" or message.rank <= kept.rank_before", ""))
        monkeypatch.setattr(reconcile, "_settle", careless)
    ready = await doubtful(hot, shop)
    at = ready.due.delivery_id

    async def called_back() -> None:
        await h.told(beside, h.receipt_for(at, 1, RANK_DELIVERED))

    provider = List.showing(rank=RANK_UNDELIVERED, status="undelivered", during=called_back)
    await look(hot, shop, provider)
    assert ((await h.standing(hot, at)).state == "delivered") is not wrong


@RIGHT_AND_WRONG
async def test_a_claim_that_keeps_its_turn_is_made_by_two(
    hot: db.Conn, shop: h.Shop, beside: db.Conn, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    if wrong:
        kept = h.mutated(
            look_ups.CLAIM,
            ("due = now() + make_interval(secs => (%(waits_s)s::float8[])[turn.step + 2])",
             "due = t.due"),
        )  # fmt: skip
        monkeypatch.setattr(look_ups, "CLAIM", kept)
    await doubtful(hot, shop)
    second = List()

    async def again() -> None:
        await look(beside, shop, second, due=False)

    await look(hot, shop, List(during=again))
    assert (len(second.asked) == 0) is not wrong
