"""FCM HTTP v1, as far as notifyq uses it: messages:send, and Google's tokens.

Owns the routes; what happens to a message at the counter is the same everywhere. There are no
callbacks and no list: what became of a push, FCM tells nobody.
"""

import json
import secrets

from aiohttp import web

from notifyq.sandbox import magic
from notifyq.sandbox.counter import Counter, Wanted
from notifyq.sandbox.faults import Fault
from notifyq.sandbox.fcm.rules import CODES, MAGIC, PROJECT_ID, Asked, Refused, judge
from notifyq.sandbox.fcm.tokens import Tokens
from notifyq.sandbox.http import Shapes, answer, is_gone
from notifyq.sandbox.record import Acceptance

VENDOR = "fcm"
_TYPES = "type.googleapis.com/google."


magic_of = magic.recipients(magic.of_token, MAGIC)


class Fcm:
    """The vendor: its project and the messages it took."""

    def __init__(self, counter: Counter, tokens: Tokens | None = None) -> None:
        self._counter = counter
        self._tokens = tokens or Tokens()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, without the vendor's prefix."""
        return [
            web.post("/token", self._tokens.give),
            web.post("/v1/projects/{project}/messages:send", self.send),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """Take one push, or refuse it, or do what a script says."""
        refused = self._tokens.refusal_of(request)
        if refused is not None:
            return _refusal(refused)
        try:
            given = json.loads(await request.read())
        except (ValueError, RecursionError):
            given = None
        if given is None or request.content_type != "application/json":
            return _refusal(Refused(400, "INVALID_ARGUMENT", "Invalid JSON payload received."))
        asked = judge(given)
        if isinstance(asked, Refused):
            return _refusal(asked)
        return _tried(asked) if asked.is_dry else await self._carry_out(request, asked)

    async def _carry_out(self, request: web.Request, asked: Asked) -> web.Response:
        name = f"projects/{PROJECT_ID}/messages/0:{secrets.randbits(52)}%{secrets.token_hex(8)}"
        wanted = Wanted(PROJECT_ID, asked.token, "", asked.reference, asked.body)
        taken = await self._counter.take(
            wanted, name, status="accepted", is_gone=lambda: is_gone(request), tell=_tell_nobody
        )
        return answer(request, taken, Shapes(_accepted, _refused, _failed))


def _tried(asked: Asked) -> web.Response:
    """Answer `validate_only`: nothing is delivered, and what is known of the token is said."""
    fault = magic_of(asked.token)
    if fault is not None and fault.name == "refuse":
        return _refused(fault)
    return web.json_response({"name": f"projects/{PROJECT_ID}/messages/fake_message_id"})


def _accepted(entry: Acceptance) -> web.Response:
    return web.json_response({"name": entry.provider_id})


def _refused(fault: Fault) -> web.Response:
    if fault.name == "throttle":
        status, word, text = CODES["QUOTA_EXCEEDED"]
        wait_s = fault.whole("retry_after_s") or None
        return _refusal(Refused(status, word, text, "QUOTA_EXCEEDED", retry_after_s=wait_s))
    code = str(fault.code)
    if code in CODES:
        return _refusal(Refused(*CODES[code], code))
    return _refusal(Refused(fault.whole("status"), code, "Refused by a script", code))


def _failed(status: int) -> web.Response:
    code = "UNAVAILABLE" if status == 503 else "INTERNAL"
    return _refusal(Refused(status, *CODES[code][1:], code))


def _refusal(refused: Refused) -> web.Response:
    details: list[dict[str, object]] = []
    if refused.code is not None:
        details.append({"@type": f"{_TYPES}firebase.fcm.v1.FcmError", "errorCode": refused.code})
    if refused.field is not None:
        violation = {"field": refused.field, "description": refused.message}
        details.append({"@type": f"{_TYPES}rpc.BadRequest", "fieldViolations": [violation]})
    if refused.status == 429:
        violation = {"subject": f"project:{PROJECT_ID}", "description": refused.message}
        details.append({"@type": f"{_TYPES}rpc.QuotaFailure", "violations": [violation]})
    error: dict[str, object] = {
        "code": refused.status,
        "message": refused.message,
        "status": refused.word,
    }
    if details:
        error["details"] = details
    headers = {} if refused.retry_after_s is None else {"Retry-After": f"{refused.retry_after_s}"}
    return web.json_response({"error": error}, status=refused.status, headers=headers)


def _tell_nobody(_: Acceptance, __: Fault | None) -> None:
    """FCM has no callbacks."""
