"""One attempt: the last checks before the call, and the call.

It must end before its lease does, by CLOCK_BOOTTIME as it was read before begin: the clock that
goes on while the machine sleeps. A send is never cancelled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from notifyq.boottime import boottime_s
from notifyq.domain import ids
from notifyq.domain.content import BadContent, read_kept
from notifyq.domain.message import Message, Sender
from notifyq.domain.model import Channel, Ready
from notifyq.domain.outcome import Misconfigured, NotSent, Outcome, Refusal, Refused
from notifyq.domain.provider import Provider

# Too little left of a lease to start a call in.
CALL_S_MIN = 0.05


@dataclass(frozen=True, slots=True)
class SendRules:
    """What bounds the sends of one lane, from the settings."""

    channel: Channel
    timeout_s: float
    callback_url: str  # without the reference
    sender: Callable[[str, str], Sender | None]  # (brand, program) -> who speaks
    unsubscribe_url: str = ""  # without the token


async def send(
    ready: Ready,
    provider: Provider,
    rules: SendRules,
    *,
    cell: int,
    deadline_s: float,
    now: Callable[[], datetime],
) -> Outcome:
    """Send an attempt that this process began, unless it is too late for it.

    deadline_s: the end of its lease, in boottime_s(). now: the database's time.
    """
    due = ready.due
    left_s = deadline_s - boottime_s()
    gives_up_at = min(due.expires_at, ready.until or due.expires_at)
    if now() >= gives_up_at:  # the process slept since it began
        return NotSent("expired" if gives_up_at == due.expires_at else "hours_over")
    if left_s < CALL_S_MIN:
        return NotSent("lease_over")
    sender = rules.sender(due.brand, due.program)
    if due.terms.sender is not None:
        sender = Sender(due.terms.sender)
    if sender is None:
        return Misconfigured("no_sender")
    if due.address is None or due.body is None:
        return Refused(Refusal.CONTENT, "content_gone")
    try:
        content = read_kept(rules.channel, due.body, due.more)
    except BadContent:
        return Refused(Refusal.CONTENT, "content_unreadable")
    reference = ids.reference(cell, due.delivery_id, ready.number)
    message = Message(
        reference=reference,
        collapse_id=ids.public_id("dlv", cell, due.delivery_id),
        to=due.address,
        sender=sender,
        content=content,
        callback_url=f"{rules.callback_url}?reference={reference}",
        validity_s=max(1, int((gives_up_at - now()).total_seconds())),
        expires_at=gives_up_at,
        unsubscribe_url=f"{rules.unsubscribe_url}/{due.unsubscribe}" if due.unsubscribe else None,
    )
    return await provider.send(message, timeout_s=min(rules.timeout_s, left_s))
