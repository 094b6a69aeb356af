"""Child of F1 and F5: the real LaneWorker with a provider that answers at once.

Arguments: database URL, lane, jobs, warm-up, in flight. Says "warm" when so many were sent, and
"done" when every job is settled.
"""

import asyncio
import json
import sys
from functools import partial
from random import Random
from uuid import uuid4

from notifyq.bootstrap.accounts import CELL
from notifyq.cli.output import log_to_stderr, running
from notifyq.config.settings import SANDBOX, SANDBOX_SETTLE_WINDOW_S, SANDBOX_TIMEOUT_S, Settings
from notifyq.domain.content import Content
from notifyq.domain.message import Message, Sender
from notifyq.domain.model import Channel, DoubtRules, Lane, Post
from notifyq.domain.outcome import Accepted, Outcome
from notifyq.domain.provider import (
    BadCallback,
    Callback,
    Check,
    LookUpFailed,
    Reading,
    Seen,
    Sought,
)
from notifyq.entrypoints.worker.lane import LaneWorker
from notifyq.entrypoints.worker.rules import LaneRules
from notifyq.entrypoints.worker.sending import SendRules
from notifyq.services.settle import SettleRules
from notifyq.store import db


class AtOnce:
    """A provider without a network."""

    def __init__(self, jobs: int, warm: int, stop: asyncio.Event) -> None:
        """Say so at `warm` sends; set `stop` at `jobs`."""
        self.name = SANDBOX[Channel.SMS][0]
        self._jobs, self._warm, self._stop = jobs, warm, stop
        self._sent = 0

    async def send(self, message: Message, *, timeout_s: float) -> Outcome:
        """Accept it."""
        self._sent += 1
        if self._sent == self._warm:
            say("warm")
        elif self._sent == self._jobs:
            self._stop.set()
        return Accepted(f"SM{self._sent:032x}")

    def refusal(self, content: Content) -> str | None:
        """Refuse nothing."""
        return None

    async def look_up(self, sought: Sought, *, timeout_s: float) -> Seen | LookUpFailed:
        """Have no list."""
        return LookUpFailed("no_list")

    async def read_callback(self, callback: Callback) -> Reading:
        """Know none."""
        return BadCallback("there are none here")

    async def check(self, *, timeout_s: float) -> list[Check]:
        """Have nothing to check."""
        return []

    async def close(self) -> None:
        """Close nothing."""


@running
async def main(url: str, lane: int, jobs: int, warm: int, in_flight: int) -> None:
    """Drain the lane."""
    stop = asyncio.Event()
    settings = Settings()
    clock = db.DatabaseClock()
    async with await db.connect(url, autocommit=True) as conn:
        await clock.set_by(conn)
    worker = LaneWorker(
        Post(CELL, Lane(lane, Channel.SMS, SANDBOX[Channel.SMS][0]), uuid4(), "default", 0, 15.0),
        AtOnce(jobs, warm, stop),
        LaneRules(
            SendRules(
                Channel.SMS,
                SANDBOX_TIMEOUT_S,
                f"{settings.public_url}/callbacks/x",
                lambda *_: Sender("+15005550006"),
            ),
            SettleRules(DoubtRules(SANDBOX_SETTLE_WINDOW_S), settings.retention.dedupe_memory_days),
            in_flight,
        ),
        connect=partial(db.connect, url, hot=True),
        clock=clock,
        dice=Random(1),
    )
    await worker.run(stop)
    say("done")


def say(word: str) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    log_to_stderr("WARNING")
    main(sys.argv[1], *map(int, sys.argv[2:]))
