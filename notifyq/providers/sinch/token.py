"""What lets an account speak to Sinch: a plan's fixed token, or a project's that is renewed.

Owns the credentials, and the one token that a project's requests share. A token is asked for
before the message's request begins, so that failing to get one is never in doubt: no byte of the
message has left then.
"""

import asyncio
import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import httpx

from notifyq.boottime import Deadline
from notifyq.domain.outcome import Misconfigured, NotSent
from notifyq.providers.answers import read_object
from notifyq.providers.wire import Answer, Wire, post_request

AUTH_URL = "https://auth.sinch.com/oauth2/token"
# A token is not begun with when it ends this soon: a request under way outlives its check.
EARLY_S = 60

_TOKEN = re.compile(r"[\x21-\x7e]+")  # what a header can carry
_PATH_ID = re.compile(r"[A-Za-z0-9_-]+")  # what stands in a path as it is
# Answers that say that asking again will not help; developers.sinch.com, "OAuth2".
_OURS_TO_MEND = (400, 401, 403, 404, 405)


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One service plan and its API token, which stays as it is until it is replaced by hand."""

    service_plan_id: str
    api_token: str = field(repr=False)

    def __post_init__(self) -> None:
        """ValueError: no request could carry them."""
        if not _PATH_ID.fullmatch(self.service_plan_id):
            raise ValueError("service_plan_id has letters, digits, - and _ only")
        if not _TOKEN.fullmatch(self.api_token):
            raise ValueError("api_token has a character that no header can carry")

    @property
    def path_id(self) -> str:
        """What stands in the path of every request."""
        return self.service_plan_id


@dataclass(frozen=True, slots=True)
class Project:
    """A project and one of its access keys, which is changed for tokens of about an hour."""

    project_id: str
    key_id: str
    key_secret: str = field(repr=False)
    auth_url: str = AUTH_URL

    def __post_init__(self) -> None:
        """ValueError: no request could carry it."""
        if not _PATH_ID.fullmatch(self.project_id):
            raise ValueError("project_id has letters, digits, - and _ only")

    @property
    def path_id(self) -> str:
        """What stands in the path of every request."""
        return self.project_id


Credentials = ServicePlan | Project


class Tokens(Protocol):
    """Gives the token for a request."""

    async def get(self, *, timeout_s: float) -> str | NotSent | Misconfigured:
        """Return a token within `timeout_s` seconds, or why there is none."""
        ...

    def refused(self, token: str, answer: Answer) -> bool:
        """Take note of a 401; return whether it is the token's age and the next one will do."""
        ...


class FixedToken:
    """A service plan's."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get(self, *, timeout_s: float) -> str | NotSent | Misconfigured:
        """Return it."""
        del timeout_s
        return self._token

    def refused(self, token: str, answer: Answer) -> bool:
        """There is no other."""
        del token, answer
        return False


class ProjectToken:
    """A project's: kept until shortly before its end, asked for once by however many wait."""

    def __init__(self, project: Project, wire: Wire, now: Callable[[], datetime]) -> None:
        """now: aware; tokens end by it."""
        self._wire, self._now = wire, now
        self._url = httpx.URL(project.auth_url)
        basic = base64.b64encode(f"{project.key_id}:{project.key_secret}".encode()).decode()
        self._headers = httpx.Headers(
            {
                "Authorization": f"Basic {basic}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            }
        )
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._until: datetime | None = None

    async def get(self, *, timeout_s: float) -> str | NotSent | Misconfigured:
        """Return the token, a new one where there is none that lasts."""
        deadline = Deadline(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                await self._lock.acquire()
        except TimeoutError:
            return NotSent("token_timeout")
        try:
            if self._token is not None and self._lasts():
                return self._token
            left_s = deadline.left_s()
            return await self._ask(left_s) if left_s > 0 else NotSent("token_timeout")
        finally:
            self._lock.release()

    def refused(self, token: str, answer: Answer) -> bool:
        """Forget the token; whether it was refused for its age is in WWW-Authenticate."""
        if self._token == token:  # else somebody has a newer one already
            self._token = None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return "expired" in headers.get("www-authenticate", "").lower()

    def _lasts(self) -> bool:
        return self._until is not None and self._now() < self._until

    async def _ask(self, timeout_s: float) -> str | NotSent | Misconfigured:
        asked_at = self._now()
        request = post_request(self._url, self._headers, b"grant_type=client_credentials")
        answer = await self._wire.exchange(request, timeout_s=timeout_s)
        if not isinstance(answer, Answer):
            return NotSent(f"token_{answer.code}")
        if answer.status in _OURS_TO_MEND:
            return Misconfigured(f"token_http_{answer.status}")
        if answer.status != 200:
            return NotSent(f"token_http_{answer.status}")
        found = read_object(answer.body)
        token, lasts_s = found.get("access_token"), found.get("expires_in")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return NotSent("token_unreadable")
        if type(lasts_s) is not int or not 0 < lasts_s <= 86_400:  # none: for this request only
            lasts_s = 0
        self._token, self._until = token, asked_at + timedelta(seconds=lasts_s - EARLY_S)
        return token


def tokens_of(
    credentials: Credentials, wire: Wire, now: Callable[[], datetime]
) -> FixedToken | ProjectToken:
    """Return what gives tokens for these credentials."""
    if isinstance(credentials, ServicePlan):
        return FixedToken(credentials.api_token)
    return ProjectToken(credentials, wire, now)
