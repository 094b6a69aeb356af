"""Whether a team could send: a push to nobody is refused for its device, and for nothing else.

It can reach nobody for two reasons that do not lean on each other: the device token is no token at
all (hexadecimal digits), and the payload has nothing to deliver. In which order Apple checks is not
documented; a token or a topic that is found wrong is named instead of the device.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

import httpx

from notifyq.domain.provider import Check
from notifyq.providers.apns.answer import reason_of
from notifyq.providers.apns.token import Tokens
from notifyq.providers.checking import checked
from notifyq.providers.http2 import Http2
from notifyq.providers.wire import Answer, post_request

NOBODY = "notifyq-check"
_PAYLOAD = b"{}"

_CREDENTIALS: Mapping[str, str] = {
    "InvalidProviderToken": "check team_id, key_id and private_key; the key may be revoked",
    "ExpiredProviderToken": "set this machine's clock by NTP",
    "BadEnvironmentKeyIdInToken": "the key is for the other environment; check base_url",
    "UnrelatedKeyIdInToken": "the key is for other topics; check key_id",
    "TooManyProviderTokenUpdates": "tokens are made too often; wait 20 minutes",
    "Forbidden": "the key may not send; check its services in Apple's console",
}
_TOPIC: Mapping[str, str] = {
    "BadTopic": "is no bundle id",
    "TopicDisallowed": "is not one of the key's; check apps and key_id",
    "DeviceTokenNotForTopic": "is not one of the key's; check apps and key_id",
}


async def check(
    http2: Http2,
    tokens: Tokens,
    url: httpx.URL,
    now: Callable[[], datetime],
    topic: str | None,
    *,
    timeout_s: float,
) -> list[Check]:
    """Return the steps up to the first that fails. url: the device NOBODY's. topic: or none."""
    headers = {
        "authorization": f"bearer {tokens.current()}",
        "apns-push-type": "alert",
        "apns-expiration": "0",
        **({"apns-topic": topic} if topic else {}),
    }
    request = post_request(url, httpx.Headers(headers), _PAYLOAD)
    answer = await http2.exchange(request, timeout_s=timeout_s)
    origin = f"{url.scheme}://{url.netloc.decode()}"
    steps = [_credentials, partial(_topic, topic)] if topic else [_credentials]
    return checked(answer, origin, now(), *steps)


def _credentials(answer: Answer) -> Check:
    status, reason = answer.status, reason_of(answer)
    if status == 400 and reason is not None:
        return Check("credentials", True, f"the token is taken ({reason}, as it should be)")
    mend = _CREDENTIALS.get(reason or "", "check base_url and try again")
    return Check("credentials", False, f"{reason or f'answered {status}'}: {mend}")


def _topic(topic: str, answer: Answer) -> Check:
    reason = reason_of(answer)
    mend = _TOPIC.get(reason or "")
    if mend is None:
        return Check("topic", True, f"{topic} is not refused")
    return Check("topic", False, f"{reason}: {topic} {mend}")
