"""Whether a SendGrid key could send: it is asked what it may do, nothing is sent.

Refuses to try a mail in SendGrid's sandbox mode: one setting that is not obeyed on the way would
make it a real one. Whether a sender is verified is therefore known by trying only.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial

from notifyq.domain.provider import Check
from notifyq.providers.answers import read_object
from notifyq.providers.checking import checked
from notifyq.providers.sendgrid.answer import name_of
from notifyq.providers.wire import Answer, Unanswered

# What settles an attempt in doubt, and what says how it ended; the webhook's own switches.
NEEDED = ("processed", "delivered", "bounce", "dropped", "spam_report")
_READS_WEBHOOKS = "user.webhooks.event.settings.read"

Ask = Callable[[str], Awaitable[Answer | Unanswered]]


async def check(
    ask: Ask,
    base_url: str,
    now: Callable[[], datetime],
    webhook_public_key: str | None,
    *,
    activity: bool,
) -> list[Check]:
    """Return the steps up to the first that fails. ask: GETs a path with the key.

    activity: whether look-ups are wanted, which need a scope of their own.
    """
    answer = await ask("/v3/scopes")
    permission = partial(_permission, activity=activity)
    checks = checked(answer, base_url, now(), _credentials, permission)
    if checks[-1].ok and isinstance(answer, Answer):
        checks.append(await _events(ask, _scopes(answer), webhook_public_key))
    return checks


def _credentials(answer: Answer) -> Check:
    if answer.status == 200:
        return Check("credentials", True, "SendGrid knows the key")
    named = name_of(answer)
    if answer.status in (401, 403):
        mend = "not a key of this region's account, or one that was deleted; check api_key"
        return Check("credentials", False, f"{named}: {mend} and base_url")
    return Check("credentials", False, f"{named}: check base_url and try again")


def _permission(answer: Answer, *, activity: bool) -> Check:
    scopes = _scopes(answer)
    if "mail.send" not in scopes:
        return Check("permission", False, "the key may not send; give it Mail Send, full access")
    if activity and not {"messages.read", "email_activity.read"} & scopes:
        mend = "give it Email Activity, or turn email_activity off"
        return Check("permission", False, f"the key may not read messages; {mend}")
    return Check("permission", True, "the key may send")


async def _events(ask: Ask, scopes: frozenset[str], webhook_public_key: str | None) -> Check:
    if webhook_public_key is None:
        detail = "no webhook_public_key: what becomes of a mail is never told"
        return Check("events", True, detail)
    if _READS_WEBHOOKS not in scopes:
        return Check("events", True, "not known: the key may not read the event webhook's settings")
    answer = await ask("/v3/user/webhooks/event/settings/all")
    if not isinstance(answer, Answer):
        return Check("events", False, f"{answer.code}; try again")
    if answer.status != 200:
        return Check("events", False, f"{name_of(answer)}: try again")
    for webhook in _webhooks(answer):
        if webhook.get("enabled") is True and webhook.get("public_key") == webhook_public_key:
            missing = [name for name in NEEDED if webhook.get(name) is not True]
            mend = f"switch on {', '.join(missing)} at the event webhook"
            return Check("events", not missing, mend if missing else "the webhook is told")
    return Check("events", False, "no webhook is switched on that signs with webhook_public_key")


def _scopes(answer: Answer) -> frozenset[str]:
    found = read_object(answer.body).get("scopes")
    given = found if isinstance(found, list) else []
    return frozenset(each for each in given if isinstance(each, str))


def _webhooks(answer: Answer) -> list[Mapping[str, object]]:
    found = read_object(answer.body).get("webhooks")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
