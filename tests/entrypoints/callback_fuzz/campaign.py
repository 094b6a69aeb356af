"""A campaign against one account: what was answered, what that had to be, what the database holds.

Every request has an attempt of its own to be about, so that whatever one of them does is seen, and
whose doing it is. What is expected comes from the judges alone, never from the client.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from notifyq.domain import ids
from tests.entrypoints.callback_fuzz.changes import anything
from tests.entrypoints.callback_fuzz.shots import (
    Account,
    Answer,
    Claim,
    Judgement,
    Shot,
    Stage,
    Written,
    judged,
)

Send = Callable[[Shot], Awaitable[Answer]]
_STATES = {Stage.SENT: "sent", Stage.UNDELIVERED: "undelivered", Stage.DELIVERED: "delivered"}
_SHOWN = 5  # findings of each kind in a failure, the smallest first
_SHOWN_BYTES = 600
_OF_STRANGERS = 0.1  # of what is signed and odd: about an attempt of another account

RECEIPTS = "SELECT delivery_id, number, provider, provider_id, status FROM receipt"
INBOUND = "SELECT provider, provider_id, sender, receiver, body FROM inbound"
MOVED = "SELECT id, state::text FROM delivery WHERE state <> 'pending'"
SETTLED = "SELECT delivery_id FROM attempt WHERE outcome <> 'open' OR provider_id IS NOT NULL"
BOUNCED = """
SELECT d.id FROM delivery d JOIN consent c USING (cell, brand, channel, address_key)
 WHERE c.dead_at IS NOT NULL OR c.soft_bounces > 0
"""
WORDS = """
SELECT source, evidence::jsonb ->> 'provider', evidence::jsonb ->> 'provider_id',
       evidence::jsonb ->> 'delivery_id'
  FROM consent_event
