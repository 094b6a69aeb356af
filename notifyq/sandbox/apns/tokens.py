"""Who is asking: a team's token, a JWT signed by its key.

Written from Apple's "Establishing a token-based connection to APNs". Signatures are verified with
the public key and nothing else, not by the library that clients make tokens with.
"""

import base64
import json
import time
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from notifyq.sandbox.apns.key import KEY_ID, PUBLIC_KEY, TEAM_ID

LASTS_S = 3_600  # an older token has expired
UPDATE_S = 1_200  # a connection takes a new one no more often
_SKEW_S = 300  # how far ahead a client's clock may be; Apple names no number
_HALF = 32  # bytes of r and of s


@dataclass(frozen=True, slots=True)
class Team:
    """Who may push, and to which topics; None: to all."""

    team_id: str = TEAM_ID
    key_id: str = KEY_ID
    public_key: str = PUBLIC_KEY
    topics: frozenset[str] | None = None


@dataclass(slots=True)
class Seen:
    """What one connection has seen of tokens: the last good one, and since when."""

    text: str = field(default="", repr=False)
    since_s: float = 0.0


class Tokens:
    """Judges what stands in `authorization`."""

    def __init__(self, team: Team, *, update_s: float = UPDATE_S) -> None:
        key = load_pem_public_key(team.public_key.encode())
        if not isinstance(key, EllipticCurvePublicKey):
            raise ValueError("public_key is no key of an elliptic curve")
        self._key, self._team, self._update_s = key, team, update_s

    def wrong(self, authorization: str, seen: Seen) -> str | None:
        """Return APNs' reason against it; None if it is good, which `seen` then remembers."""
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer" or not text:
            return "MissingProviderToken"
        if text != seen.text:
            wrong = self._wrong(text) or self._too_many(seen)
            if wrong is None:
                seen.text, seen.since_s = text, time.monotonic()
            return wrong
        return self._age(_object(text.split(".")[1]))

    def _wrong(self, text: str) -> str | None:
        parts = text.split(".")
        head, claims = (_object(part) for part in parts[:2]) if len(parts) == 3 else ({}, {})
        if (head.get("alg"), head.get("kid")) != ("ES256", self._team.key_id):
            return "InvalidProviderToken"
        if claims.get("iss") != self._team.team_id or type(claims.get("iat")) is not int:
            return "InvalidProviderToken"
        raw = _decoded(parts[2])
        if len(raw) != 2 * _HALF:
            return "InvalidProviderToken"
        numbers = (int.from_bytes(half, "big") for half in (raw[:_HALF], raw[_HALF:]))
        signed = text.rpartition(".")[0].encode()
        try:
            self._key.verify(encode_dss_signature(*numbers), signed, ECDSA(SHA256()))
        except InvalidSignature:
            return "InvalidProviderToken"
        return self._age(claims)

    def _age(self, claims: dict[str, object]) -> str | None:
        age_s = time.time() - int(str(claims["iat"]))
        if age_s < -_SKEW_S:
            return "InvalidProviderToken"
        return "ExpiredProviderToken" if age_s > LASTS_S else None

    def _too_many(self, seen: Seen) -> str | None:
        early = seen.text and time.monotonic() - seen.since_s < self._update_s
        return "TooManyProviderTokenUpdates" if early else None


def _object(part: str) -> dict[str, object]:
    try:
        found = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _decoded(part: str) -> bytes:
    """Return base64url without padding as bytes; nothing if it is none."""
    try:
        text = part.encode("ascii") + b"=" * (-len(part) % 4)
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except ValueError:
        return b""
