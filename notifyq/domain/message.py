"""A message as a provider is asked to send it, for one attempt."""

from dataclasses import dataclass
from datetime import datetime

from notifyq.domain.content import Content


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