"""
REPLIES = "SELECT id FROM delivery WHERE category = 'notifyq.reply'"
REPLIED = ("notification", "delivery", "content", "job")  # a row each for each of our answers


@dataclass
class Expected:
    """What the requests that were signed, and taken, hold: as the database has to show it."""

    planted: Mapping[str, str]  # by reference: the account that its attempt was made by
    receipts: set[tuple[str, str, str, str]] = field(default_factory=set)
    inbound: dict[tuple[str, str], Written] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)  # by reference
    undelivered: set[str] = field(default_factory=set)  # references that ever bounced
    events: int = 0

    def add(self, name: str, what: Judgement) -> None:
        """Take in what was posted to an account, and believed there."""
        for claim in what.claims:
            if self.planted.get(claim.reference) == name:
                self._claim(name, claim)
        for one in what.written:
            self.inbound.setdefault((name, one.provider_id), one)

    def receipts_of(self) -> set[str]:
        """The references that anything was told of."""
        return {reference for reference, *_ in self.receipts}

    def _claim(self, name: str, claim: Claim) -> None:
        self.receipts.add((claim.reference, name, claim.provider_id, claim.status))
        if claim.stage > self.stages.get(claim.reference, 0):
            self.stages[claim.reference] = claim.stage
            self.events += 1
        if claim.stage is not Stage.SENT:
            self.undelivered.add(claim.reference)


@dataclass
class Findings:
    """What was answered, and what ought not to have been."""

    seed: int
    statuses: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[Shot, Answer]] = field(default_factory=list)  # 5xx, or hung up
    believed: list[tuple[Shot, Answer]] = field(default_factory=list)  # 2xx, and not signed
    turned_away: list[tuple[Shot, Answer]] = field(default_factory=list)  # whole, and refused
    effects: list[str] = field(default_factory=list)  # rows too many, too few, or other ones
    controls: int = 0
    confirmed: int = 0
    unsigned: int = 0
    believed_though_changed: int = 0

    def __bool__(self) -> bool:
        return bool(self.broken or self.believed or self.turned_away or self.effects)

    @property
    def counts(self) -> str:
        """What was answered, in one line."""
        counted = ", ".join(f"{name}: {n}" for name, n in sorted(self.statuses.items()))
        return (
            f"seed {self.seed}; {self.unsigned} unsigned, {self.believed_though_changed} believed "
            f"though changed where nothing is signed; {counted}"
        )

    def __str__(self) -> str:
        lines = [self.counts]
        for name in ("broken", "believed", "turned_away"):
            found = sorted(getattr(self, name), key=lambda pair: len(pair[0].body))
            lines += [f"{name}: {len(found)}"] if found else []
            lines += [_shown(*pair) for pair in found[:_SHOWN]]
        return "\n".join([*lines, *self.effects[:20]])


class Campaign:
    """Requests of one account, and what came of them."""

    def __init__(
        self,
        account: Account,
        accounts: Mapping[str, Account],
        send: Send,
        planted: Mapping[str, str],
        seed: int,
    ) -> None:
        """planted: references of open attempts, one for each request, and whose they are.

        Those of other accounts are what this one has no say about, however well it signs.
        """
        self._account, self._accounts, self._send = account, accounts, send
        self._victims = iter([text for text, name in planted.items() if name == account.name])
        self._strangers = [text for text, name in planted.items() if name != account.name]
        self._dice = random.Random(f"{seed} {account.name}")
        self.expected, self.findings = Expected(planted), Findings(seed)

    async def controls(self, count: int) -> None:
        """Send genuine requests, none of which may be refused."""
        for _ in range(count):
            shot = self._account.genuine(self._dice, next(self._victims))
            what = judged(self._accounts, shot)
            assert what.signed, f"the judge refuses what is genuine: {_shown(shot, Answer(0))}"
            assert what.claims or what.written or what.confirms
            answer = await self._send(shot)
            self._weigh(shot, answer, what)
            self.findings.controls += 200 <= answer.status < 300

    async def weird(self, count: int) -> None:
        """Send requests that are signed and odd."""
        for _ in range(count):
            reference = next(self._victims)
            if self._dice.random() < _OF_STRANGERS:
                reference = self._dice.choice(self._strangers)
            shot = self._account.weird(self._dice, reference)
            await self._fire(replace(shot.as_servers_pass_it(), how=("weird",)))

    async def changed(self, count: int) -> None:
        """Send requests with one to three changes, made after they were signed."""
        before = self._account.genuine(self._dice, next(self._victims))
        for _ in range(count):
            reference = next(self._victims)
            make = self._account.weird if self._dice.random() < 0.1 else self._account.genuine
            start = make(self._dice, reference)
            shot = start
            for _ in range(self._dice.choice([1, 1, 2, 3])):
                shot = self._change(shot, before)
            await self._fire(shot.as_servers_pass_it())
            before = start

    def _change(self, shot: Shot, other: Shot) -> Shot:
        chance = self._dice.random()
        if chance < 0.35:
            return self._account.own_change(self._dice, shot)
        if chance < 0.4:  # another one's signature: headers of that, body of this, or the like
            part = self._dice.choice(["headers", "body", "query"])
            return shot.but(f"other {part}", **{part: getattr(other, part)})
        return anything(self._dice, shot, [*self._accounts])

    async def _fire(self, shot: Shot) -> None:
        what = judged(self._accounts, shot)
        self._weigh(shot, await self._send(shot), what)

    def _weigh(self, shot: Shot, answer: Answer, what: Judgement) -> None:
        found, good = self.findings, 200 <= answer.status < 300
        kind = "whole" if shot.whole else "changed"
        found.statuses[f"{kind} {answer.status}"] += 1
        found.unsigned += not what.signed
        if (
            answer.status >= 500 and not (what.later and answer.status == 503)
        ) or not answer.status:
            found.broken.append((shot, answer))
        if good and not what.signed:
            found.believed.append((shot, answer))
        elif good:
            self.expected.add(unquote(shot.path).rpartition("/")[2], what)
            found.confirmed += what.confirms
            found.believed_though_changed += not shot.whole
        elif answer.status < 500 and shot.whole and (what.claims or what.written or what.confirms):
            found.turned_away.append((shot, answer))

    async def compare(self, database: Any, before: Mapping[str, int]) -> Findings:
        """Compare the database with what is expected of it. before: rows of every table."""
        of = {text: ids.read_reference(text)[1:] for text in self.expected.planted}
        wanted = self.expected
        self._same(
            "receipts",
            set(await database.rows(RECEIPTS)),
            {(*of[text], *rest) for text, *rest in wanted.receipts},
        )
        self._same(
            "inbound",
            set(await database.rows(INBOUND)),
            {(name, *one) for (name, _), one in wanted.inbound.items()},
        )
        states = {(of[text][0], _STATES[stage]) for text, stage in wanted.stages.items()}
        self._same("states", set(await database.rows(MOVED)), states)
        settled = {(of[text][0],) for text in wanted.stages}
        self._same("attempts", set(await database.rows(SETTLED)), settled)
        bounced = set(await database.rows(BOUNCED))
        stray = bounced - {(of[text][0],) for text in wanted.undelivered}
        self.findings.effects += [f"bounced without a receipt: {one}" for one in stray]
        told = {str(of[text][0]) for text in wanted.receipts_of()}
        said = await database.rows(WORDS)
        self.findings.effects += [
            f"consent, nobody signed: {one}" for one in said if not self._was_signed(one, told)
        ]
        replies = len(await database.rows(REPLIES))
        self._count(await database.counts(), before, words=len(said), replies=replies)
        return self.findings

    def _was_signed(self, word: tuple[str, str, str, str], told: Collection[str]) -> bool:
        """Whether an event of consent rests on a text, or on a receipt, that was signed."""
        source, provider, provider_id, delivery_id = word
        if source == "sms":
            return (provider, provider_id) in self.expected.inbound
        return delivery_id in told

    def _same(self, what: str, found: set[Any], wanted: set[Any]) -> None:
        self.findings.effects += [f"{what}, nobody signed: {one}" for one in found - wanted]
        self.findings.effects += [f"{what}, signed and not there: {one}" for one in wanted - found]

    def _count(
        self, after: Mapping[str, int], before: Mapping[str, int], *, words: int, replies: int
    ) -> None:
        """Find tables that grew by more or less than the receipts; most must not grow at all.

        words: events of consent. replies: what we answered to texts, at most one to each.
        """
        dead = list(self.expected.stages.values()).count(Stage.UNDELIVERED)
        grown = {"receipt": len(self.expected.receipts), "inbound": len(self.expected.inbound)}
        grown |= {"outbox": self.expected.events, "dead_letter": dead}
        grown |= dict.fromkeys(REPLIED, replies)
        written = len(self.expected.inbound)
        if replies > written or after["consent"] - before["consent"] > written:
            self.findings.effects.append(f"{replies} answers to {written} texts")
        grown |= {"consent_event": words, "consent": after["consent"] - before["consent"]}
        for name in before:
            wanted = before[name] + grown.get(name, 0)
            if after[name] != wanted:
                text = f"{name}: {after[name]} rows, not {wanted}"
                self.findings.effects.append(text)


def _shown(shot: Shot, answer: Answer) -> str:
    headers = {name.decode("latin-1"): value[:200] for name, value in shot.headers}
    return (
        f"  {answer.status} {answer.error} for {shot.method} {shot.path[:200]}?{shot.query[:300]!r}"
        f" ({', '.join(shot.how) or 'unchanged'}) {headers} {len(shot.body)} bytes"
        f" {shot.body[:_SHOWN_BYTES]!r}"
    )
