"""Recipients as rows: read by their keys however many there are, and every change is kept."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from notifyq.domain.model import Channel
from notifyq.domain.profile import BadProfile, KnownDevice, Profile, pack
from notifyq.store import db, ledger, recipients
from notifyq.store import recipient_changes as changes
from notifyq.store.db import Conn
from notifyq.store.recipient_changes import Written
from notifyq.store.recipients import Book, Found, Owner, of
from tests.store import helpers as h
from tests.store.test_plans import ROWS, Ear, Plan, call_of, calls_of, plan_of

ANN, BOB = Profile(phones=("+14155550123",)), Profile(emails=("bob@example.org",))
PK = ("recipient", "recipient_pk")


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[Conn]:
    async with await db.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def book(conn: Conn) -> Book:
    return Book(0, (await h.open_shop(conn)).tenant_id, False)


async def write(conn: Conn, book: Book, id: str, profile: Profile) -> datetime:
    """Write a version, and who has which address; return its time."""
    await changes.make(conn, book, id)
    held = (await changes.hold(conn, book, [id]))[id]
    had, has = held.known.everywhere, profile.everywhere
    by = Written("nq_live_1", held.now, come=has - had, gone=had - has)
    await changes.add(conn, book, id, pack(profile), by)
    return held.now


async def merge(conn: Conn, book: Book, id: str, into: str) -> datetime:
    held = await changes.hold(conn, book, [id, into])
    await changes.merge(conn, book, id, into, Written("nq_live_1", held[into].now))
    return held[into].now


async def erase(conn: Conn, book: Book, id: str) -> datetime:
    held = await changes.hold(conn, book, [id])
    await changes.erase(conn, book, id, Written("nq_live_1", held[id].now))
    return held[id].now


async def read(conn: Conn, book: Book, *ids: str) -> dict[str, Profile]:
    return await recipients.profiles(conn, **of(book), ids=ids)  # type: ignore[arg-type]


async def then(conn: Conn, book: Book, id: str, at: datetime) -> Profile | None:
    return await recipients.as_of(conn, **of(book), id=id, at=at)  # type: ignore[arg-type]


async def who(conn: Conn, address: str) -> list[Owner]:
    (key,) = await ledger.address_keys(conn, [address])
    return await recipients.who_has(conn, cell=0, address_key=key)


# --------------------------------------------------------------------------------- as now


async def test_many_are_read_at_once_and_who_is_not_there_is_left_out(
    conn: Conn, book: Book
) -> None:
    await write(conn, book, "ann", ANN)
    await write(conn, book, "bob", BOB)
    await write(conn, book, "*", Profile(preferences={("a", "*"): False}))
    await write(conn, book, "gone", ANN)
    await erase(conn, book, "gone")
    await changes.make(conn, book, "half")
    found = await read(conn, book, "bob", "gone", "half", "none", "ann", "*")
    assert found == {
        "ann": ANN,
        "bob": BOB,
        "*": Profile(preferences={("a", "*"): False}),
    }
    assert await read(conn, book) == {}


async def test_each_tenant_and_mode_has_its_own(conn: Conn, book: Book) -> None:
    other = Book(0, (await h.open_shop(conn, "globex")).tenant_id, False)
    await write(conn, book, "ann", ANN)
    await write(conn, replace(book, test=True), "ann", BOB)
    assert await read(conn, book, "ann") == {"ann": ANN}
    assert await read(conn, replace(book, test=True), "ann") == {"ann": BOB}
    assert await read(conn, other, "ann") == {}
    assert await recipients.find(conn, other, "ann") is None
    assert await then(conn, other, "ann", h.database_now()) is None


async def test_who_was_merged_reads_as_who_they_are_now(conn: Conn, book: Book) -> None:
    await write(conn, book, "ann", ANN)
    changed_at = await write(conn, book, "bob", BOB)
    await merge(conn, book, "ann", "bob")
    assert await read(conn, book, "ann", "bob") == {"ann": BOB, "bob": BOB}
    assert await recipients.find(conn, book, "ann") == Found("bob", 1, BOB, changed_at)
    assert await recipients.find(conn, book, "bob") == Found("bob", 1, BOB, changed_at)


async def test_who_was_merged_before_goes_along(conn: Conn, book: Book) -> None:
    for id in ("a", "b", "c"):
        await write(conn, book, id, Profile(locale=id))
    first = await merge(conn, book, "a", "b")
    second = await merge(conn, book, "b", "c")
    assert {one.locale for one in (await read(conn, book, "a", "b", "c")).values()} == {"c"}
    assert await h.all_rows(conn, "SELECT id, merged_into FROM recipient ORDER BY 1") == [
        ("a", "c"),
        ("b", "c"),
        ("c", None),
    ]
    at = [first - timedelta(microseconds=1), first, second]
    found = [[(await then(conn, book, id, t)) for id in ("a", "b", "c")] for t in at]
    assert [[one and one.locale for one in row] for row in found] == [
        ["a", "b", "c"],
        ["b", "b", "c"],
        ["c", "c", "c"],
    ]


async def test_a_profile_of_a_newer_form_is_not_read_as_something_else(
    conn: Conn, book: Book
) -> None:
    await write(conn, book, "ann", ANN)
    await conn.execute("""UPDATE recipient SET profile = '{"form":2}'""")
    for reading in (read(conn, book, "ann"), recipients.find(conn, book, "ann")):
        with pytest.raises(BadProfile, match="form 2"):
            await reading


# -------------------------------------------------------------------------------- as then


async def test_what_somebody_was_is_answered_from_the_versions(conn: Conn, book: Book) -> None:
    first = await write(conn, book, "ann", ANN)
    second = await write(conn, book, "ann", BOB)
    assert first < second
    moment = timedelta(microseconds=1)
    assert await then(conn, book, "ann", first - moment) is None
    assert await then(conn, book, "ann", first) == ANN
    assert await then(conn, book, "ann", second - moment) == ANN
    assert await then(conn, book, "ann", second) == BOB
    assert await then(conn, book, "bob", second) is None
    rows = await h.all_rows(
        conn, "SELECT version, profile, at, actor FROM recipient_version ORDER BY version"
    )
    assert rows == [
        (1, pack(ANN), first, "nq_live_1"),
        (2, pack(BOB), second, "nq_live_1"),
    ]


async def test_an_erasure_empties_every_version_of_all_who_are_one(conn: Conn, book: Book) -> None:
    first = await write(conn, book, "ann", ANN)
    await write(conn, book, "bob", BOB)
    await write(conn, book, "other", ANN)
    await merge(conn, book, "ann", "bob")
    await erase(conn, book, "bob")
    assert await read(conn, book, "ann", "bob", "other") == {"other": ANN}
    now = h.database_now()
    for id, at in (("ann", first), ("ann", now), ("bob", now)):
        assert await then(conn, book, id, at) is None
    assert await then(conn, book, "other", now) == ANN
    for table in ("recipient", "recipient_version"):
        kept = await h.all_rows(conn, f"SELECT profile FROM {table} WHERE id <> 'other'")
        assert {text for (text,) in kept} == {"{}"}
    marks = await h.all_rows(
        conn, "SELECT id, version, erased, merged_into FROM recipient_version ORDER BY 1, 2"
    )
    assert marks == [
        ("ann", 1, True, None),
        ("ann", 2, True, "bob"),
        ("ann", 3, True, None),
        ("bob", 1, True, None),
        ("bob", 2, True, None),
        ("other", 1, False, None),
    ]
    assert await who(conn, "bob@example.org") == []
    assert [one.id for one in await who(conn, "+14155550123")] == ["other"]


async def test_who_is_erased_may_come_back_with_nothing_of_before(conn: Conn, book: Book) -> None:
    await write(conn, book, "ann", ANN)
    await merge_into_new(conn, book)
    await erase(conn, book, "bob")
    back = await write(conn, book, "ann", BOB)
    assert await read(conn, book, "ann", "bob") == {"ann": BOB}
    assert await then(conn, book, "ann", back) == BOB
    assert await then(conn, book, "ann", back - timedelta(microseconds=1)) is None


async def merge_into_new(conn: Conn, book: Book) -> None:
    await write(conn, book, "bob", BOB)
    await merge(conn, book, "ann", "bob")


# ------------------------------------------------------------------------------ addresses


async def test_it_is_known_who_has_an_address_now(conn: Conn, book: Book) -> None:
    test = replace(book, test=True)
    device = KnownDevice("web", "org.a", "t")
    await write(conn, book, "ann", replace(ANN, devices=(device,), emails=("ann@example.org",)))
    await write(conn, book, "bob", ANN)
    await write(conn, test, "ann", ANN)
    assert await who(conn, "+14155550123") == [
        Owner(book.tenant_id, False, "ann", Channel.SMS),
        Owner(book.tenant_id, False, "bob", Channel.SMS),
        Owner(book.tenant_id, True, "ann", Channel.SMS),
    ]
    assert [one.channel for one in await who(conn, device.address)] == [Channel.PUSH]
    assert [one.channel for one in await who(conn, "ann@example.org")] == [Channel.EMAIL]
    assert await who(conn, "+14155550199") == []
    await write(conn, book, "ann", Profile(phones=("+14155550199",)))
    assert [one.id for one in await who(conn, "+14155550199")] == ["ann"]
    assert [(one.id, one.test) for one in await who(conn, "+14155550123")] == [
        ("bob", False),
        ("ann", True),
    ]
    assert await who(conn, device.address) == await who(conn, "ann@example.org") == []


async def test_who_was_merged_has_no_address_any_more(conn: Conn, book: Book) -> None:
    await write(conn, book, "ann", ANN)
    await merge_into_new(conn, book)
    assert await who(conn, "+14155550123") == []
    assert [one.id for one in await who(conn, "bob@example.org")] == ["bob"]


# -------------------------------------------------------------------------------- changes


async def test_freshening_touches_one_row_and_no_index(conn: Conn, book: Book) -> None:
    device = KnownDevice("web", "org.a", "t", h.database_now())
    await write(conn, book, "ann", replace(ANN, devices=(device,)))
    before = await h.everything(conn)
    later = replace(device, last_seen=h.database_now())
    await changes.freshen(conn, book, "ann", pack(replace(ANN, devices=(later,))))
    after = await h.everything(conn)
    assert [name for name in after if after[name] != before[name]] == ["recipient"]
    assert (await read(conn, book, "ann"))["ann"].devices == (later,)
    await conn.execute("SELECT pg_stat_force_next_flush()")
    cold = "SELECT n_tup_upd - n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'recipient'"
    assert await h.one(conn, cold) == 0  # no update of it wrote an index


async def test_a_version_is_only_added_to_a_recipient_that_is_there(conn: Conn, book: Book) -> None:
    with pytest.raises(RuntimeError, match="held"):
        await changes.add(conn, book, "ann", pack(ANN), Written("x", h.database_now()))


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("UPDATE recipient SET version = -1", "recipient_version_from_0"),
        ("UPDATE recipient SET profile = '{}'", "recipient_gone_says_nothing"),
        ("UPDATE recipient SET erased = true", "recipient_gone_says_nothing"),
        ("UPDATE recipient SET merged_into = 'bob'", "recipient_gone_says_nothing"),
        (
            "UPDATE recipient SET merged_into = 'bob', erased = true, profile = '{}'",
            "recipient_one_end",
        ),
        (
            "UPDATE recipient SET merged_into = 'ann', profile = '{}'",
            "recipient_merged_into_another",
        ),
        ("UPDATE recipient SET merged_into = 'x', profile = '{}'", "recipient_merged_into_one"),
        ("DELETE FROM recipient", "recipient_version_of_recipient"),
        ("DELETE FROM tenant", "recipient_of_tenant"),
        ("UPDATE recipient_version SET version = 0", "recipient_version_from_1"),
        ("UPDATE recipient_version SET erased = true", "recipient_version_gone_says_nothing"),
        ("UPDATE recipient_version SET profile = '{}'", "recipient_version_gone_says_nothing"),
        (
            "UPDATE recipient_address SET address_key = 'x'",
            "recipient_address_key_is_16_bytes",
        ),
        ("UPDATE recipient_address SET id = 'x'", "recipient_address_of_recipient"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    conn: Conn, book: Book, change: Any, constraint: str
) -> None:
    await write(conn, book, "ann", ANN)
    with pytest.raises(psycopg.errors.IntegrityError) as caught:
        await conn.execute(change)
    assert caught.value.diag.constraint_name == constraint


@pytest.mark.parametrize("length", [0, 129])
async def test_an_id_that_is_too_short_or_too_long_is_refused(
    conn: Conn, book: Book, length: int
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="recipient_id_has_1_to_128"):
        await changes.make(conn, book, "\U0001f600" * length)


@pytest.mark.parametrize("length", [1, 128])
async def test_an_id_has_1_to_128_characters(conn: Conn, book: Book, length: int) -> None:
    id = "\U0001f600" * length
    await write(conn, book, id, ANN)
    assert await read(conn, book, id) == {id: ANN}


# ---------------------------------------------------------------------------------- plans


@pytest.fixture
async def hot(database_url: str) -> AsyncIterator[Conn]:
    async with await db.connect(database_url, hot=True) as connection:
        yield connection


async def crowd(conn: Conn, book: Book) -> None:
    """Fifty thousand recipients with an address each; every tenth is merged into the one before."""
    await conn.execute("SET idle_in_transaction_session_timeout = 0")
    await conn.execute(
        """
        WITH made AS (
            INSERT INTO recipient (cell, tenant_id, test, id, version, profile, erased)
            SELECT 0, %(tenant_id)s, false, 'u' || n, 1,
                   '{"form":1,"phones":["+14155550123"],"locale":"' || n || '"}', false
              FROM generate_series(1, %(rows)s) AS n
            RETURNING tenant_id, id
        ), kept AS (
            INSERT INTO recipient_version (cell, tenant_id, test, id, version, profile, at, actor)
            SELECT 0, tenant_id, false, id, 1, '{"form":1}', now(), 'x' FROM made
        )
        INSERT INTO recipient_address (cell, tenant_id, test, address_key, channel, id)
        SELECT 0, tenant_id, false, substring(sha256(id::bytea) FROM 1 FOR 16), 'sms', id FROM made
        """,
        {"tenant_id": book.tenant_id, "rows": ROWS},
    )
    await conn.execute(
        "UPDATE recipient SET version = 2, profile = '{}',"
        "       merged_into = 'u' || substr(id, 2)::int - 1"
        " WHERE id LIKE '%0'"
    )
    await conn.execute(
        "INSERT INTO recipient_version "
        "SELECT cell, tenant_id, test, id, 2, profile, now(), 'x', erased, merged_into "
        "  FROM recipient WHERE id LIKE '%0'"
    )
    await conn.commit()


def scans(plan: Plan) -> set[tuple[str, str]]:
    return {(relation, index) for _, relation, index in plan.scans}


async def test_look_ups_stay_look_ups_of_keys_whatever_lies_beside(hot: Conn) -> None:
    book = Book(0, (await h.open_shop(hot)).tenant_id, False)
    ids = [f"u{n}" for n in range(1, 101)]
    key = b"k" * 16

    def reading() -> Any:
        return read(hot, book, *ids)

    def remembering() -> Any:
        return then(hot, book, "u10", h.database_now())

    def finding() -> Any:
        return recipients.who_has(hot, cell=0, address_key=key)

    def holding() -> Any:
        return changes.hold(hot, book, ids)

    async def adding() -> None:
        await write(hot, book, "new", ANN)

    def freshening() -> Any:
        return changes.freshen(hot, book, "u1", pack(ANN))

    for work in (reading, remembering, finding, holding, adding, freshening):
        await calls_of(hot, work)
    await crowd(hot, book)
    for analyzed in (False, True):
        if analyzed:
            await hot.execute("ANALYZE")
            await hot.commit()
        plan = await plan_of(hot, await call_of(hot, reading), analyze=True)
        assert scans(plan) == {PK}
        # A row for each, and ten more for who was merged; PostgreSQL 16 rounds rows of a loop.
        assert 100 <= plan.rows_read("recipient") <= 2 * len(ids)
        assert not any("Sort" in kind for kind in plan.types())
        plan = await plan_of(hot, await call_of(hot, remembering), analyze=True)
        assert scans(plan) == {("recipient_version", "recipient_version_pk")}
        assert plan.rows_read("recipient_version") == 2
        plan = await plan_of(hot, await call_of(hot, finding), analyze=True)
        assert scans(plan) == {("recipient_address", "recipient_address_pk")}
        plan = await plan_of(hot, await call_of(hot, holding))
        assert scans(plan) == {PK}
        plan = await plan_of(hot, (await calls_of(hot, adding))[-1])
        by_address, by_person = "recipient_address_pk", "recipient_address_of"
        assert scans(plan) in ({PK, ("recipient_address", one)} for one in (by_address, by_person))
        plan = await plan_of(hot, await call_of(hot, freshening))
        assert scans(plan) == {PK}


async def test_who_goes_along_is_found_by_an_index(hot: Conn) -> None:
    book = Book(0, (await h.open_shop(hot)).tenant_id, False)
    now = h.database_now()

    def ending() -> Any:
        return changes.merge(hot, book, "u9", "u8", Written("x", now))

    await call_of(hot, ending)
    await crowd(hot, book)
    for analyzed in (False, True):
        if analyzed:
            await hot.execute("ANALYZE")
            await hot.commit()
        plan = await plan_of(hot, await call_of(hot, ending))
        assert scans(plan) <= {
            PK,
            ("recipient", "recipient_merged"),
            ("recipient_version", "recipient_version_pk"),
            ("recipient_address", "recipient_address_of"),
        }, scans(plan)


async def test_ten_thousand_are_read_in_one_statement(hot: Conn) -> None:
    book = Book(0, (await h.open_shop(hot)).tenant_id, False)
    await crowd(hot, book)
    ids = [f"u{n}" for n in range(1, 10_001)]
    ear = Ear(hot)
    found = await read(hot, book, *ids)
    assert len(ear.calls) == 1
    assert len(found) == 10_000
    assert found["u10"] == found["u9"] != found["u11"]
