"""A message as a provider is asked to send it, for one attempt.

Owns also the two header fields by which a mail offers to unsubscribe by one POST (RFC 8058), the
same at every vendor. Refuses a URL that some vendor or mailbox would not take as it is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notifyq.domain.content import Content
from notifyq.domain.outcome import Misconfigured

ONE_CLICK = "List-Unsubscribe=One-Click"  # a header's value, and the body of the POST: RFC 8058

# SES takes the least: its API reference has 870 characters for a header's value (its service model
# 995), two of which are the brackets. Without a blank to fold at, a line of SMTP ends at 998.
UNSUBSCRIBE_URL_CHARS_MAX = 868

# What RFC 3986 lets a host, a path and a query have. No user, which hides the host; no fragment,
# which no POST carries. Plain http only to this machine: mailboxes ask https alone.
_UNSUBSCRIBE_URL = re.compile(
    r"(https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\]))"
    r"(:[0-9]{1,5})?([/?][A-Za-z0-9._~%!$&'()*+,;=:@/?-]*)?"
)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks: a number or a mail address, and the name shown beside it where there is one."""

    address: str  # E.164, or a mail address; empty for a push, which speaks as its app
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one address."""

    reference: str  # planted at the provider, so that a lost answer can be settled later
    collapse_id: str  # the same for every attempt: a repeat replaces it where a channel can do so
    to: str  # E.164, a mail address, or a device: see domain/address.py
    sender: Sender
    content: Content
    callback_url: str  # where the provider reports what became of it; carries the reference
    validity_s: int  # the provider drops the message when it could not send it within this
    expires_at: datetime  # the same as an instant
    unsubscribe_url: str | None = None  # where one POST unsubscribes: RFC 8058; None: no header


def unsubscribe_headers(url: str | None) -> Mapping[str, str] | Misconfigured:
    """Return the fields by which a mail offers it, by name and unfolded; none for None.

    Misconfigured `unsubscribe_url`: no https URL of at most UNSUBSCRIBE_URL_CHARS_MAX characters,
    nor http to this machine, where development has no certificate.
    """
    if url is None:
        return {}
    if len(url) > UNSUBSCRIBE_URL_CHARS_MAX or not _UNSUBSCRIBE_URL.fullmatch(url):
        return Misconfigured("unsubscribe_url")
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": ONE_CLICK}
