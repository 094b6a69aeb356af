"""Whether a Twilio account could send: it is asked for itself, nothing is sent.

Whether a sender and a recipient are allowed is known by trying only: Twilio has no dry run.
"""

from collections.abc import Callable
from datetime import datetime

import httpx

from notifyq.domain.provider import Check
from notifyq.providers.answers import read_object
from notifyq.providers.checking import checked
from notifyq.providers.twilio.answer import name_of
from notifyq.providers.wire import Answer, Wire


async def check(
    wire: Wire,
    headers: httpx.Headers,
    url: httpx.URL,
    now: Callable[[], datetime],
    *,
    timeout_s: float,
) -> list[Check]:
    """Return the steps up to the first that fails. url: the account's own resource."""
    request = httpx.Request("GET", url, headers=headers)
    answer = await wire.exchange(request, timeout_s=timeout_s)
    origin = f"{url.scheme}://{url.netloc.decode()}"
    return checked(answer, origin, now(), _credentials, _account)


def _credentials(answer: Answer) -> Check:
    if answer.status == 200:
        return Check("credentials", True, "the account knows its token")
    named = name_of(read_object(answer.body), answer.status)
    mends = {
        "20003": "not this account's token; check account_sid and auth_token",
        "20008": "test credentials, which send nothing; take the live ones",
        "20404": "no such account; check account_sid",
    }
    mend = mends.get(named, f"answered {answer.status}; check base_url and try again")
    return Check("credentials", False, f"{named}: {mend}")


def _account(answer: Answer) -> Check:
    found = read_object(answer.body)
    status = found.get("status")
    if status == "active":
        trial = "; a trial: verified recipients only, and texts are added to"
        return Check("account", True, "active" + (trial if found.get("type") == "Trial" else ""))
    known = status if status in ("suspended", "closed") else "of no status that we know"
    return Check("account", False, f"the account is {known}; see Twilio's console")
