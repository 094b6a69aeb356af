"""What a message says, by channel, and how it is kept: the text that is read, and the rest.

`body` is in every row the text that a person reads, whatever the channel, so that SQL can show it.
What a channel has beside it (a subject, HTML, data for an app) is JSON in `more`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from notifyq.domain.model import Channel


@dataclass(frozen=True, slots=True)
class SmsContent:
    """A text message."""

    body: str


@dataclass(frozen=True, slots=True)
class EmailContent:
    """A mail: the plain text always, HTML beside it where there is one."""

    subject: str
    body: str
    html: str | None = None


@dataclass(frozen=True, slots=True)
class PushContent:
    """A push: what is shown, and what only the app reads."""

    title: str
    body: str
    data: Mapping[str, str] = field(default_factory=dict)
    # The producer's: a newer one replaces the older at the device. None: the delivery's own.
    collapse_key: str | None = None


Content = SmsContent | EmailContent | PushContent


class BadContent(ValueError):
    """What is kept is no content of its channel."""


def kept(content: Content) -> tuple[str, str | None]:
    """Return (body, more): the columns that hold it."""
    match content:
        case SmsContent(body):
            return body, None
        case EmailContent(subject, body, html):
            more: dict[str, object] = {"subject": subject, "html": html}
        case PushContent(title, body, data, collapse_key):
            more = {"title": title, "data": dict(data), "collapse_key": collapse_key}
    present = {name: value for name, value in more.items() if value}
    return body, json.dumps(present, ensure_ascii=False, separators=(",", ":"))


def read_kept(channel: Channel, body: str, more: str | None) -> Content:
    """Return what `kept` was given; BadContent if the columns do not hold it."""
    if channel is Channel.SMS:
        return SmsContent(body)
    try:
        rest = json.loads(more or "")
        if channel is Channel.EMAIL:
            return EmailContent(rest["subject"], body, rest.get("html"))
        if channel is Channel.PUSH:
            data, collapse_key = rest.get("data", {}), rest.get("collapse_key")
            return PushContent(rest["title"], body, data, collapse_key)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadContent(f"{channel}: {type(error).__name__}: {error}") from error
    raise BadContent(f"{channel}: has no content")
