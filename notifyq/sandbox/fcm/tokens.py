"""Google's token endpoint: a signed assertion is changed for an access token of an hour.

Written from RFC 7523 and Google's "Using OAuth 2.0 for Server to Server Applications".
"""

import secrets
import time

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from notifyq.sandbox.fcm.key import PRIVATE_KEY
from notifyq.sandbox.fcm.rules import CLIENT_EMAIL, PROJECT_ID, Refused

LASTS_S = 3_599  # what Google says of an hour
SCOPES = frozenset(
    f"https://www.googleapis.com/auth/{name}" for name in ("firebase.messaging", "cloud-platform")
)
AUDIENCE = "https://oauth2.googleapis.com/token"

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_S_MAX = 3_600
_SKEW_S = 300  # that a clock may be ahead


class Tokens:
    """Knows the service account's key, and the tokens that it gave out."""

    def __init__(self, *, lasts_s: int = LASTS_S) -> None:
        self._lasts_s = lasts_s
        self._until_s: dict[str, float] = {}
        key = load_pem_private_key(PRIVATE_KEY.encode(), password=None)
        self._pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    async def give(self, request: web.Request) -> web.Response:
        """Change an assertion for a token."""
        form = dict(await request.post())
        if form.keys() != {"grant_type", "assertion"} or form["grant_type"] != _GRANT:
            return _refused("unsupported_grant_type", "Invalid grant_type")
        refused = self._refusal(str(form["assertion"]), str(request.url))
        if refused is not None:
            return refused
        token = f"ya29.{secrets.token_urlsafe(48)}"
        self._until_s[token] = time.monotonic() + self._lasts_s
        return web.json_response(
            {"access_token": token, "expires_in": self._lasts_s, "token_type": "Bearer"}
        )

    def forget(self) -> None:
        """Revoke every token that was given out."""
        self._until_s.clear()

    def refusal_of(self, request: web.Request) -> Refused | None:
        """Return why a request's token is not taken; None: it is, for its project."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        until_s = self._until_s.get(token)
        if scheme != "Bearer" or until_s is None or until_s <= time.monotonic():
            text = "Request had invalid authentication credentials. Expected OAuth 2 access token"
            return Refused(401, "UNAUTHENTICATED", text)
        if request.match_info["project"] != PROJECT_ID:
            text = "Permission 'cloudmessaging.messages.create' denied on resource"
            return Refused(403, "PERMISSION_DENIED", text)
        return None

    def _refusal(self, assertion: str, url: str) -> web.Response | None:
        """Say what is wrong with an assertion. url: where it was sent, a fair audience here."""
        try:
            claims = jwt.decode(
                assertion,
                self._pem,
                algorithms=["RS256"],
                audience=[AUDIENCE, url],
                options={"require": ["iss", "scope", "aud", "exp", "iat"]},
                leeway=_SKEW_S,
            )
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
            return _refused("invalid_grant", _TIMEFRAME)
        except jwt.InvalidSignatureError:
            return _refused("invalid_grant", "Invalid JWT Signature.")
        except jwt.InvalidTokenError:
            return _refused("invalid_grant", "Invalid JWT")
        if claims["iss"] != CLIENT_EMAIL:
            return _refused("invalid_grant", "Invalid grant: account not found")
        if claims["exp"] - claims["iat"] > _ASSERTION_S_MAX:
            return _refused("invalid_grant", _TIMEFRAME)
        if not SCOPES & set(str(claims["scope"]).split()):
            return _refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return None


_TIMEFRAME = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


def _refused(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)
