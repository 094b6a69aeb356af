"""Wrong versions of production code, put in its place in every process of a case. The enumeration
has to come out red on each of them, or it proves nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg

from notifyq.domain.model import Bounce, Ready
from notifyq.domain.outcome import Outcome, Unavailable
from notifyq.domain.wording.reading import Intent
from notifyq.entrypoints.api import callbacks
from notifyq.entrypoints.worker import lane
from notifyq.services import accept, bounces, deliver, optout_import, reviews, unsubscribe
from notifyq.services import consents as consent_records
from notifyq.services.hear import Heard
from notifyq.services.optout_import import Line
from notifyq.store import consents, disowned, recipient_changes, upkeep
from notifyq.store.bounces import News
from notifyq.store.db import Committed, Conn, Unknown, transact
from tests.store import helpers as h

WRONG: dict[str, Callable[[], None]] = {}


def apply(name: str | None) -> None:
    """Put a wrong version in the place of the right one."""
    if name is not None:
        WRONG[name]()


def _wrong(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(put: Callable[[], None]) -> Callable[[], None]:
        WRONG[name] = put
        return put

    return register


@_wrong("a lease that ran out makes it due again")
def _expiry_is_pending() -> None:
    upkeep.DOUBT = h.mutated(
        upkeep.DOUBT,
        (
            "SET outcome = 'in_doubt', code = 'lease_expired'",
            "SET outcome = 'not_sent', ended_at = now()",
        ),
        (
            "SET state = 'in_doubt', reason = 'lease_expired', changed_at = now()",
            "SET changed_at = now()",
        ),
        (
            """INSERT INTO timer (cell, delivery_id, kind, due, lane)
    SELECT %(cell)s::int2, id, w.kind, now() + make_interval(secs => w.after_s), lane""",
            """INSERT INTO job (cell, criticality, lane, due, delivery_id, channel, attempts, tries)
    SELECT %(cell)s::int2, 1, lane, now(), id, 'sms', 1, 0""",
        ),
    )


@_wrong("a commit of unknown fate is taken for a confirmed one")
def _unknown_is_committed() -> None:
    async def believing(conn: Conn, work: Callable[[Conn], Awaitable[Any]]) -> Any:
        kept: list[Any] = []

        async def keeping(conn: Conn) -> Any:
            kept.append(await work(conn))
            return kept[-1]

        fate = await transact(conn, keeping)
        return Committed(kept[-1]) if isinstance(fate, Unknown) else fate

    deliver.transact = accept.transact = believing  # type: ignore[assignment]


@_wrong("it is sent before the begin is committed")
def _send_before_commit() -> None:
    right_init, right_send = lane.LaneWorker.__init__, lane.send
    workers: list[lane.LaneWorker] = []
    sent: dict[UUID, Outcome] = {}

    def init(self: lane.LaneWorker, *arguments: Any, **named: Any) -> None:
        right_init(self, *arguments, **named)
        workers.append(self)

    async def early(conn: Conn, work: Callable[[Conn], Awaitable[Any]]) -> Any:
        async def sending(conn: Conn) -> Any:
            turn = await work(conn)
            for ready in getattr(turn, "ready", []):
                sent[ready.due.delivery_id] = await right_send(
                    ready,
                    workers[-1]._provider,
                    workers[-1]._rules.send,
                    cell=0,
                    deadline_s=float("inf"),
                    now=workers[-1]._clock.now,
                )
            return turn

        return await transact(conn, sending)

    async def already(ready: Ready, *_: Any, **__: Any) -> Outcome:
        return sent[ready.due.delivery_id]

    lane.LaneWorker.__init__ = init  # type: ignore[method-assign]
    lane.send = already  # type: ignore[assignment]
    deliver.transact = early  # type: ignore[assignment]


@_wrong("a lost answer is taken for a refusal")
def _lost_is_unavailable() -> None:
    right = lane.send

    async def sure(*arguments: Any, **named: Any) -> Any:
        outcome = await right(*arguments, **named)
        return Unavailable("lost") if type(outcome).__name__ == "InDoubt" else outcome

    lane.send = sure


@_wrong("the answer does not wait for the commit")
def _answer_before_commit() -> None:
    async def hasty(conn: Conn, work: Callable[[Conn], Awaitable[Any]]) -> Any:
        value = await work(conn)
        with suppress(psycopg.OperationalError):
            await conn.commit()
        return Committed(value)

    accept.transact = hasty  # type: ignore[assignment]


@_wrong("what it knows it began is disowned too")
def _disown_all() -> None:
    disowned.DISOWN = h.mutated(
        disowned.DISOWN,
        ("AND NOT delivery_id = ANY (%(known)s::uuid[])", "AND %(known)s::uuid[] IS NOT NULL"),
    )


@_wrong("a text to us is thanked for before it is kept")
def _thank_before_commit() -> None:
    right = callbacks.hear

    async def hasty(*arguments: Any, **named: Any) -> Any:
        fate = await right(*arguments, **named)
        return Heard(True, Intent.OTHER) if isinstance(fate, Unknown) else fate

    callbacks.hear = hasty


@_wrong("an answer that is not yes calls the address dead")
def _doubt_is_dead() -> None:
    def rash(delivery_id: UUID, outcome: Outcome, _: object) -> News | None:
        if type(outcome).__name__ == "Accepted":
            return None
        return News(delivery_id, Bounce.DEAD, getattr(outcome, "code", None), None)

    bounces.of_outcome = rash


@_wrong("a redrive leaves the mark on the address")
def _mark_stays() -> None:
    async def leave(*_: Any, **__: Any) -> None:
        """Take nothing back."""

    consents.revive = leave


@_wrong("a merge is committed before its opt-out")
def _merge_in_two() -> None:
    right = recipient_changes.merge

    async def hasty(conn: Conn, *arguments: Any) -> None:
        await right(conn, *arguments)
        await conn.commit()

    recipient_changes.merge = hasty


@_wrong("an opt-out is acknowledged though nobody knows of its commit")
def _acknowledged_in_doubt() -> None:
    async def believing(conn: Conn, work: Callable[[Conn], Awaitable[Any]]) -> Any:
        fate = await transact(conn, work)
        return Committed(True) if isinstance(fate, Unknown) else fate

    for service in (consent_records, optout_import, reviews, unsubscribe):
        service.transact = believing  # type: ignore[attr-defined]


@_wrong("a file of opt-outs is committed line by line")
def _line_by_line() -> None:
    right = optout_import.store

    async def hasty(conn: Conn, lines: Sequence[Line], **named: Any) -> Any:
        fates = [await right(conn, [line], **named) for line in lines]
        return fates[-1]

    optout_import.store = hasty


@_wrong("what is capped begins before it is counted, and not with it")
def _counted_apart() -> None:
    right = consents.count

    async def hasty(conn: Conn, *arguments: Any, **named: Any) -> None:
        await conn.commit()
        await right(conn, *arguments, **named)

    consents.count = hasty
