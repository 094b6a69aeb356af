"""Whether a Sinch account could send: its batches are listed, nothing is sent.

The dry run of a batch is left alone: it wants a sender and a recipient, and a path that is wrong by
one word would send. Whether a sender is allowed is known by trying only.
"""

from collections.abc import Callable
from datetime import datetime

import httpx

from notifyq.domain.outcome import Misconfigured, NotSent
from notifyq.domain.provider import Check
from notifyq.providers.answers import read_object
from notifyq.providers.checking import MENDS, checked
from notifyq.providers.sinch.answer import name_of
from notifyq.providers.sinch.look_up import Get
from notifyq.providers.sinch.token import FixedToken, Tokens
from notifyq.providers.wire import Answer


async def check(
    tokens: Tokens,
    get: Get,
    batches: httpx.URL,
    now: Callable[[], datetime],
    *,
    timeout_s: float,
) -> list[Check]:
    """Return the steps up to the first that fails."""
    checks: list[Check] = []
    if not isinstance(tokens, FixedToken):
        checks.append(_token(await tokens.get(timeout_s=timeout_s)))
        if not checks[-1].ok:
            return checks
    answer = await get(httpx.URL(f"{batches}?page_size=1"), timeout_s)
    origin = f"{batches.scheme}://{batches.netloc.decode()}"
    return checks + checked(answer, origin, now(), _credentials, _permission)


def _token(got: str | NotSent | Misconfigured) -> Check:
    if isinstance(got, str):
        return Check("token", True, "the access key was changed for a token")
    if isinstance(got, Misconfigured):
        mend = "check key_id, key_secret and auth_url"
    else:
        mend = MENDS.get(got.code.removeprefix("token_"), "check auth_url and the network")
    return Check("token", False, f"{got.code}: {mend}")


def _credentials(answer: Answer) -> Check:
    if answer.status == 401:
        return Check("credentials", False, "not this plan's token; check it, the plan and base_url")
    return Check("credentials", True, "the token was taken")


def _permission(answer: Answer) -> Check:
    if answer.status == 200 and "count" in read_object(answer.body):
        return Check("permission", True, "batches may be listed")
    named = name_of(read_object(answer.body), answer.status)
    mends = {
        200: "that is no list of batches; check base_url",
        403: "the account may not; see Sinch's dashboard",
        404: "no such plan or project in this region; check the id and base_url",
    }
    mend = mends.get(answer.status, f"answered {answer.status}; check base_url and try again")
    return Check("permission", False, f"{named}: {mend}")
