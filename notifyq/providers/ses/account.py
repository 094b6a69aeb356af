"""Whether an SES account could send: it is asked for itself, nothing is sent.

Whether a sender is verified, and whether the credentials may send, is known by trying only: SES has
no dry run.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import quote

from notifyq.domain.provider import Check
from notifyq.providers.answers import read_object
from notifyq.providers.checking import checked
from notifyq.providers.ses.answer import name_of
from notifyq.providers.wire import Answer, Unanswered

# What settles an attempt in doubt, and what says how it ended.
NEEDED = frozenset({"SEND", "DELIVERY", "BOUNCE", "COMPLAINT", "REJECT"})

Ask = Callable[[str], Awaitable[Answer | Unanswered]]

# By the error's name without "Exception": what is wrong with the credentials.
_CREDENTIALS = {
    "InvalidClientTokenId": "no such key; check access_key_id",
    "UnrecognizedClient": "no such key; check access_key_id",
    "SignatureDoesNotMatch": "not this key's secret; check secret_access_key and region",
    "InvalidSignature": "not this key's secret; check secret_access_key, region and the clock",
    "ExpiredToken": "the session is over; set a new session_token with its keys",
    "RequestExpired": "signed too long ago; set this machine's clock by NTP",
}


async def check(
    ask: Ask,
    base_url: str,
    now: Callable[[], datetime],
    configuration_set: str | None,
    topics: frozenset[str],
) -> list[Check]:
    """Return the steps up to the first that fails. ask: GETs a path, signed."""
    answer = await ask("/v2/email/account")
    steps = (_credentials, _permission, _account, _production, _quota)
    checks = checked(answer, base_url, now(), *steps)
    if checks[-1].ok:
        checks.append(await _events(ask, configuration_set, topics))
    return checks


def _credentials(answer: Answer) -> Check:
    named = name_of(answer)
    mend = _CREDENTIALS.get(named.removesuffix("Exception"))
    if mend is not None:
        return Check("credentials", False, f"{named}: {mend}")
    if answer.status == 200 or named.startswith("AccessDenied"):
        return Check("credentials", True, "the key knows its secret")
    return Check("credentials", False, f"{named}: check base_url, region and try again")


def _permission(answer: Answer) -> Check:
    if answer.status == 200:
        return Check("permission", True, "may read the account; sending is known by trying only")
    return Check("permission", False, "allow ses:GetAccount to be checked; sending may be allowed")


def _account(answer: Answer) -> Check:
    found = read_object(answer.body)
    status = found.get("EnforcementStatus")
    if found.get("SendingEnabled") is not True:
        return Check("account", False, "sending is paused; see SES' console, Account dashboard")
    if status == "SHUTDOWN":
        return Check("account", False, "shut down for its reputation; write to AWS Support")
    healthy = status in ("HEALTHY", None)
    return Check("account", True, "sending" if healthy else "sending, but under review by AWS")


def _production(answer: Answer) -> Check:
    if read_object(answer.body).get("ProductionAccessEnabled") is True:
        return Check("production", True, "may send to anybody")
    return Check("production", True, "in SES' own sandbox: verified recipients only")


def _quota(answer: Answer) -> Check:
    quota = read_object(answer.body).get("SendQuota")
    quota = quota if isinstance(quota, dict) else {}
    most, sent = quota.get("Max24HourSend"), quota.get("SentLast24Hours")
    if not isinstance(most, int | float) or not isinstance(sent, int | float):
        return Check("quota", True, "not told")
    if most < 0:
        return Check("quota", True, "without a limit")
    detail = f"{max(most - sent, 0):.0f} of {most:.0f} left for 24 hours"
    mend = "" if sent < most else "; wait, or ask AWS for more"
    return Check("quota", sent < most, f"{detail}{mend}")


async def _events(ask: Ask, configuration_set: str | None, topics: frozenset[str]) -> Check:
    if configuration_set is None:
        return Check("events", True, "no configuration_set: what becomes of a mail is never told")
    name = quote(configuration_set, safe="")
    answer = await ask(f"/v2/email/configuration-sets/{name}/event-destinations")
    if not isinstance(answer, Answer):
        return Check("events", False, f"{answer.code}; try again")
    named = name_of(answer)
    if named.startswith("AccessDenied"):
        mend = "allow ses:GetConfigurationSetEventDestinations to be checked"
        return Check("events", False, mend)
    if answer.status != 200:
        return Check("events", False, f"{named}: check configuration_set")
    told = _told(read_object(answer.body).get("EventDestinations"), topics)
    missing = ", ".join(sorted(NEEDED - told))
    if missing:
        mend = f"publish {missing} from the configuration set to an SNS topic of `topics`"
        return Check("events", False, mend)
    return Check("events", True, "SNS is told what becomes of a mail")


def _told(destinations: object, topics: frozenset[str]) -> set[str]:
    """Return which events reach a topic that is believed."""
    told: set[str] = set()
    for each in destinations if isinstance(destinations, list) else []:
        found = each if isinstance(each, dict) else {}
        sns, types = found.get("SnsDestination"), found.get("MatchingEventTypes")
        topic = sns.get("TopicArn") if isinstance(sns, dict) else None
        believed = isinstance(topic, str) and topic in topics
        if found.get("Enabled") is True and believed and isinstance(types, list):
            told |= {kind for kind in types if isinstance(kind, str)}
    return told
