"""Whether a callback is Twilio's: the signature over its URL and its form.

Owns the keys and the header that names one. Refuses a key that is not configured, an algorithm
other than the one that belongs to the key, and, once there are shared keys, the account's token.
Invariant: a sender of callbacks never chooses the weaker of two keys; the settings do.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from notifyq.domain.provider import BadSignature, Callback

_SIGNATURE = "x-twilio-signature"
# twilio.com/docs/usage/webhooks/webhook-shared-keys: key=webhooks_sharedkey_…,algorithm=HMAC_SHA256
_NAMES_A_KEY = "x-twilio-webhooks-signature-settings"


@dataclass(frozen=True, slots=True)
class Keys:
    """What callbacks may be signed with."""

    token: bytes = field(repr=False)  # the account's, by SHA-1
    shared: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # by SHA-256
    # The token counts beside shared keys, for the days of changing over: callbacks of messages
    # that were sent before still come signed with it, and a refused one is not repeated.
    token_too: bool = False


def refusal_of(
    keys: Keys, callback: Callback, fields: list[tuple[str, str]]
) -> BadSignature | None:
    """Return why a callback with these form fields is not believed; None: it is Twilio's."""
    given = callback.headers.get(_SIGNATURE)
    if given is None:
        return BadSignature("no signature")
    chosen = _key_of(keys, callback.headers.get(_NAMES_A_KEY))
    if isinstance(chosen, BadSignature):
        return chosen
    secret, algorithm = chosen
    tail = "".join(name + value for name, value in sorted(set(fields)))
    texts = [(url + tail).encode(errors="surrogatepass") for url in _spellings(callback.url)]
    expected = [base64.b64encode(hmac.digest(secret, text, algorithm)) for text in texts]
    found = given.encode(errors="surrogatepass")
    if not any([hmac.compare_digest(found, each) for each in expected]):
        return BadSignature("signature differs")
    return None


def _key_of(keys: Keys, header: str | None) -> tuple[bytes, str] | BadSignature:
    """Return the secret and the name of the hash that a callback must be signed with."""
    if header is None:
        if keys.shared and not keys.token_too:
            return BadSignature("not signed with a shared key")
        return keys.token, "sha1"
    parts = [tuple(text.strip() for text in part.split("=", 1)) for part in header.split(",")]
    named = {part[0]: part[1] for part in parts if len(part) == 2}
    if len(named) != len(parts) or named.keys() != {"key", "algorithm"}:
        return BadSignature("the header that names the key is unreadable")
    secret = keys.shared.get(named["key"])
    if secret is None:
        return BadSignature("signed with a shared key that is not configured")
    if named["algorithm"] != "HMAC_SHA256":
        return BadSignature("signed by another algorithm than HMAC_SHA256")
    return secret, "sha256"


def _spellings(url: str) -> tuple[str, ...]:
    """Return the URL as it came, and with and without its port: Twilio signs either by turns."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443}.get(parts.scheme, 80)
    except ValueError:  # from a Host header that is none: no signature can be right
        return (url,)
    bare = re.sub(r":\d*$", "", parts.netloc)
    hosts = (bare, f"{bare}:{port}")
    return (url, *(parts._replace(netloc=host).geturl() for host in hosts))
