"""The verdict on what providers tell beside what became of a message: texts to us, dead addresses.

A text is kept exactly once. A mark on an address may be lost, which costs one more attempt that is
refused, but rests on something that the provider said; what lifts it is as sure as what it is
written with.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, LiteralString

import psycopg

from tests.crash.points import box
from tests.crash.points.world import World

# What says that nobody has the number, and that it did not work this time.
DEAD, SOFT = frozenset({"21211", "30005"}), frozenset({"30003"})
NUMBERS = range(1, 6)
_MARKS: LiteralString = """
SELECT p.n::int4, c.dead_code, c.soft_bounces
  FROM unnest(%(phones)s::text[]) WITH ORDINALITY AS p (phone, n)
  JOIN notifyq.consent c ON c.address_key = notifyq.address_key(p.phone)
"""
# What was settled so: nothing is said of an address before that is sure.
_REFUSED: LiteralString = """
SELECT c.address, a.code FROM notifyq.attempt a JOIN notifyq.content c USING (cell, delivery_id)
 WHERE a.outcome = 'refused'
"""
_BEGUN: LiteralString = """
SELECT c.body, c.address FROM notifyq.content c
 WHERE EXISTS (SELECT 1 FROM notifyq.attempt a WHERE a.delivery_id = c.delivery_id)
"""


def texts_to_us(
    conn: psycopg.Connection[Any],
    told: Sequence[dict[str, Any]],
    *,
    heard: Collection[int],
    everything: bool,
) -> tuple[list[str], list[str]]:
    """Return (what is lost, what is wrong). everything: all that was told had to be heard."""
    kept = Counter(
        conn.execute("SELECT provider_id, sender, receiver, body FROM notifyq.inbound").fetchall()
    )
    lost, written = [], set()
    for one in box.letters(told):
        row = (one.sid, one.sender, one.receiver, one.body)
        written.add(row)
        if kept[row] == 0 and (everything or one.number in heard):
            lost.append(f"{one.body}: written to us, and not kept")
    wrong = [f"{row}: kept {times} times" for row, times in kept.items() if times > 1]
    return lost, wrong + [f"{row}: kept, and nobody wrote it" for row in set(kept) - written]


def marks(
    conn: psycopg.Connection[Any],
    world: World,
    told: Sequence[dict[str, Any]],
    *,
    dead: Collection[int],
    alive: Collection[str],
) -> list[str]:
    """Return what is wrong with the marks on addresses.

    dead: the numbers of addresses that must have one. alive: texts; once an attempt of such a
    delivery began, its address has none.
    """
    phones = [world.phone(n) for n in NUMBERS]
    evidence = {(to, code) for to, code in conn.execute(_REFUSED).fetchall() if code in DEAD}
    evidence |= {(one.to, one.code) for one in box.statuses(told) if one.code in DEAD}
    soft = Counter(one.to for one in box.statuses(told) if one.code in SOFT)
    found, marked = [], set()
    for n, code, times in conn.execute(_MARKS, {"phones": phones}).fetchall():
        if code is not None:
            marked.add(world.phone(n))
        if code is not None and (world.phone(n), code) not in evidence:
            found.append(f"address {n} is called dead ({code}), and nothing said so")
        if times > soft[world.phone(n)]:
            found.append(f"address {n}: {times} soft bounces of {soft[world.phone(n)]}")
    found += [
        f"address {n} is not called dead, and nothing went wrong"
        for n in dead
        if world.phone(n) not in marked
    ]
    begun = dict(conn.execute(_BEGUN).fetchall())
    found += [
        f"{text}: it was sent again, and its address is called dead"
        for text in sorted(alive)
        if begun.get(text) in marked
    ]
    return found
