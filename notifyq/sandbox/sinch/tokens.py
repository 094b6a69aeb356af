"""Who is asking: a service plan's fixed token, or a project's that was given out and has an end."""

import base64
import hmac
import secrets
import time
from collections.abc import Mapping

from aiohttp import web

from notifyq.sandbox.sinch.rules import (
    API_TOKEN,
    KEY_ID,
    KEY_SECRET,
    PROJECT_ID,
    SERVICE_PLAN_ID,
    Account,
)

LASTS_S = 3_600


class Tokens:
    """Knows the plan's token, and those that it gave to the project."""

    def __init__(self, *, lasts_s: int = LASTS_S) -> None:
        self._lasts_s = lasts_s
        self._until_s: dict[str, float] = {}
        self._accounts = {name: Account(name) for name in (SERVICE_PLAN_ID, PROJECT_ID)}

    async def give(self, request: web.Request) -> web.Response:
        """Change the project's access key for a token (OAuth 2.0, client credentials)."""
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        expected = base64.b64encode(f"{KEY_ID}:{KEY_SECRET}".encode()).decode()
        if scheme != "Basic" or not hmac.compare_digest(credentials.encode(), expected.encode()):
            return web.json_response({"error": "invalid_client"}, status=401)
        if dict(await request.post()) != {"grant_type": "client_credentials"}:
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        token = secrets.token_urlsafe(32)
        self._until_s[token] = time.monotonic() + self._lasts_s
        return web.json_response(
            {
                "access_token": token,
                "expires_in": self._lasts_s,
                "scope": "",
                "token_type": "bearer",
            }
        )

    def account_of(self, request: web.Request) -> Account | web.Response:
        """Return whose path it is, or the refusal of whoever asks."""
        path_id = request.match_info["plan"]
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return _unauthorized({"WWW-Authenticate": "Bearer"})
        is_plans = hmac.compare_digest(token.encode(), API_TOKEN.encode())
        if path_id == SERVICE_PLAN_ID and is_plans:
            return self._accounts[path_id]
        until_s = self._until_s.get(token)
        if path_id != PROJECT_ID or until_s is None:
            return _unauthorized({"WWW-Authenticate": 'Bearer error="invalid_token"'})
        if until_s <= time.monotonic():
            why = 'Bearer error="invalid_token", error_description="The token expired"'
            return _unauthorized({"WWW-Authenticate": why})
        return self._accounts[path_id]


def _unauthorized(headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=401, headers=headers)
