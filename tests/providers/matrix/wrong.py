"""A client with the fault that the matrix is there for.

It reads a lost answer as "never left", as transports do that name an error by where they noticed
it: "the server read the request, then hung up" comes as a failed connect.
"""

from notifyq.domain.message import Message
from notifyq.domain.outcome import InDoubt, NotSent, Outcome
from notifyq.domain.provider import Provider


def lost_is_never_left(provider: Provider) -> Provider:
    """Return the client with that fault."""
    right = provider.send

    async def send(message: Message, *, timeout_s: float) -> Outcome:
        outcome = await right(message, timeout_s=timeout_s)
        return NotSent(outcome.code) if isinstance(outcome, InDoubt) else outcome

    provider.send = send  # type: ignore[method-assign]
    return provider
