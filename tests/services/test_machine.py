"""Any order of everything that can happen to a few deliveries, over the real store.

The machine knows what the provider really did. After every step it compares: nobody got anything
twice, nothing is lost, and what rests as never sent was never sent.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from notifyq.domain.doubts import Claim
from notifyq.domain.ids import notification_of
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Category, Ready
from notifyq.domain.outcome import (
    Accepted,
    Capped,
    InDoubt,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.services import cancel, redrive, resolve
from notifyq.store import db
from notifyq.store.cancels import By
from tests.store import helpers as h

T = TypeVar("T")
SENT = 2
PACIFIC = "America/Los_Angeles"
DAYS_S = 3 * 86_400  # longer than a daily cap lasts
NEVER_SENT = {"expired", "suppressed", "canceled", "dead"}
CODES = Category("login.code", resend_after_s=1)
PEOPLE = [f"+1415555010{n}" for n in range(3)]
# What the provider did, and what its answer said.
CALLS: list[tuple[bool, Outcome | None]] = [
    (True, Accepted("SM")),
    (True, InDoubt("cut")),
    (True, None),
    (False, Unavailable("503")),
    (False, Throttled("429")),
    (False, Capped("30023", PACIFIC)),
    (False, Refused(Refusal.ADDRESS, "21211")),
    (False, Refused(Refusal.OPTED_OUT, "21610")),
    (False, NotSent("connect")),
    (False, InDoubt("cut")),
    (False, None),
]


@dataclass
class Call:
    """A call that was made: what the provider did, and the answer if there was one."""

    ready: Ready
    accepted: bool
    answer: Outcome | None


class House(RuleBasedStateMachine):
    """A lane, its workers, its provider, the janitor, producers and operators."""

    url: ClassVar[str]
    due = Bundle("due")
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.taken: Counter[UUID] = Counter()  # by delivery: what the provider accepted
        self.named = 0
        self.ids: list[UUID] = []
        self.conn = self.do(db.connect(self.url, hot=True))
        self.shop = self.do(h.open_shop(self.conn))
        self.post = h.post_of(self.shop)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def sql(self, text: str, **parameters: Any) -> list[tuple[Any, ...]]:
        async def run() -> list[tuple[Any, ...]]:
            cursor = await self.conn.execute(text.encode(), parameters)
            found = await cursor.fetchall() if cursor.description else []
            await self.conn.commit()
            return found

        return self.do(run())

    def teardown(self) -> None:
        # Leave nothing that the next example's janitor would touch.
        tables = "job, timer, dead_letter, standby, attempt, delivery, consent, consent_event"
        guard = "TRIGGER consent_event_is_only_added_to"
        self.sql(f"ALTER TABLE consent_event DISABLE {guard}")
        self.sql(f"TRUNCATE {tables}")
        self.sql(f"ALTER TABLE consent_event ENABLE ALWAYS {guard}")
        self.do(self.conn.close())
        self.loop.close()

    # ------------------------------------------------------------------------- producers

    @rule(to=st.sampled_from(PEOPLE), code=st.booleans())
    def accept(self, to: str, code: bool) -> None:
        more: dict[str, Any] = {"lifetime_s": DAYS_S} | ({"category": CODES} if code else {})
        self.ids += self.do(h.accepted(self.conn, h.make_ask(self.shop, to=to, **more)))

    @rule(pick=st.integers(0, 99))
    def call_back(self, pick: int) -> None:
        if not self.ids:
            return
        at = self.ids[pick % len(self.ids)]
        by = By("key", "test")
        told = self.do(
            cancel.cancel(
                self.conn,
                notification_of(at),
                by,
                cell=0,
                dedupe_days=h.DEDUPE_DAYS,
                new_id=h.new_id,
            )
        )
        assert isinstance(told, list)

    @rule(to=st.sampled_from(PEOPLE))
    def opt_out(self, to: str) -> None:
        self.do(h.opt_out(self.conn, self.shop, to))

    # --------------------------------------------------------------------------- workers

    @rule(target=due)
    def begin(self) -> Any:
        post = replace(self.post, worker=h.new_id())
        turn = self.do(h.begin(self.conn, post))
        assert not turn.blocked
        return multiple(*turn.ready)

    @rule(target=calls, ready=consumes(due), call=st.sampled_from(CALLS))
    def call(self, ready: Ready, call: tuple[bool, Outcome | None]) -> Call:
        accepted, answer = call
        self.taken[ready.due.delivery_id] += accepted
        if isinstance(answer, Accepted):
            answer = Accepted(self.name_of(ready))
        return Call(ready, accepted, answer)

    @rule(call=calls)
    def settle(self, call: Call) -> None:
        """Soon, late, or again."""
        if call.answer is not None:
            self.do(h.settled(self.conn, self.post, (call.ready, call.answer)))

    # ---------------------------------------------------------------------------- evidence

    @rule(
        call=calls,
        rank=st.sampled_from([SENT, RANK_DELIVERED, RANK_UNDELIVERED]),
        cap_zone=st.sampled_from([None, PACIFIC]),
    )
    def receipt(self, call: Call, rank: int, cap_zone: str | None) -> None:
        if call.accepted:
            named = self.name_of(call.ready)
            at = call.ready.due.delivery_id
            found = h.receipt_for(at, call.ready.number, rank, provider_id=named)
            self.do(h.told(self.conn, replace(found, cap_zone=cap_zone)))

    # --------------------------------------------------------------------------- the clock

    @rule()
    def leases_run_out(self) -> None:
        self.sql("UPDATE attempt SET send_by = now() - interval '1 s' WHERE outcome = 'open'")
        self.do(h.swept(self.conn))

    @rule(kind=st.sampled_from(["resend", "settle_window"]))
    def a_timer_runs_out(self, kind: str) -> None:
        self.sql("UPDATE timer SET due = now() - interval '1 s' WHERE kind = %(kind)s", kind=kind)
        self.do(h.swept(self.conn))

    @rule()
    def retries_come_due(self) -> None:
        self.sql("UPDATE job SET due = now() - interval '1 s'")

    @rule(pick=st.integers(0, 99))
    def one_expires(self, pick: int) -> None:
        if self.ids:
            at = self.ids[pick % len(self.ids)]
            self.sql("UPDATE delivery SET expires_at = now() WHERE id = %(at)s", at=at)

    # --------------------------------------------------------------------------- operators

    @rule(pick=st.integers(0, 99))
    def redrive(self, pick: int) -> None:
        if self.ids:
            errand = redrive.Errand(0, "jo", "test", 10.0, h.new_id)
            self.do(redrive.redrive(self.conn, self.ids[pick % len(self.ids)], errand))

    @rule(call=calls)
    def resolve(self, call: Call) -> None:
        """A person who looked it up at the provider, and says what is true."""
        at = call.ready.due.delivery_id
        last = self.sql("SELECT max(number) FROM attempt WHERE delivery_id = %(at)s", at=at)
        if last != [(call.ready.number,)]:
            return
        claim = Claim.CARRIED_OUT if call.accepted else Claim.NOT_CARRIED_OUT
        witness = resolve.Witness(claim, "jo", "test", "looked it up")
        self.do(resolve.resolve(self.conn, at, witness, cell=0, new_id=h.new_id))

    # -------------------------------------------------------------------------- the promises

    @invariant()
    def nothing_is_lost_or_begun_twice(self) -> None:
        assert self.do(h.faults(self.conn)) == []

    @invariant()
    def nobody_got_it_twice_and_the_rows_do_not_lie(self) -> None:
        rows = self.sql(
            "SELECT d.id, d.state::text, d.resend_after_s IS NOT NULL,"
            "       count(*) FILTER (WHERE a.outcome = 'abandoned'),"
            "       count(*) FILTER (WHERE a.outcome = 'bounced' OR a.late_at IS NOT NULL AND 4 = ("
            "           SELECT max(rank) FROM receipt r"
            "            WHERE r.delivery_id = d.id AND r.number = a.number))"
            "  FROM delivery d LEFT JOIN attempt a ON a.delivery_id = d.id GROUP BY d.cell, d.id"
        )
        for at, state, again, abandoned, bounced in rows:
            allowed = 1 + (abandoned if again else 0) + bounced
            assert self.taken[at] <= allowed, (at, state)
            if state in ("sent", "delivered", "undelivered"):
                assert self.taken[at], (at, state)
            if state in NEVER_SENT:
                assert self.taken[at] <= bounced, (at, state)

    def name_of(self, ready: Ready) -> str:
        return f"SM{ready.due.delivery_id.hex}{ready.number}"


def test_whatever_happens_in_whatever_order_the_promises_hold(database_url: str) -> None:
    """NOTIFYQ_TEST_EXAMPLES asks for more of them."""
    House.url = database_url
    run_state_machine_as_test(
        House,
        settings=settings(
            max_examples=int(os.environ.get("NOTIFYQ_TEST_EXAMPLES", "15")),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
