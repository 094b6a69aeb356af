"""Problems: every error the API answers, in one table (RFC 9457).

A client branches on `code`; `retryable` says whether the same request with the same key may be
sent again and could then succeed. README and `/docs` print this table; a test keeps them alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem."""

    status: int
    title: str
    retryable: bool
    mend: str  # what the client does about it


KINDS = {
    "not_json": Kind(400, "The body is not JSON", False, "Send one JSON object in UTF-8."),
    "missing_idempotency_key": Kind(
        400, "Idempotency-Key is missing", False, "Send one, made once per notification."
    ),
    "invalid_idempotency_key": Kind(
        400, "Idempotency-Key is not usable", False, "1 to 255 printable ASCII characters, once."
    ),
    "invalid_callback": Kind(400, "The callback says nothing we can place", False, "None."),
    "unauthenticated": Kind(
        401, "No valid API key", False, "Authorization: Bearer nq_live_… or nq_test_…"
    ),
    "bad_signature": Kind(403, "The callback's signature is wrong", False, "Check the token."),
    "missing_scope": Kind(403, "The key lacks a scope", False, "Use a key that has it."),
    "not_found": Kind(404, "There is nothing here", False, "Check the id and the key's mode."),
    "method_not_allowed": Kind(405, "This method does nothing here", False, "See Allow."),
    "key_in_use": Kind(
        409, "The first request with this key is still running", True, "Retry after Retry-After."
    ),
    "replay_window_over": Kind(
        409,
        "This key was used, and its answer is no longer stored",
        False,
        "Read the notification that `detail` names; do not send again.",
    ),
    "version_conflict": Kind(
        409,
        "Another version is the newest by now",
        False,
        "Read it, and send its number in `replaces`.",
    ),
    "provider_blocks": Kind(
        409,
        "A provider blocks this address",
        False,
        "The person must text START to the number that they opted out from.",
    ),
    "opt_out_stands": Kind(
        409,
        "An opt-out is as new as this consent, or newer",
        False,
        "Ask the person again: only consent given after it takes it back.",
    ),
    "merged": Kind(
        409, "The recipient was merged into another one", False, "Use the id that `detail` names."
    ),
    "body_too_large": Kind(
        413, "The body is too large", False, "At most 65,536 bytes; 4,194,304 for many recipients."
    ),
    "unsupported_media_type": Kind(
        415, "The body is of the wrong type", False, "Content-Type: application/json."
    ),
    "invalid_request": Kind(
        422, "The request breaks a rule", False, "Mend what `errors` names; same key is fine."
    ),
    "key_reused": Kind(
        422, "This key belongs to another request", False, "Make a new key for a new request."
    ),
    "no_sender": Kind(
        422, "No sender speaks for this brand", False, "An operator adds one to [senders]."
    ),
    "internal": Kind(500, "A bug on our side", True, "Retry with the same key."),
    "unavailable": Kind(503, "Not accepted, or not known to be", True, "Retry, same key."),
    "no_route": Kind(
        503, "No provider serves this channel here", True, "An operator sets up [routes]."
    ),
}


# When to come again where the wait is short but its length is not known.
RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where (a JSON pointer), and the rule with its mend."""

    pointer: str
    detail: str


class Problem(Exception):
    """An answer that is an error: raised anywhere below a route, answered in one place."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        retry_after_s: int | None = None,
    ) -> None:
        """code: a key of KINDS. retry_after_s: for Retry-After."""
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.faults = faults
        self.retry_after_s = retry_after_s


def unavailable(why: str) -> Problem:
    """Return the problem of what may go well when it is asked again."""
    return Problem("unavailable", why, retry_after_s=RETRY_AFTER_S)


def content(problem: Problem, request_id: str) -> dict[str, object]:
    """Return what a problem says, by RFC 9457."""
    kind = KINDS[problem.code]
    return {
        "type": f"/docs#{problem.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "code": problem.code,
        "errors": [{"pointer": f.pointer, "detail": f.detail} for f in problem.faults],
        "request_id": request_id,
        "retryable": kind.retryable,
    }


def answer(problem: Problem, request_id: str) -> Response:
    """Return a problem as application/problem+json."""
    status = KINDS[problem.code].status
    headers = {"X-Request-Id": request_id}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = orjson.dumps(content(problem, request_id))
    return Response(body, status, headers, "application/problem+json")
