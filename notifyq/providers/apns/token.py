"""The token by which a team speaks to APNs: a JWT, signed here, valid for an hour.

Owns the key and the one token that every lane with this key shares: Apple wants one for a team,
made at most every 20 minutes and at least every 60 ("Establishing a token-based connection").
Refuses to make one more often, whatever an answer says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

RENEW_AFTER = timedelta(minutes=50)  # ten before its end: clocks differ, requests wait
RENEW_FLOOR = timedelta(minutes=20)
LIFETIME = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    made_at: datetime


class Tokens:
    """The tokens of one key."""

    def __init__(
        self, *, team_id: str, key_id: str, private_key: str, now: Callable[[], datetime]
    ) -> None:
        """private_key: PEM, as Apple's .p8 file has it. now: aware; tokens are dated by it.

        ValueError: not a private key on the curve P-256.
        """
        key = load_pem_private_key(private_key.encode(), password=None)
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise ValueError("private_key is no key on P-256")
        self._private_key, self._team_id, self._key_id = private_key, team_id, key_id
        self._now = now
        self._current: _Token | None = None
        self._previous: _Token | None = None
        self._floor_until: datetime | None = None  # Apple has had enough of new ones

    def current(self) -> str:
        """Return the token to send with; a new one where the last is too old."""
        if self._current is None or self._is_due(self._current):
            self._previous, self._current = self._current, self._made()
        return self._current.text

    def has_expired(self, text: str) -> bool:
        """Hear that Apple calls a token expired; return whether the next may do better.

        If not, it was made within the floor: then not the token is old, our clock is wrong.
        """
        if self._current is None or self._current.text != text:
            return True
        if abs(self._now() - self._current.made_at) < RENEW_FLOOR:
            return False
        self._current = None
        return True

    def was_one_too_many(self, text: str) -> None:
        """Hear that Apple has seen too many: go on with the one before, while that lasts."""
        self._floor_until = self._now() + RENEW_FLOOR
        if self._current is None or self._current.text != text or self._previous is None:
            return
        if self._now() - self._previous.made_at < LIFETIME:
            self._current, self._previous = self._previous, None

    def _is_due(self, token: _Token) -> bool:
        now = self._now()
        if self._floor_until is not None and now < self._floor_until:
            return False
        return abs(now - token.made_at) >= RENEW_AFTER  # a clock that was set back counts as well

    def _made(self) -> _Token:
        at = self._now()
        claims = {"iss": self._team_id, "iat": int(at.timestamp())}
        headers = {"kid": self._key_id}
        text = jwt.encode(claims, self._private_key, algorithm="ES256", headers=headers)
        return _Token(str(text), at)
