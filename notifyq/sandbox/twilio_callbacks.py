"""Twilio's status callbacks: what is told about an accepted message, signed, and when.

Owns the order of statuses and the signature, written from Twilio's documents alone. There is no
callback for the first status, `queued`: the answer to the create has told it.
What is still to be told when the sandbox stops is never told.
"""

import asyncio
import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from urllib.parse import urlencode

import aiohttp
import yarl

from notifyq.sandbox.faults import Fault
from notifyq.sandbox.record import Acceptance, Record

DELAY_S = 0.05  # between two statuses; Twilio takes seconds, a test should not
TIMEOUT_S = 15.0  # Twilio's total
TRIES = 2  # Twilio's default: once more when the connection failed

Step = tuple[str, int | None]  # a status and its error code
_GOOD: tuple[Step, ...] = (("sent", None), ("delivered", None))


class Callbacks:
    """Moves accepted messages on, and tells their callback URLs."""

    def __init__(self, record: Record, *, delay_s: float = DELAY_S) -> None:
        self._record = record
        self._delay_s = delay_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def start(self, entry: Acceptance, token: str, url: str | None, fault: Fault | None) -> None:
        """Begin to move a message on, in the background."""
        task = asyncio.create_task(self._run(entry, token, url, fault))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop; what was not told yet never is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _run(
        self, entry: Acceptance, token: str, url: str | None, fault: Fault | None
    ) -> None:
        name = fault.name if fault else ""
        steps = _GOOD
        if fault and name == "undelivered":
            steps = (_GOOD[0], ("undelivered", fault.whole("code")))
        told = steps[::-1] if name == "reordered_callbacks" else steps
        copies = {"no_callbacks": 0, "duplicate_callbacks": 2}.get(name, 1)
        for (word, code), telling in zip(steps, told, strict=True):
            await asyncio.sleep(self._delay_s)
            self._record.move(entry.provider_id, word, code)
            if url is not None:
                await self._tell(url, token, _form(entry, telling), copies)

    async def _tell(self, url: str, token: str, form: Mapping[str, str], copies: int) -> None:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": sign(token, url, form),
            "I-Twilio-Idempotency-Token": str(uuid.uuid4()),  # the same on a repeat
        }
        for _ in range(copies):
            for _ in range(TRIES):
                if await self._post(url, headers, urlencode(form).encode()):
                    break

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether an answer came, whatever it says."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        try:
            async with self._session.post(
                yarl.URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ):
                return True
        except (aiohttp.ClientError, OSError):
            return False


def sign(token: str, url: str, form: Mapping[str, str]) -> str:
    """Return X-Twilio-Signature: base64 of HMAC-SHA1 over the URL and the sorted fields."""
    signed = url
    for name in sorted(form):
        signed += name + form[name]
    mac = hmac.digest(token.encode(), signed.encode(), hashlib.sha1)
    return base64.b64encode(mac).decode()


def _form(entry: Acceptance, step: Step) -> dict[str, str]:
    word, code = step
    form = {
        "ApiVersion": "2010-04-01",
        "AccountSid": entry.account,
        "From": entry.sender,
        "To": entry.to,
        "MessageSid": entry.provider_id,
        "MessageStatus": word,
        "SmsSid": entry.provider_id,
        "SmsStatus": word,
    }
    return form if code is None else {**form, "ErrorCode": str(code)}
