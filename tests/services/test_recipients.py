"""Recipients: saved once, merged into one who wants what both want, erased with all they said."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import time, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from notifyq.domain.address import channel_of
from notifyq.domain.consent import Kind, Source, scope_of
from notifyq.domain.hours import Quiet
from notifyq.domain.model import Channel
from notifyq.domain.preferences import change
from notifyq.domain.profile import KnownDevice, Profile, pack
from notifyq.services.consents import status
from notifyq.services.recipients import (
    Erased,
    Excess,
    Merged,
    Missing,
    Moved,
    Saved,
    Stale,
    erase,
    merge,
    revise,
    upsert,
)
from notifyq.store import db, ledger, recipients
from notifyq.store import recipient_changes as changes
from notifyq.store.db import Conn, Unknown
from notifyq.store.recipients import Book, of
from notifyq.store.uniting import MERGED, Merger
from tests.races.interleave import until_blocked
from tests.store import helpers as h
from tests.store.test_plans import Ear

KEY = "nq_live_1"
PHONES = ("+14155550123", "+14155550124", "+14155550125")
ANN, BOB = Profile(phones=PHONES[:1]), Profile(phones=PHONES[1:2], emails=("bob@example.org",))
DEVICE = KnownDevice("web", "org.a", "t")
BY = Merger("acme", KEY, h.new_id)
WEEK = timedelta(days=7)


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[Conn]:
    async with await db.connect(database_url) as connection:
        yield connection


@pytest.fixture
async def book(conn: Conn) -> Book:
    return Book(0, (await h.open_shop(conn)).tenant_id, False)


async def saved(conn: Conn, book: Book, id: str, given: Profile, **more: Any) -> tuple[int, bool]:
    found = await upsert(conn, book, id, given, **{"actor": KEY} | more)
    assert isinstance(found, Saved), found
    assert found.id == id
    return found.version, found.changed


async def wish(conn: Conn, book: Book, id: str, **by_channel: bool) -> Saved:
    """Set wishes for all categories."""
    found = await revise(
        conn,
        book,
        id,
        lambda before: replace(before, preferences=change(before.preferences, {"*": by_channel})),
        actor=KEY,
    )
    assert isinstance(found, Saved), found
    return found


async def now(conn: Conn, book: Book, id: str) -> Profile | None:
    found = await recipients.profiles(conn, **of(book), ids=[id])  # type: ignore[arg-type]
    await conn.commit()
    return found.get(id)


async def versions(conn: Conn) -> list[tuple[Any, ...]]:
    return await h.all_rows(
        conn, "SELECT id, version, actor FROM recipient_version ORDER BY id, version"
    )


# ---------------------------------------------------------------------------------- upsert


async def test_the_whole_is_replaced_and_the_same_again_is_no_version(
    conn: Conn, book: Book
) -> None:
    assert await saved(conn, book, "u", BOB) == (1, True)
    assert await saved(conn, book, "u", BOB, actor="nq_live_2") == (1, False)
    assert await saved(conn, book, "u", ANN) == (2, True)
    assert await now(conn, book, "u") == ANN
    assert await saved(conn, book, "u", BOB, actor="nq_live_2") == (3, True)
    assert await versions(conn) == [("u", 1, KEY), ("u", 2, KEY), ("u", 3, "nq_live_2")]


async def test_it_is_known_who_has_an_address_and_no_longer_who_had_it(
    conn: Conn, book: Book
) -> None:
    async def who(address: str) -> list[str]:
        (key,) = await ledger.address_keys(conn, [address])
        found = await recipients.who_has(conn, cell=0, address_key=key)
        await conn.commit()
        return [one.id for one in found]

    await saved(conn, book, "u", BOB)
    await saved(conn, book, "v", ANN)
    assert [await who(address) for address in (*PHONES[:2], *BOB.emails)] == [["v"], ["u"], ["u"]]
    await saved(conn, book, "u", ANN)
    assert [await who(address) for address in (*PHONES[:2], *BOB.emails)] == [["u", "v"], [], []]
    await saved(conn, book, "w", BOB)
    await merge(conn, book, "w", "u", by=BY)
    assert [await who(address) for address in (*PHONES[:2], *BOB.emails)] == [
        ["u", "v"], ["u"], ["u"],
    ]  # fmt: skip


async def test_nobody_with_nothing_is_somebody(conn: Conn, book: Book) -> None:
    assert await saved(conn, book, "u", Profile()) == (1, True)
    assert await saved(conn, book, "u", Profile()) == (1, False)
    assert await now(conn, book, "u") == Profile()


async def test_wishes_outlive_an_upsert_and_quiet_hours_if_they_shall(
    conn: Conn, book: Book
) -> None:
    late, early = Quiet(time(22), time(7)), Quiet(time(20), time(8))
    await wish(conn, book, "u", sms=False)
    await saved(conn, book, "u", replace(ANN, quiet=late))
    wishes = {("*", "sms"): False}
    assert await now(conn, book, "u") == replace(ANN, quiet=late, preferences=wishes)
    await saved(conn, book, "u", BOB, keep_quiet=True)
    assert await now(conn, book, "u") == replace(BOB, quiet=late, preferences=wishes)
    await saved(conn, book, "u", replace(BOB, quiet=early))
    assert await now(conn, book, "u") == replace(BOB, quiet=early, preferences=wishes)
    await saved(conn, book, "u", BOB)
    assert await now(conn, book, "u") == replace(BOB, preferences=wishes)


async def test_a_start_of_the_app_writes_one_row_and_no_version(conn: Conn, book: Book) -> None:
    first = h.database_now() - WEEK
    await saved(conn, book, "u", replace(ANN, devices=(replace(DEVICE, last_seen=first),)))
    before = await h.everything(conn)
    ear = Ear(conn)
    seen = replace(DEVICE, last_seen=first + timedelta(days=1), registered_at=first)
    assert await saved(conn, book, "u", replace(ANN, devices=(seen,))) == (1, False)
    assert len(ear.calls) == 2  # it is held, and written
    after = await h.everything(conn)
    assert [name for name in after if after[name] != before[name]] == ["recipient"]
    assert await now(conn, book, "u") == replace(ANN, devices=(seen,))


async def test_a_start_of_the_app_that_comes_late_changes_nothing(conn: Conn, book: Book) -> None:
    now_ = h.database_now()
    newest = replace(DEVICE, registered_at=now_ - WEEK, last_seen=now_ - WEEK)
    await saved(conn, book, "u", Profile(devices=(newest,)))
    for late in (DEVICE, replace(newest, last_seen=now_ - 2 * WEEK)):
        assert await saved(conn, book, "u", Profile(devices=(late,))) == (1, False)
        assert await now(conn, book, "u") == Profile(devices=(newest,))


async def test_a_clock_that_is_ahead_does_not_make_a_token_younger_than_now(
    conn: Conn, book: Book
) -> None:
    ahead = replace(DEVICE, registered_at=h.database_now() + WEEK)
    await saved(conn, book, "u", Profile(devices=(ahead,)))
    found = await now(conn, book, "u")
    assert found is not None
    assert found.devices[0].registered_at is not None
    assert found.devices[0].registered_at <= h.database_now()


async def test_what_is_replaced_must_be_the_newest(conn: Conn, book: Book) -> None:
    nothing = await h.everything(conn)
    assert await upsert(conn, book, "u", ANN, replaces=1, actor=KEY) == Stale(0)
    assert await h.everything(conn) == nothing
    assert await saved(conn, book, "u", ANN, replaces=0) == (1, True)
    assert await saved(conn, book, "u", BOB, replaces=1) == (2, True)
    assert await saved(conn, book, "u", BOB, replaces=1) == (2, False)  # a retry of the same
    for replaces in (0, 1, 3):
        found = await upsert(conn, book, "u", ANN, replaces=replaces, actor=KEY)
        assert found == Stale(2)
    assert await now(conn, book, "u") == BOB


async def test_many_at_once_each_write_a_version_and_the_same_write_one(
    conn: Conn, book: Book, database_url: str
) -> None:
    async def one(id: str, profile: Profile) -> int:
        async with await db.connect(database_url) as own:
            return (await saved(own, book, id, profile))[0]

    found = await asyncio.gather(*(one("u", Profile(locale=f"x{n}")) for n in range(8)))
    assert sorted(found) == list(range(1, 9))
    times = await h.all_rows(conn, "SELECT version FROM recipient_version ORDER BY at")
    assert [version for (version,) in times] == list(range(1, 9))
    assert await asyncio.gather(*(one("v", ANN) for _ in range(8))) == [1] * 8


async def test_of_two_who_replace_the_same_version_one_is_stale(
    conn: Conn, book: Book, database_url: str
) -> None:
    async def one(n: int) -> Any:
        async with await db.connect(database_url) as own:
            return await upsert(own, book, "u", Profile(locale=f"x{n}"), replaces=0, actor=KEY)

    found = await asyncio.gather(*(one(n) for n in range(6)))
    assert sorted(type(each).__name__ for each in found) == ["Saved", *["Stale"] * 5]


# ---------------------------------------------------------------------------------- revise


async def test_a_wish_makes_who_is_not_there_yet(conn: Conn, book: Book) -> None:
    found = await wish(conn, book, "u", sms=False)
    assert (found.id, found.version, found.changed) == ("u", 1, True)
    again = await wish(conn, book, "u", sms=False)
    assert (again.version, again.changed) == (1, False)
    assert await saved(conn, book, "u", ANN) == (2, True)
    assert await now(conn, book, "u") == replace(ANN, preferences={("*", "sms"): False})


async def test_wishes_at_once_are_all_kept(conn: Conn, book: Book, database_url: str) -> None:
    async def one(channel: str) -> None:
        async with await db.connect(database_url) as own:
            await wish(own, book, "u", **{channel: False})

    await asyncio.gather(*(one(channel) for channel in ("sms", "email", "push")))
    found = await now(conn, book, "u")
    assert found is not None
    assert found.preferences == {("*", "sms"): False, ("*", "email"): False, ("*", "push"): False}


@pytest.mark.parametrize(("count", "fits"), [(100, True), (101, False)])
async def test_wishes_about_too_many_categories_are_not_saved(
    conn: Conn, book: Book, count: int, fits: bool
) -> None:
    await saved(conn, book, "u", ANN)
    wishes = {(f"c{n}", "*"): False for n in range(count)}
    found = await revise(
        conn, book, "u", lambda before: replace(before, preferences=wishes), actor=KEY
    )
    assert isinstance(found, Saved) is fits
    if not fits:
        assert found == Excess(("101 preferences, at most 100",))
        assert await now(conn, book, "u") == ANN


# ----------------------------------------------------------------------------------- merge


async def test_two_are_one_under_both_names(conn: Conn, book: Book) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    await wish(conn, book, "bob", sms=False)
    assert await merge(conn, book, "bob", "ann", by=BY) == Merged("ann", 2, ())
    one = Profile(phones=PHONES[:2], emails=("bob@example.org",), preferences={("*", "sms"): False})
    assert await now(conn, book, "ann") == await now(conn, book, "bob") == one
    assert await versions(conn) == [
        ("ann", 1, KEY), ("ann", 2, KEY), ("bob", 1, KEY), ("bob", 2, KEY), ("bob", 3, KEY),
    ]  # fmt: skip
    again = await h.everything(conn)
    assert await merge(conn, book, "bob", "ann", by=BY) == Merged("ann", 2, ())
    assert await merge(conn, book, "ann", "bob", by=BY) == Merged("ann", 2, ())
    for name in ("recipient_version", "recipient_address"):
        assert (await h.everything(conn))[name] == again[name]


async def test_an_old_name_does_not_replace_the_whole_person(conn: Conn, book: Book) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    await merge(conn, book, "bob", "ann", by=BY)
    before = await h.everything(conn)
    assert await upsert(conn, book, "bob", BOB, actor=KEY) == Moved("ann")
    assert (await h.everything(conn))["recipient_version"] == before["recipient_version"]


async def test_what_somebody_wishes_by_an_old_name_is_kept(conn: Conn, book: Book) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    await merge(conn, book, "bob", "ann", by=BY)
    found = await wish(conn, book, "bob", email=False)
    assert (found.id, found.version) == ("ann", 3)
    assert found.profile.preferences == {("*", "email"): False}


async def test_old_names_merge_as_who_they_are(conn: Conn, book: Book) -> None:
    for n, id in enumerate("abcd"):
        await saved(conn, book, id, Profile(emails=(f"{n}@example.org",)))
    assert await merge(conn, book, "a", "b", by=BY) == Merged("b", 2, ())
    assert await merge(conn, book, "c", "d", by=BY) == Merged("d", 2, ())
    assert await merge(conn, book, "a", "c", by=BY) == Merged("d", 3, ())
    one = await now(conn, book, "d")
    assert one is not None
    assert one.emails == ("3@example.org", "2@example.org", "1@example.org", "0@example.org")
    assert [await now(conn, book, id) for id in "abc"] == [one] * 3


async def test_who_is_not_there_is_not_merged(conn: Conn, book: Book) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "gone", BOB)
    await erase(conn, book, "gone", actor=KEY)
    other = Book(0, (await h.open_shop(conn, "globex")).tenant_id, False)
    await saved(conn, other, "theirs", BOB)
    before = await h.everything(conn)
    for missing in ("none", "gone", "theirs"):
        assert await merge(conn, book, missing, "ann", by=BY) == Missing(missing)
        assert await merge(conn, book, "ann", missing, by=BY) == Missing(missing)
    assert (await h.everything(conn))["recipient_version"] == before["recipient_version"]


@pytest.mark.parametrize(("count", "fits"), [(4, True), (5, False)])
async def test_two_with_too_much_together_stay_two(
    conn: Conn, book: Book, count: int, fits: bool
) -> None:
    mailboxes = tuple(f"{n}@example.org" for n in range(count))
    await saved(conn, book, "many", Profile(emails=mailboxes))
    await saved(conn, book, "bob", BOB)
    found = await merge(conn, book, "bob", "many", by=BY)
    if fits:
        assert found == Merged("many", 2, ())
    else:
        assert found == Excess(("6 emails, at most 5",))
        assert await now(conn, book, "bob") == BOB


async def test_what_was_is_answered_as_it_was_before_they_were_one(conn: Conn, book: Book) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    before = h.database_now()
    await merge(conn, book, "bob", "ann", by=BY)
    after = h.database_now()
    both = (("ann", ANN), ("bob", BOB))
    for id, then in both:
        read = partial(recipients.as_of, conn, **of(book), id=id)  # type: ignore[arg-type]
        assert await read(at=before) == then
        assert await read(at=after) == await now(conn, book, "ann")


# ----------------------------------------------------------------------- merge and consent


async def blocked(conn: Conn, brand: str = "acme") -> set[tuple[str, str]]:
    """Which of the addresses of these tests are blocked for a brand, with the reason."""
    found = set()
    for address in (*PHONES, "bob@example.org", "ann@example.org", "web:org.a:t", "web:org.a:u"):
        for said in await status(conn, [(channel_of(address), address)], cell=0, scope=brand):
            if said.row.standing.blocked:
                found.add((address, said.events[-1].reason))
    await conn.commit()
    return found


async def opt_out(conn: Conn, channel: Channel, address: str, brand: str = "acme") -> None:
    await ledger.opt_out(
        conn,
        cell=0,
        brand=brand,
        channel=channel,
        address=address,
        actor="test",
        reason="STOP",
        event_id=uuid4(),
    )
    await conn.commit()


async def test_who_opted_out_by_one_address_is_opted_out_by_all_of_the_channel(
    conn: Conn, book: Book
) -> None:
    await saved(conn, book, "ann", replace(ANN, phones=PHONES[:2], emails=("ann@example.org",)))
    await saved(conn, book, "bob", Profile(phones=PHONES[2:], emails=("bob@example.org",)))
    await opt_out(conn, Channel.SMS, PHONES[2])
    assert await merge(conn, book, "bob", "ann", by=BY) == Merged("ann", 2, ("sms",))
    assert await blocked(conn) == {
        (PHONES[0], MERGED),
        (PHONES[1], MERGED),
        (PHONES[2], "STOP"),
    }
    events = await h.all_rows(
        conn, "SELECT DISTINCT actor FROM consent_event WHERE reason <> 'STOP'"
    )
    assert events == [(KEY,)]


@pytest.mark.parametrize("whose", ["ann", "bob"])
@pytest.mark.parametrize("channel", [Channel.SMS, Channel.EMAIL, Channel.PUSH])
async def test_whichever_of_the_two_opted_out(
    conn: Conn, book: Book, whose: str, channel: Channel
) -> None:
    profiles = {
        "ann": replace(ANN, emails=("ann@example.org",), devices=(DEVICE,)),
        "bob": replace(BOB, devices=(replace(DEVICE, token="u"),)),
    }
    for id, profile in profiles.items():
        await saved(conn, book, id, profile)
    await opt_out(conn, channel, profiles[whose].addresses(channel)[0])
    assert await merge(conn, book, "bob", "ann", by=BY) == Merged("ann", 2, (channel,))
    wanted = {profile.addresses(channel)[0] for profile in profiles.values()}
    assert {address for address, _ in await blocked(conn)} == wanted


async def test_what_another_brand_blocks_stays_theirs(conn: Conn, book: Book) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    await opt_out(conn, Channel.SMS, PHONES[0], brand="globex")
    assert await merge(conn, book, "bob", "ann", by=BY) == Merged("ann", 2, ())
    assert await blocked(conn) == set()
    assert await blocked(conn, "globex") == {(PHONES[0], "STOP")}


async def test_a_channel_that_is_opted_out_already_is_left_as_it_is(conn: Conn, book: Book) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    for phone in PHONES[:2]:
        await opt_out(conn, Channel.SMS, phone)
    assert await merge(conn, book, "bob", "ann", by=BY) == Merged("ann", 2, ())
    assert await blocked(conn) == {(phone, "STOP") for phone in PHONES[:2]}


async def test_a_test_key_unites_what_counts_for_test_sends_alone(conn: Conn, book: Book) -> None:
    book, scope = replace(book, test=True), scope_of("acme", test=True)
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    await opt_out(conn, Channel.SMS, PHONES[0])
    assert await merge(conn, book, "bob", "ann", by=replace(BY, scope=scope)) == Merged(
        "ann", 2, ()
    )
    assert await blocked(conn) == {(PHONES[0], "STOP")}
    await saved(conn, book, "cleo", Profile(phones=PHONES[2:]))
    await opt_out(conn, Channel.SMS, PHONES[2], scope)
    by = replace(BY, scope=scope)
    assert await merge(conn, book, "cleo", "ann", by=by) == Merged("ann", 3, ("sms",))
    assert await blocked(conn, scope) == {
        (PHONES[0], MERGED),
        (PHONES[1], MERGED),
        (PHONES[2], "STOP"),
    }
    assert await blocked(conn) == {(PHONES[0], "STOP")}


async def test_a_program_that_one_blocks_is_blocked_for_both_and_no_other(
    conn: Conn, book: Book
) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    who = ledger.Person("acme", Channel.SMS, await ledger.address_key(conn, PHONES[0]))
    entry = ledger.Entry(Kind.OPT_OUT, Source.OPERATOR, "test", "STOP", program="codes")
    await ledger.note(conn, who, entry, cell=0, event_id=h.new_id())
    await conn.commit()
    assert await merge(conn, book, "bob", "ann", by=BY) == Merged("ann", 2, ("sms",))
    rows = await h.all_rows(conn, "SELECT blocked, programs FROM consent WHERE channel = 'sms'")
    assert rows == [(False, ["codes"])] * 2


async def test_an_opt_out_on_its_way_is_waited_for(
    conn: Conn, book: Book, database_url: str
) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    async with (
        await db.connect(database_url) as stopping,
        await db.connect(database_url, autocommit=True) as watcher,
    ):
        await ledger.opt_out(
            stopping, cell=0, brand="acme", channel=Channel.SMS, address=PHONES[0],
            actor="test", reason="STOP", event_id=uuid4(),
        )  # fmt: skip
        merging = asyncio.create_task(merge(conn, book, "bob", "ann", by=BY))
        await until_blocked(conn, watcher)
        await stopping.commit()
        assert await merging == Merged("ann", 2, ("sms",))
    assert {address for address, _ in await blocked(conn)} == set(PHONES[:2])


# ----------------------------------------------------------------------------------- erase


async def test_who_is_erased_leaves_marks_and_nothing_else(conn: Conn, book: Book) -> None:
    await saved(conn, book, "u", ANN)
    await opt_out(conn, Channel.SMS, PHONES[0])
    await saved(conn, book, "u", BOB)
    assert isinstance(await erase(conn, book, "u", actor=KEY), Erased)
    assert await now(conn, book, "u") is None
    kept = await h.everything(conn)
    for secret in (*PHONES[:2], "bob@example.org", pack(ANN), pack(BOB)):
        assert secret not in repr([kept["recipient"], kept["recipient_version"]])
    assert kept["recipient_address"] == []
    assert await blocked(conn) == {(PHONES[0], "STOP")}
    assert await versions(conn) == [("u", 1, KEY), ("u", 2, KEY), ("u", 3, KEY)]


async def test_erasing_again_is_the_same_and_nobody_is_missing(conn: Conn, book: Book) -> None:
    assert await erase(conn, book, "none", actor=KEY) == Missing("none")
    await saved(conn, book, "u", ANN)
    for _ in range(2):
        assert isinstance(await erase(conn, book, "u", actor=KEY), Erased)
    assert len(await versions(conn)) == 2
    assert await saved(conn, book, "u", ANN, replaces=0) == (3, True)
    assert await now(conn, book, "u") == ANN


async def test_erasing_by_an_old_name_erases_the_person(conn: Conn, book: Book) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    await merge(conn, book, "bob", "ann", by=BY)
    assert isinstance(await erase(conn, book, "bob", actor=KEY), Erased)
    assert await now(conn, book, "ann") is None
    assert (await h.everything(conn))["recipient_address"] == []
    # Both names are free again.
    assert await saved(conn, book, "bob", ANN) == (4, True)
    assert await now(conn, book, "ann") is None


async def test_a_profile_that_this_version_cannot_read_is_erased_too(
    conn: Conn, book: Book
) -> None:
    await saved(conn, book, "u", ANN)
    await conn.execute("""UPDATE recipient SET profile = '{"form":2}'""")
    await conn.commit()
    assert isinstance(await erase(conn, book, "u", actor=KEY), Erased)
    assert (await h.everything(conn))["recipient_address"] == []


# ------------------------------------------------------------------------- two at a time


Work = Callable[[Conn, Book], Coroutine[Any, Any, Any]]
WAITING: dict[str, tuple[Work, str]] = {
    "wish": (lambda conn, book: wish(conn, book, "bob", push=False), "Saved ann"),
    "upsert": (lambda conn, book: upsert(conn, book, "bob", BOB, actor=KEY), "Moved ann"),
    "merge": (lambda conn, book: merge(conn, book, "bob", "carl", by=BY), "Merged carl"),
    "erase": (lambda conn, book: erase(conn, book, "bob", actor=KEY), "Erased "),
}


@pytest.mark.parametrize(("work", "wanted"), WAITING.values(), ids=WAITING)
async def test_a_change_that_waits_for_a_merge_is_one_of_who_they_are_by_then(
    conn: Conn, book: Book, database_url: str, work: Work, wanted: str
) -> None:
    for id, profile in (("ann", ANN), ("bob", BOB), ("carl", Profile())):
        await saved(conn, book, id, profile)
    async with (
        await db.connect(database_url) as other,
        await db.connect(database_url, autocommit=True) as watcher,
    ):
        held = await changes.hold(conn, book, ["ann", "bob"])
        waiting = asyncio.create_task(work(other, book))
        await until_blocked(other, watcher)
        await changes.merge(conn, book, "bob", "ann", changes.Written(KEY, held["ann"].now))
        await conn.commit()
        found = await waiting
    who = getattr(found, "id", getattr(found, "into", ""))
    assert f"{type(found).__name__} {who}" == wanted
    assert await now(conn, book, "bob") == await now(conn, book, "ann")


async def test_rows_are_held_in_the_order_of_ids_whichever_goes_on(
    conn: Conn, book: Book, database_url: str
) -> None:
    await saved(conn, book, "ann", ANN)
    await saved(conn, book, "bob", BOB)
    for source, into in (("ann", "bob"), ("bob", "ann")):
        async with (
            await db.connect(database_url) as other,
            await db.connect(database_url, autocommit=True) as watcher,
        ):
            await changes.hold(conn, book, ["ann"])
            waiting = asyncio.create_task(merge(other, book, source, into, by=BY))
            await until_blocked(other, watcher)
            # Who waits for the first holds none of those behind it.
            await watcher.execute("SELECT 1 FROM recipient WHERE id = 'bob' FOR UPDATE NOWAIT")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await conn.rollback()


async def test_merges_at_once_in_a_circle_end_as_one_or_are_refused(
    conn: Conn, book: Book, database_url: str
) -> None:
    for n in range(4):
        await saved(conn, book, f"u{n}", Profile(emails=(f"{n}@example.org",)))

    async def one(n: int) -> Any:
        async with await db.connect(database_url) as own:
            try:
                return await merge(own, book, f"u{n}", f"u{(n + 1) % 4}", by=BY)
            except psycopg.errors.DeadlockDetected:
                return None

    found = await asyncio.gather(*(one(n) for n in range(4)))
    assert any(isinstance(each, Merged) for each in found)
    for n in range(4):  # asked again, as who is refused does
        assert isinstance(await merge(conn, book, f"u{n}", f"u{(n + 1) % 4}", by=BY), Merged)
    people = [await now(conn, book, f"u{n}") for n in range(4)]
    assert people[0] is not None
    assert people == [people[0]] * 4
    assert sorted(people[0].emails) == [f"{n}@example.org" for n in range(4)]


async def test_a_commit_of_unknown_fate_is_said_to_be_one(
    conn: Conn, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in ("ann", "bob", "u"):
        await saved(conn, book, id, ANN)

    async def lost() -> None:
        raise psycopg.OperationalError("cut")

    for work in (
        lambda: upsert(conn, book, "u", BOB, actor=KEY),
        lambda: revise(conn, book, "u", lambda _: BOB, actor=KEY),
        lambda: merge(conn, book, "bob", "ann", by=BY),
        lambda: erase(conn, book, "u", actor=KEY),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(conn, "commit", lost)
            assert isinstance(await work(), Unknown)
        await conn.rollback()
