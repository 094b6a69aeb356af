"""Recipients: saved, changed, merged, erased. Each by one transaction.

An upsert that says nothing new writes nothing, and one whose devices' times only moved on, which
is what a producer does at each start of an app, writes one row. A recipient that was merged is read
and changed as the one it was merged into, but not replaced by its old name: who uses that one does
not know the whole person.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from notifyq.domain.profile import Profile, is_newer_only, pack, renew, unite
from notifyq.store import recipient_changes as changes
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.recipient_changes import Held, Written
from notifyq.store.recipients import Book
from notifyq.store.uniting import Merger, unite_opt_outs


@dataclass(frozen=True, slots=True)
class Saved:
    """A recipient as it is now; changed: a version was written by this request."""

    id: str
    version: int
    changed: bool
    profile: Profile


@dataclass(frozen=True, slots=True)
class Stale:
    """Not saved: another version than the one that was to be replaced is the newest; 0: none."""

    version: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Not saved: the recipient was merged into this one."""

    into: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing was done: there is no recipient of this id."""

    id: str


@dataclass(frozen=True, slots=True)
class Excess:
    """Not saved: it would have more than a recipient may have; each with its rule."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """Two recipients are one. opted_out: the channels on which all its addresses are by now."""

    id: str
    version: int
    opted_out: tuple[str, ...]


class Erased:
    """What the recipient said is gone, now and in every version."""


async def upsert(
    conn: Conn,
    book: Book,
    id: str,
    given: Profile,
    *,
    keep_quiet: bool = False,
    replaces: int | None = None,
    actor: str,
) -> Saved | Stale | Moved | Unknown:
    """Save who a recipient is, as a whole; its preferences stay.

    keep_quiet: its quiet hours too. replaces: the version that must be the newest, 0 for none,
    None for whichever is; a repeat of what is there already is saved.
    """

    async def work(conn: Conn) -> Saved | Stale | Moved:
        held = (await changes.hold(conn, book, [id])).get(id)
        if held is None:
            if replaces:
                return Stale(0)
            await changes.make(conn, book, id)
            held = (await changes.hold(conn, book, [id]))[id]
        if held.merged_into is not None:
            return Moved(held.merged_into)
        before = held.known
        quiet = before.quiet if keep_quiet else given.quiet
        after = replace(given, preferences=before.preferences, quiet=quiet)
        after = renew(before, after, held.now)
        if saved := await _keep(conn, book, id, held, after):
            return saved
        newest = 0 if held.erased else held.version
        if replaces not in (None, newest):
            return Stale(newest)
        return await _add(conn, book, id, held, after, actor=actor)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def revise(
    conn: Conn, book: Book, id: str, change: Callable[[Profile], Profile], *, actor: str
) -> Saved | Excess | Unknown:
    """Change a recipient, or the one that it was merged into; one that there is not is made."""

    async def work(conn: Conn) -> Saved | Excess:
        ends, rows = await changes.hold_ends(conn, book, [id])
        if ends[id] not in rows:
            await changes.make(conn, book, ends[id])
            ends, rows = await changes.hold_ends(conn, book, [id])
        end, held = ends[id], rows[ends[id]]
        after = change(held.known)
        if rules := after.excess():
            return Excess(tuple(rules))
        saved = await _keep(conn, book, end, held, after)
        return saved or await _add(conn, book, end, held, after, actor=actor)

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def merge(
    conn: Conn, book: Book, source: str, into: str, *, by: Merger
) -> Merged | Missing | Excess | Unknown:
    """Make two recipients one; `source` is another name of it from now on.

    If an address of either is blocked on a channel, for the brand or for a program, all are from
    now on, in the scope of who merges. Two that are one already stay as they are.
    psycopg.errors.LockNotAvailable, DeadlockDetected: somebody holds one of them; nothing was done.
    """

    async def work(conn: Conn) -> Merged | Missing | Excess:
        ends, rows = await changes.hold_ends(conn, book, [source, into])
        for id in (source, into):
            if ends[id] not in rows or rows[ends[id]].erased:
                return Missing(id)
        old, one = ends[source], ends[into]
        if old == one:
            return Merged(one, rows[one].version, ())
        known = rows[one].known
        person = unite(known, rows[old].known)
        if rules := person.excess():
            return Excess(tuple(rules))
        at = max(row.now for row in rows.values())
        come = person.everywhere - known.everywhere
        version = await changes.add(conn, book, one, pack(person), Written(by.actor, at, come))
        await changes.merge(conn, book, old, one, Written(by.actor, at))
        return Merged(one, version, await unite_opt_outs(conn, book.cell, person, by))

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def erase(conn: Conn, book: Book, id: str, *, actor: str) -> Erased | Missing | Unknown:
    """Empty a recipient, and all that were merged with it, with every version; again: the same.

    That there was one stays, and so do consent and what was sent: none of it is content.
    """

    async def work(conn: Conn) -> Erased | Missing:
        ends, rows = await changes.hold_ends(conn, book, [id])
        held = rows.get(ends[id])
        if held is None or held.version == 0:
            return Missing(id)
        if not held.erased:
            await changes.erase(conn, book, ends[id], Written(actor, held.now))
        return Erased()

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate


async def _keep(conn: Conn, book: Book, id: str, held: Held, after: Profile) -> Saved | None:
    """Return a recipient that says the same, its devices' times brought up to date; else None."""
    text = pack(after)
    if text != held.profile and (held.erased or not is_newer_only(held.known, after)):
        return None
    if text != held.profile:
        await changes.freshen(conn, book, id, text)
    return Saved(id, held.version, False, after)


async def _add(conn: Conn, book: Book, id: str, held: Held, after: Profile, *, actor: str) -> Saved:
    had, has = held.known.everywhere, after.everywhere
    by = Written(actor, held.now, come=has - had, gone=had - has)
    return Saved(id, await changes.add(conn, book, id, pack(after), by), True, after)
