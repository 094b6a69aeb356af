"""The verdict on a case at rest: what the provider took against what the database says."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import orjson
import psycopg

from notifyq.domain import ids
from tests.crash.points import box, consenting, hearsay, keeping
from tests.crash.points.registry import SENT, Scenario
from tests.crash.points.world import Outside, World
from tests.store import helpers as h

AUDITS = sorted((Path(__file__).parents[3] / "sql" / "audit").glob("*.sql"))
NEVER_SENT = frozenset({"dead", "expired", "canceled", "suppressed", "pending", "standby"})
SAYS_SENT = frozenset({"sent", "delivered", "undelivered"})
_DELIVERIES: LiteralString = """
SELECT d.id, d.state::text, d.reason, c.body,
       (SELECT count(*) FROM notifyq.attempt a
         WHERE a.delivery_id = d.id AND a.outcome = 'abandoned'),
       d.resend_after_s IS NOT NULL,
       (SELECT string_agg(a.outcome || coalesce(':' || a.code, ''), ' ' ORDER BY a.number)
          FROM notifyq.attempt a WHERE a.delivery_id = d.id)
  FROM notifyq.delivery d
  LEFT JOIN notifyq.content c ON c.delivery_id = d.id
"""


@dataclass(slots=True)
class Verdict:
    """What came out of one case."""

    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # contradictions, audits, promises broken
    left: list[str] = field(default_factory=list)  # unknown at the end: why, and the truth
    ends: dict[str, int] = field(default_factory=dict)  # deliveries by state
    repeats: int = 0  # of at_least_once deliveries, each beside an attempt that was abandoned

    @property
    def ok(self) -> bool:
        return not (self.duplicates or self.lost or self.wrong)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Told:
    """What the outside world heard, in order: replies, acknowledgements, statuses."""

    before: Sequence[dict[str, Any]]  # the fault
    after: Sequence[dict[str, Any]]
    recovery: Sequence[dict[str, Any]]
    heard: Collection[int]  # callbacks that were answered 2xx, by anybody
    evidence: str
    rested: bool
    unclear: frozenset[tuple[UUID, int]]  # attempts whose begin was never confirmed
    unconfirmed_reply: bool  # the struck commit was one that replies rest on
    unharmed: bool  # no fault at all
    frozen: bool  # others went on meanwhile, so that what they did came before


def judge(conn: psycopg.Connection[Any], world: World, scenario: Scenario, told: Told) -> Verdict:
    """Compare everything; the database belongs to this case alone."""
    found = Verdict()
    outside = world.outside()
    rows = _deliveries(conn)
    _count(rows, _through(outside), found)
    _receipts(conn, outside.box, told, found)
    if told.evidence in ("prompt", "late"):
        _arrived(rows, outside.box, found)
    _ends(rows, world, scenario, found)
    _replies(conn, told, found)
    _unclear(conn, told, found)
    _promises(rows, told, found)
    _hearsay(conn, world, scenario, told, found)
    for broken in (keeping.broken, consenting.broken):
        lost, wrong = broken(conn, (*told.before, *told.after))
        found.lost += lost
        found.wrong += wrong
    if scenario.deliveries is not None:
        _whole(rows, scenario.deliveries, told, found)
    if not told.rested:
        found.lost.append("it does not come to rest")
    for row in conn.execute(h._FAULTS).fetchall():
        found.lost.append(f"{row[1]}: {row[2]}")
    for path in AUDITS:
        for row in conn.execute(path.read_bytes()).fetchall():
            found.wrong.append(f"{path.stem}: {row}")
    return found


@dataclass(frozen=True, slots=True)
class _Delivery:
    id: UUID
    state: str
    reason: str | None
    text: str | None
    abandoned: int
    again: bool  # at_least_once
    attempts: str | None


def _deliveries(conn: psycopg.Connection[Any]) -> list[_Delivery]:
    return [_Delivery(*row) for row in conn.execute(_DELIVERIES).fetchall()]


def _through(outside: Outside) -> list[dict[str, str]]:
    """Return what the provider took and did not give up for the day."""
    capped = box.capped(outside.box)
    return [row for row in outside.taken if row["reference"] not in capped]


def _count(rows: list[_Delivery], taken: list[dict[str, str]], found: Verdict) -> None:
    """Hold what the provider took against every delivery, and against every text."""
    by_delivery = Counter(ids.read_reference(row["reference"])[1] for row in taken)
    may: dict[str | None, int] = {}
    for row in rows:
        times = by_delivery.pop(row.id, 0)
        found.ends[row.state] = found.ends.get(row.state, 0) + 1
        found.repeats += max(0, times - 1)
        may[row.text] = 1 + row.abandoned
        _compare(row, times, found)
    for (to, text), times in Counter((row["to"], row["body"]) for row in taken).items():
        if times > may.get(text, 1):
            found.duplicates.append(f"{text} to {to}: accepted {times} times")
    for delivery in by_delivery:
        found.wrong.append(f"the provider took a delivery that is not there: {delivery}")


def _compare(row: _Delivery, times: int, found: Verdict) -> None:
    about = f"{row.text}: {row.state} ({row.reason}), attempts {row.attempts}, taken {times} times"
    if times > 1 + row.abandoned:
        found.duplicates.append(about)
    if row.abandoned and not row.again:
        found.wrong.append(f"abandoned, though never to be repeated: {about}")
    if times and row.state in NEVER_SENT:
        found.wrong.append(f"the provider has it: {about}")
    if not times and row.state in SAYS_SENT:
        found.wrong.append(f"the provider never had it: {about}")
    if row.state == "unknown":
        truth = "it was accepted" if times else "it was not accepted"
        found.left.append(f"{row.attempts}; {truth}")


def _ends(rows: list[_Delivery], world: World, scenario: Scenario, found: Verdict) -> None:
    numbers = {world.text(n): n for n in range(1, 6)}
    for row in rows:
        may = scenario.ends.get(numbers.get(row.text or "", 0), SENT) | {"unknown"}
        if row.state not in may:
            found.lost.append(f"{row.text}: it must not end as {row.state} ({row.reason})")


def _receipts(
    conn: psycopg.Connection[Any], outside: list[dict[str, Any]], told: Told, found: Verdict
) -> None:
    """A callback that was answered 2xx is not told again, so it has to be there."""
    there = conn.execute("SELECT provider_id, status FROM receipt").fetchall()
    for one in box.statuses(outside):
        if one.number in told.heard and (one.sid, one.status) not in there:
            found.lost.append(f"callback {one.number} was answered 2xx and is not there")


def _arrived(rows: list[_Delivery], told: list[dict[str, Any]], found: Verdict) -> None:
    """What the provider has told us about is known, whatever happened before."""
    said: defaultdict[UUID, set[str]] = defaultdict(set)
    for one in box.statuses(told):
        if one.reference in box.capped(told):
            continue  # it is due again, and told of by another reference
        said[ids.read_reference(one.reference)[1]].add(one.status)
    for row in rows:
        last = "undelivered" if said[row.id] & box.UNDELIVERED else "delivered"
        if said[row.id] and row.state != last:
            found.wrong.append(f"{row.text}: {row.state}, though the provider said {last}")


def _replies(conn: psycopg.Connection[Any], told: Told, found: Verdict) -> None:
    stored = {
        ids.public_id("ntf", 0, row[0])
        for row in conn.execute("SELECT id FROM notifyq.notification").fetchall()
    }
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for said in (*told.before, *told.after, *told.recovery):
        if said.get("reply") == "Answer":
            answers[said["text"]].add(said["body"])
    for text, bodies in answers.items():
        if len(bodies) > 1:
            found.wrong.append(f"{text}: answered in {len(bodies)} ways under one key")
        for body in bodies:
            if orjson.loads(body)["id"] not in stored:
                found.lost.append(f"{text}: a 202 was given, and the notification is not there")
    for text in {said["text"] for said in told.recovery if "reply" in said} - set(answers):
        found.lost.append(f"{text}: asked again and again, never answered")
    if told.unconfirmed_reply and told.after and told.after[0].get("reply") == "Answer":
        found.wrong.append(f"{told.after[0]['text']}: a 202 rests on a commit of unknown fate")


def _promises(rows: list[_Delivery], told: Told, found: Verdict) -> None:
    """What was acknowledged holds: where a delivery ends, or that no attempt follows."""
    by_text = {row.text: row for row in rows}
    for said in (*told.before, *told.after):
        row = by_text.get(said.get("promised"))
        if row is None or (told.frozen and said.get("unless_frozen")):
            continue
        if row.state not in said.get("ends", [row.state]):
            found.wrong.append(f"{row.text}: {row.state}, and {said['ends']} was acknowledged")
        if len((row.attempts or "").split()) > said.get("attempts", 99):
            found.wrong.append(f"{row.text}: {row.attempts}, after it was called back")


def _hearsay(
    conn: psycopg.Connection[Any], world: World, scenario: Scenario, told: Told, found: Verdict
) -> None:
    outside = world.outside().box
    everything = told.evidence in ("prompt", "late")
    lost, wrong = hearsay.texts_to_us(conn, outside, heard=told.heard, everything=everything)
    promised = {said["promised"] for said in (*told.before, *told.after) if said.get("alive")}
    found.lost += lost
    found.wrong += wrong + hearsay.marks(
        conn,
        world,
        outside,
        dead=scenario.dead if told.unharmed else (),
        alive=promised | {world.text(n) for n in scenario.alive},
    )


def _whole(rows: list[_Delivery], wanted: int, told: Told, found: Verdict) -> None:
    answered = any(s.get("reply") == "Answer" for s in (*told.before, *told.after))
    if len(rows) not in ((wanted,) if answered else (0, wanted)):
        found.lost.append(f"{len(rows)} of {wanted} deliveries of one list are there")


def _unclear(conn: psycopg.Connection[Any], told: Told, found: Verdict) -> None:
    for delivery, number in told.unclear:
        row = conn.execute(
            "SELECT provider_id IS NOT NULL FROM notifyq.attempt"
            " WHERE delivery_id = %s AND number = %s",
            [delivery, number],
        ).fetchone()
        if row is not None and row[0]:
            found.wrong.append(f"{delivery}, attempt {number}: sent on a begin of unknown fate")
