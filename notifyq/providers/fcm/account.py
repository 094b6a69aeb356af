"""Whether a service account could send: it asks for a token, and whether a message to nobody would
be valid. Nothing is sent."""

import json
from collections.abc import Callable
from datetime import datetime

import httpx

from notifyq.domain.provider import Check
from notifyq.providers.answers import read_object
from notifyq.providers.checking import checked, reached
from notifyq.providers.fcm.answer import code_of
from notifyq.providers.fcm.token import Token, Tokens
from notifyq.providers.wire import Answer, Wire, post_request

# validate_only: checked like any other, never delivered. Nobody has this token.
_NOBODY = json.dumps({"validateOnly": True, "message": {"token": "notifyq-check"}}).encode()


async def check(
    tokens: Tokens, wire: Wire, url: httpx.URL, now: Callable[[], datetime], timeout_s: float
) -> list[Check]:
    """Return the steps up to the first that fails. url: messages:send of the project."""
    answer = await tokens.ask(timeout_s=timeout_s)
    checks = checked(answer, "the token's URL", now())
    if not checks[-1].ok:
        return checks
    token = tokens.read(answer)
    if not isinstance(token, Token):
        mend = "check client_email and private_key, and that the key was not deleted"
        return [*checks, Check("credentials", False, f"{token.code}: {mend}")]
    checks.append(Check("credentials", True, "the service account gets tokens"))
    request = post_request(url, headers(token), _NOBODY)
    valid = await wire.exchange(request, timeout_s=timeout_s)
    if not isinstance(valid, Answer):
        return [*checks, reached(valid, f"{url.scheme}://{url.netloc.decode()}")]
    return [*checks, _permission(valid)]


def headers(token: Token) -> httpx.Headers:
    """Return the headers of a request with a token."""
    return httpx.Headers(
        {
            "Authorization": f"Bearer {token.value}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
    )


def _permission(answer: Answer) -> Check:
    error = read_object(answer.body).get("error")
    code = code_of(error) if isinstance(error, dict) else None
    # A word about the message or its token comes after the word about us: we may send.
    if answer.status == 200 or code in ("INVALID_ARGUMENT", "UNREGISTERED"):
        return Check("permission", True, "it may send for this project")
    mends = {
        401: "the token is refused; check the service account",
        403: "no permission; give the service account cloudmessaging.messages.create, "
        "and enable the Firebase Cloud Messaging API",
        404: "no such project; check project_id and base_url",
        429: "the project's quota is used up",
    }
    mend = mends.get(answer.status, "check base_url and try again")
    return Check("permission", False, f"answered {answer.status}: {mend}")
