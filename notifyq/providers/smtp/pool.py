"""The pool: at most so many connections to one relay, kept for a short time between mails.

Refuses to share a connection between two mails at once, and to keep one on which something went
wrong. A kept one is not asked whether it still works: the answer would be old when the next command
leaves. One that the relay closed meanwhile fails before any of the mail left, which is definite.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from notifyq.providers.smtp.progress import Progress
from notifyq.providers.smtp.session import Relay, Session, open_session

# Postfix waits 300 s for the next command, SES 10 s or so: below that, few are found closed.
IDLE_S = 8.0
# Relays end a connection after so many mails (Postfix and Exim allow more): better we do.
MAILS_MAX = 100


class Pool:
    """The connections of one lane."""

    def __init__(self, relay: Relay, *, max_in_flight: int) -> None:
        """max_in_flight: 1 or more; further mails wait for a free place."""
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight {max_in_flight} is below 1")
        self._relay = relay
        self._places = asyncio.Semaphore(max_in_flight)
        self._idle: list[Session] = []
        self._busy: set[Session] = set()

    @asynccontextmanager
    async def session(self, progress: Progress) -> AsyncIterator[Session]:
        """Lend a session; what `open_session` raises. After an exception it is reset."""
        async with self._places:
            session = self._take_idle() or await open_session(self._relay, progress)
            self._busy.add(session)
            try:
                yield session
            except BaseException:
                session.line.abort()
                raise
            finally:
                self._busy.discard(session)
                self._keep(session)

    def close(self) -> None:
        """Reset every connection, idle and busy."""
        for session in [*self._idle, *self._busy]:
            session.line.part()
        self._idle.clear()

    def _take_idle(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.is_fit:
                return session
            session.line.abort()
        return None

    def _keep(self, session: Session) -> None:
        if session.is_over:  # perhaps in the middle of a mail: a word would be read as part of it
            session.line.abort()
            return
        if not session.is_fit or session.mails >= MAILS_MAX:
            session.line.part()
            return
        self._idle.append(session)
        mails = session.mails
        asyncio.get_running_loop().call_later(IDLE_S, self._expire, session, mails)

    def _expire(self, session: Session, mails: int) -> None:
        """Close a session that was not used since."""
        if session in self._idle and session.mails == mails:
            self._idle.remove(session)
            session.line.part()
