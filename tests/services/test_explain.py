"""Explain: what it says is what a worker does, and as of a time past what was known then."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.consent import Kind, scope_of
from notifyq.domain.explaining import Answer
from notifyq.domain.hours import Hours
from notifyq.domain.model import Category, Channel
from notifyq.domain.policy import HOURS_GUARD_S, RULES
from notifyq.domain.preferences import change
from notifyq.domain.profile import DEFAULTS, KnownDevice
from notifyq.domain.scheduling import SPREAD_S
from notifyq.services import explain
from notifyq.services.explain import Explained, NotKnown, Question
from notifyq.store import db, explaining
from notifyq.store.db import Conn
from notifyq.store.partitions import make_leaves
from tests.services import explain_cases as c
from tests.services.explain_cases import ANN, CAPPED, CASES, CODE, SHIPPED, WEEKLY, Case
from tests.store import helpers as h

DAY = timedelta(days=1)


@pytest.fixture
async def hot(database_url: str) -> AsyncIterator[Conn]:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


def question(
    shop: h.Shop, category: Category = SHIPPED, about: str = ANN, at: datetime | None = None
) -> Question:
    return Question(c.book_of(shop), shop.brand, about, category, at or h.database_now())


async def explained(conn: Conn, asked: Question) -> Explained:
    found = await explain.answer(conn, asked)
    await conn.commit()
    return found


async def said(conn: Conn, asked: Question) -> Answer:
    """What is said where there is one address."""
    (found,) = (await explained(conn, asked)).answers
    return found


async def decisive(conn: Conn, asked: Question) -> tuple[str, str | None] | None:
    step = (await said(conn, asked)).decisive
    return None if step is None else (step.rule, step.reason)


# ------------------------------------------------------------------------- case by case


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_rule_that_decides_is_the_one_that_a_worker_acts_on(
    hot: Conn, case: Case
) -> None:
    shop = await c.open_shop(hot, case)
    await case.plant(hot, shop)
    found = await said(hot, question(shop, case.category))
    step = found.decisive
    assert (step and step.rule, step.verdict if step else "send") == (case.rule, case.verdict)
    assert [one.rule for one in found.steps] == [*RULES]
    assert all(one.row and one.read for one in found.steps)
    if step is not None:
        assert (step.reason, case.read in step.read) == (case.reason, True), step.read

    # What a worker does with a message that is due.
    since = h.database_now() if case.rule is None else None  # of the token, as the case has it
    ask = c.asking(shop, case.category, to=c.address_of(case), since=since)
    (delivery,) = await h.accepted(hot, ask)
    turn = await h.begin(hot, h.post_of(shop))
    assert turn.claimed == 1
    after = await h.standing(hot, delivery)
    if case.verdict == "send":
        assert [ready.due.delivery_id for ready in turn.ready] == [delivery]
        assert after.outcomes == ("open",)
    else:
        assert turn.ready == []
        assert after.outcomes == ()
        assert after.state == {"wait": "pending", "suppress": "suppressed"}[case.verdict]
        assert after.reason == case.reason
    if case.verdict == "wait":
        assert step is not None
        assert step.until is not None
        due = await h.one(hot, "SELECT due FROM job")
        late = due - step.until
        assert timedelta(0) - timedelta(seconds=5) <= late <= timedelta(seconds=SPREAD_S)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.rule is not None])
async def test_what_objects_is_what_is_told_and_every_other_rule_passes(
    hot: Conn, name: str
) -> None:
    case = CASES[name]
    shop = await c.open_shop(hot, case)
    await case.plant(hot, shop)
    found = await said(hot, question(shop, case.category))
    objecting = {step.rule for step in found.steps if step.verdict != "pass"}
    # Marketing may be at the wrong hour as well, as it is night somewhere.
    assert case.rule in objecting
    assert (
        objecting <= {case.rule, "hours"} if case.category is WEEKLY else objecting == {case.rule}
    )


async def test_what_expired_is_among_the_last_and_the_next_would_be_sent(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    (late,) = await h.accepted(hot, c.asking(shop, SHIPPED, lifetime_s=-1))
    assert (await h.begin(hot, h.post_of(shop))).ended == 1
    asked = question(shop)
    found = await explained(hot, asked)
    (one,) = found.answers
    assert one.decisive is None
    (told,) = await explain.latest(hot, asked, found)
    assert (told.delivery_id, told.state, told.reason, told.began_at) == (
        late, "expired", "expired", None,
    )  # fmt: skip
    assert told.expires_at < told.changed_at


async def test_the_last_deliveries_are_ten_at_most_the_newest_first(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    ids = [(await h.accepted(hot, c.asking(shop, SHIPPED)))[0] for _ in range(12)]
    await h.begin(hot, h.post_of(shop), room=1)
    others = [
        c.asking(shop, CODE),
        c.asking(shop, SHIPPED, to="+14155550199", recipient=None),
    ]
    await h.accepted(hot, *others)
    asked = question(shop)
    told = await explain.latest(hot, asked, await explained(hot, asked))
    assert [one.delivery_id for one in told] == ids[:1:-1]
    assert all(one.began_at is None for one in told)
    before = replace(asked, at=told[-1].expires_at - timedelta(seconds=SHIPPED.expires_in_s))
    first = await explain.latest(hot, before, await explained(hot, before))
    assert {one.delivery_id for one in first} <= set(ids[:3])
    assert sum(one.began_at is not None for one in first) == 1


async def test_a_delivery_to_an_older_address_is_among_the_last(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    (then,) = await h.accepted(hot, c.asking(shop, SHIPPED))
    await c.save(hot, shop, phones=("+14155550199",))
    asked = question(shop)
    told = await explain.latest(hot, asked, await explained(hot, asked))
    assert [one.delivery_id for one in told] == [then]


# --------------------------------------------------------------------- who, and by whom


async def test_an_address_is_read_as_nobody_with_wishes(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await CASES["preference off"].plant(hot, shop)
    found = await explained(hot, question(shop, about="+1 415 555 0123"))
    assert (found.is_kept, found.answers[0].decisive) == (False, None)
    await c.says(hot, shop, Kind.OPT_OUT)
    assert await decisive(hot, question(shop, about=h.PHONE)) == ("opt_out", "opted_out")


async def test_every_address_that_is_told_is_answered_for(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    devices = tuple(KnownDevice("web", "org.example.app", t) for t in ("a", "b"))
    phones, emails = (h.PHONE, "+14155550199"), ("ann@example.org",)
    await c.save(hot, shop, phones=phones, emails=emails, devices=devices)
    await c.says(hot, shop, Kind.OPT_OUT)
    found = (await explained(hot, question(shop))).answers
    assert [(one.known.channel, one.known.hint) for one in found] == [
        (Channel.SMS, "…23"),
        (Channel.EMAIL, "…@example.org"),
        (Channel.PUSH, "web org.example.app"),
        (Channel.PUSH, "web org.example.app"),
    ]
    assert [one.decisive is None for one in found] == [False, True, True, True]


async def test_somebody_without_an_address_is_somebody(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop, phones=())
    assert await explained(hot, question(shop)) == Explained(True, ())


@pytest.mark.parametrize("about", ["nobody", "+1415", "4155550123", "ann@", "web:org.a:"])
async def test_who_is_neither_kept_nor_an_address_is_refused(hot: Conn, about: str) -> None:
    shop = await h.open_shop(hot)
    with pytest.raises(NotKnown, match="must be the id of a recipient that was kept here at the"):
        await explained(hot, question(shop, about=about))


async def test_another_tenants_and_another_modes_recipients_are_not_found(hot: Conn) -> None:
    shop, other = await h.open_shop(hot), await h.open_shop(hot, "other", provider="sinch")
    await CASES["opted out"].plant(hot, shop)
    with pytest.raises(NotKnown):
        await explained(hot, question(other))
    asked = question(shop)
    with pytest.raises(NotKnown):
        await explained(hot, replace(asked, book=replace(asked.book, test=True)))
    tests = replace(asked, recipient=h.PHONE, scope=scope_of("acme", test=True))
    assert await decisive(hot, tests) is None
    assert await decisive(hot, question(other, about=h.PHONE)) is None


@pytest.mark.parametrize(
    ("defaults", "category", "expected", "row"),
    [
        ({"*": {"sms": False}}, SHIPPED, "off, by tenant: */sms", "recipient_version: *"),
        ({}, replace(SHIPPED, is_wanted=False), "off, by default", "settings: category"),
        ({"*": {"sms": False}}, CODE, "on, by mandatory", "settings: category"),
    ],
)
async def test_the_preference_is_the_one_that_a_new_message_meets(
    hot: Conn, defaults: Any, category: Category, expected: str, row: str
) -> None:
    """The tenant's and the category's too: they are heeded when it is accepted."""
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    if defaults:
        await c.save(hot, shop, DEFAULTS, phones=(), preferences=change({}, defaults))
    step = {one.rule: one for one in (await said(hot, question(shop, category))).steps}
    assert (step["preference"].read, row in step["preference"].row) == (expected, True)
    assert step["preference"].verdict == ("pass" if category is CODE else "suppress")


async def test_a_wait_for_the_hours_is_until_they_open_before_it_is_spread(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    quiet = c.quiet_now()
    await c.save(hot, shop, quiet=quiet, time_zone="Etc/UTC")
    step = (await said(hot, question(shop))).decisive
    assert step is not None
    assert step.until is not None
    ends = step.until - timedelta(seconds=HOURS_GUARD_S)
    assert (ends.time(), ends.utcoffset()) == (quiet.end, timedelta(0))
    assert f"closed until {step.until:%Y-%m-%d %H:%M:%S}Z" in step.read


async def test_what_waits_beyond_its_end_is_suppressed(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await CASES["quiet hours"].plant(hot, shop)
    brief = replace(SHIPPED, expires_in_s=600)
    step = (await said(hot, question(shop, brief))).decisive
    assert step is not None
    assert (step.rule, step.verdict, step.reason, step.until) == (
        "hours", "suppress", "quiet_hours", None,
    )  # fmt: skip


@pytest.mark.parametrize("zone", [None, "Etc/UTC"])
async def test_hours_say_what_they_are_judged_by(hot: Conn, zone: str | None) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop, time_zone=zone)
    legal = {one.rule: one for one in (await said(hot, question(shop, WEEKLY))).steps}["hours"]
    assert "legal; zones: America/Los_Angeles" in legal.read
    assert ("Etc/UTC" in legal.read) is (zone is not None)
    anywhere = replace(WEEKLY, hours=Hours.LEGAL)
    for about, reason, read in (
        ("+18005550123", "no_zone", "legal; zones: none known; closed, never known to open"),
        (c.TOKEN, None, "legal; open at any hour"),  # no text
    ):
        found = await explained(hot, question(shop, anywhere, about=about))
        hours = {one.rule: one for one in found.answers[0].steps}["hours"]
        assert (hours.reason, hours.read) == (reason, read)


async def test_an_approved_template_and_a_separate_program_are_told(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await CASES["opted out"].plant(hot, shop)
    fire = replace(SHIPPED, approved=("evacuate",))
    step = (await said(hot, question(shop, fire))).decisive
    assert step is not None
    assert "sent all the same by template evacuate" in step.read
    code = {one.rule: one for one in (await said(hot, question(shop, CODE))).steps}["opt_out"]
    assert "the program codes stands apart from the brand" in code.read


# ------------------------------------------------------------------------ as of yesterday


async def back(conn: Conn, by: timedelta = timedelta(hours=30)) -> None:
    """Make everything that was noted so far as old as if it had been noted then."""
    await conn.execute(h.LEDGER_OPEN)
    await conn.execute("UPDATE consent_event SET at = at - %s, happened_at = happened_at - %s",
                       [by, by])  # fmt: skip
    await conn.execute("UPDATE recipient_version SET at = at - %s", [by])
    await conn.execute("UPDATE attempt SET began_at = began_at - %s, send_by = send_by - %s",
                       [by, by])  # fmt: skip
    await conn.execute(
        "UPDATE consent SET dead_at = dead_at - %s,"
        " begun_at = ARRAY(SELECT b - %s FROM unnest(begun_at) AS b)",
        [by, by],
    )
    await conn.commit()


async def of_both(conn: Conn, shop: h.Shop, category: Category = SHIPPED) -> list[Any]:
    """What decided a day ago, and what decides now."""
    now = h.database_now()
    return [await decisive(conn, question(shop, category, at=at)) for at in (now - DAY, now)]


async def test_as_of_yesterday_consent_is_what_was_noted_by_then(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await CASES["opted out"].plant(hot, shop)
    await back(hot)
    await c.says(hot, shop, Kind.LIFT, seconds=30)
    assert await of_both(hot, shop) == [("opt_out", "opted_out"), None]


async def test_what_we_learnt_today_of_yesterday_was_not_known_then(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    await back(hot)
    await c.says(hot, shop, Kind.OPT_OUT, seconds=100_000)
    assert await of_both(hot, shop) == [None, ("opt_out", "opted_out")]


async def test_as_of_yesterday_wishes_and_hours_are_those_of_then(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await CASES["preference off"].plant(hot, shop)
    await back(hot)
    wishes = change({}, {SHIPPED.name: {"sms": True}})
    await c.save(hot, shop, preferences=wishes, quiet=c.quiet_now(), time_zone="Etc/UTC")
    assert await of_both(hot, shop) == [("preference", "preference_off"), ("hours", "quiet_hours")]


async def test_as_of_yesterday_the_tenants_defaults_are_those_of_then(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    await c.save(hot, shop, DEFAULTS, phones=(), preferences=change({}, {"*": {"sms": False}}))
    await back(hot)
    await c.save(hot, shop, DEFAULTS, phones=(), preferences=change({}, {"*": {"sms": True}}))
    assert await of_both(hot, shop) == [("preference", "preference_off"), None]


async def test_as_of_yesterday_an_address_was_not_dead_that_died_today(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    await back(hot)
    await CASES["dead address"].plant(hot, shop)
    assert await of_both(hot, shop) == [None, ("address", "address_dead")]


async def test_as_of_yesterday_begins_count_that_today_does_not(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await CASES["capped"].plant(hot, shop)
    await back(hot)
    assert await of_both(hot, shop, CAPPED) == [("cap", "capped"), None]
    # A begin today takes the place of the others in the row; the attempts still tell.
    await h.begun(hot, shop, c.asking(shop, CAPPED))
    ((begun,),) = await h.all_rows(hot, "SELECT cardinality(begun_at) FROM consent")
    assert begun == 1
    assert await of_both(hot, shop, CAPPED) == [("cap", "capped"), None]


async def test_the_attempts_of_somebody_else_and_of_what_has_no_cap_do_not_count(
    hot: Conn,
) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    other = c.asking(shop, CAPPED, to="+14155550199", recipient=None)
    await h.begun(hot, shop, c.asking(shop, CAPPED), c.asking(shop, SHIPPED), other)
    await back(hot)
    await h.begun(hot, shop, c.asking(shop, CAPPED))
    steps = (await said(hot, question(shop, CAPPED, at=h.database_now() - DAY))).steps
    (cap,) = [one for one in steps if one.rule == "cap"]
    assert cap.read.startswith("1 of 2 in 24 hours; the first at ")


async def test_before_somebody_was_kept_they_were_not(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    with pytest.raises(NotKnown):
        await explained(hot, question(shop, at=h.database_now() - DAY))


async def test_as_of_yesterday_a_token_that_came_anew_today_was_dead(hot: Conn) -> None:
    case = CASES["dead token, registered anew"]
    shop = await c.open_shop(hot, case)
    await CASES["dead token"].plant(hot, shop)
    await back(hot)
    again = KnownDevice("web", "org.example.app", "t0k3n", registered_at=h.database_now())
    await c.save(hot, shop, phones=(), devices=(again,))
    assert await of_both(hot, shop) == [("address", "address_dead"), None]


async def test_the_last_deliveries_of_yesterday_are_those_accepted_by_then(hot: Conn) -> None:
    shop = await h.open_shop(hot)
    await c.save(hot, shop)
    await back(hot)
    then = h.database_now() - timedelta(hours=26)
    await hot.set_autocommit(True)
    await make_leaves(hot, then)
    await hot.set_autocommit(False)
    (old,) = await h.accepted(hot, c.asking(shop, SHIPPED))
    older = (int(then.timestamp() * 1_000) << 80) | old.int & ((1 << 80) - 1)
    for table, column in (("delivery", "id"), ("content", "delivery_id"), ("job", "delivery_id")):
        move = f"UPDATE {table} SET {column} = %s WHERE {column} = %s"
        await hot.execute(move.encode(), [UUID(int=older), old])
    await hot.commit()
    await h.accepted(hot, c.asking(shop, SHIPPED))
    asked = question(shop, at=h.database_now() - DAY)
    (told,) = await explain.latest(hot, asked, await explained(hot, asked))
    assert told.delivery_id.int == older


# ------------------------------------------------------------------------------ by the way


async def test_it_reads_one_state_and_writes_nothing(hot: Conn, database_url: str) -> None:
    shop = await h.open_shop(hot)
    await CASES["capped"].plant(hot, shop)
    before = await h.everything(hot)
    async with await db.connect(database_url) as conn:
        await explaining.prepare(conn, timeout_s=1.5)
        asked = question(shop, CAPPED)
        found = await explain.answer(conn, asked)
        await c.says(hot, shop, Kind.OPT_OUT)  # nobody waits, and it is not seen
        assert await explain.answer(conn, asked) == found
        await explain.latest(conn, asked, found)
        row = await h.all_rows(
            conn,
            "SELECT current_setting('transaction_read_only'), current_setting('statement_timeout')",
        )
        assert row == [("on", "1500ms")]
    await hot.execute(h.LEDGER_OPEN)
    await hot.execute("DELETE FROM consent_event")
    await hot.commit()
    now = await h.everything(hot)
    assert {name for name in now if now[name] != before[name]} <= {"consent", "consent_event"}
