"""What lets a service account speak to FCM: an access token of an hour, asked for by a signed JWT.

Owns the key and the one token that all pushes of a lane share. A token is asked for before a push's
own request begins, so failing to get one is never in doubt: no byte of the push has left then.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from notifyq.boottime import Deadline
from notifyq.domain.outcome import Misconfigured, NotSent
from notifyq.providers.answers import read_object
from notifyq.providers.wire import Answer, Unanswered, Wire, post_request

TOKEN_URL = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
# developers.google.com, "Using OAuth 2.0 for Server to Server Applications": an hour at the most.
ASSERTION_S = 3_600
EARLY_S = 60  # a token that ends this soon is not begun with: a push under way outlives its check
LIFETIME_S_MAX = 86_400  # Google gives 3,600; a longer promise than a day is a mistake

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")  # what a header can carry
_ERROR = re.compile(r"[a-z_]{1,40}")  # RFC 6749 5.2: invalid_grant and the like
# The answers that asking again will not change.
_OURS_TO_MEND = (400, 401, 403, 404, 405)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The fields of a service account's key file that are needed."""

    client_email: str
    private_key: str = field(repr=False)  # PEM, RSA
    token_url: str = TOKEN_URL
    private_key_id: str | None = None


@dataclass(slots=True)
class Token:
    """A token, and whether FCM has taken it before."""

    value: str = field(repr=False)
    until: datetime
    is_proven: bool = False


class Tokens:
    """The lane's token: kept until shortly before its end, asked for once by however many wait."""

    def __init__(self, account: ServiceAccount, wire: Wire, now: Callable[[], datetime]) -> None:
        """now: aware; assertions are dated and tokens end by it. ValueError: not an RSA key."""
        key = load_pem_private_key(account.private_key.encode(), password=None)
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("private_key is no RSA key")
        self._account, self._key = account, key
        self._wire, self._now = wire, now
        self._url = httpx.URL(account.token_url)
        self._headers = httpx.Headers(
            {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        )
        self._lock = asyncio.Lock()
        self._token: Token | None = None

    async def get(self, deadline: Deadline) -> Token | NotSent | Misconfigured:
        """Return the token, a new one where there is none that lasts, or why there is none."""
        try:
            async with asyncio.timeout(deadline.left_s()), self._lock:
                return await self._kept_or_new(deadline)
        except TimeoutError:
            return NotSent("token_timeout")

    def refused(self, token: Token) -> bool:
        """Forget a token that FCM did not take; return whether a new one may do better."""
        if self._token is token:  # else there is a newer one already
            self._token = None
        return token.is_proven

    async def ask(self, *, timeout_s: float) -> Answer | Unanswered:
        """Ask for a new token."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": self._assertion(),
        }
        request = post_request(self._url, self._headers, urlencode(form).encode())
        return await self._wire.exchange(request, timeout_s=timeout_s)

    def read(self, answer: Answer | Unanswered) -> Token | NotSent | Misconfigured:
        """Return the token in an answer, or why there is none."""
        if not isinstance(answer, Answer):
            return NotSent(f"token_{answer.code}")
        found = read_object(answer.body)
        if answer.status in _OURS_TO_MEND:
            error = found.get("error")
            named = isinstance(error, str) and _ERROR.fullmatch(error)
            return Misconfigured(f"token_{error if named else f'http_{answer.status}'}")
        if answer.status != 200:
            return NotSent(f"token_http_{answer.status}")
        value, lasts_s = found.get("access_token"), found.get("expires_in")
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            return NotSent("token_unreadable")
        if type(lasts_s) is not int or not 0 < lasts_s <= LIFETIME_S_MAX:
            lasts_s = 0  # for this push only
        return Token(value, self._now() + timedelta(seconds=lasts_s - EARLY_S))

    async def _kept_or_new(self, deadline: Deadline) -> Token | NotSent | Misconfigured:
        if self._token is not None and self._now() < self._token.until:
            return self._token
        got = self.read(await self.ask(timeout_s=max(deadline.left_s(), 0.001)))
        if isinstance(got, Token):
            self._token = got
        return got

    def _assertion(self) -> str:
        at = int(self._now().timestamp())
        claims = {
            "iss": self._account.client_email,
            "scope": SCOPE,
            "aud": self._account.token_url,
            "iat": at,
            "exp": at + ASSERTION_S,
        }
        key_id = self._account.private_key_id
        headers = {"kid": key_id} if key_id else None
        return jwt.encode(claims, self._key, algorithm="RS256", headers=headers)
