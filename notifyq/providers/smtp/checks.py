"""Asking a relay whether mail could be sent, step by step, without sending any."""

import asyncio

from notifyq.domain.outcome import Misconfigured, Outcome, Throttled, Unavailable
from notifyq.domain.provider import Check
from notifyq.providers.smtp.progress import Broken, Progress, Stage, code_of
from notifyq.providers.smtp.session import Rejected, Relay, Session, open_session

# What a stage of opening a session shows when it was passed, and the mend where it was not.
_STEPS: dict[Stage, tuple[str, str, str]] = {
    Stage.CONNECT: ("reach", "connected", "check host, port, security and the network"),
    Stage.GREETING: ("greeting", "it greets", "the relay turns us away"),
    Stage.HELLO: ("hello", "it knows us by our hello", "set hello to this machine's public name"),
    Stage.TLS: ("tls", "encrypted, the certificate holds", "check security, port and certificate"),
    Stage.AUTH: ("credentials", "logged in", "check username and password"),
}


async def check(relay: Relay, sender: str | None, *, timeout_s: float) -> list[Check]:
    """Return the steps up to the first that failed. sender: None leaves the last step out."""
    progress = Progress(timeout_s)
    session: Session | None = None
    try:
        async with asyncio.timeout(timeout_s):
            session = await open_session(relay, progress)
            found = _passed(relay, Stage.MAIL)
            return found if sender is None else [*found, await _sender(session, sender, progress)]
    except Rejected as error:
        return _failed(relay, progress.stage, _code(error.outcome))
    except (Broken, OSError, UnicodeError) as error:
        return _failed(relay, progress.stage, code_of(error))
    finally:
        if session is not None:
            session.line.part()


async def _sender(session: Session, sender: str, progress: Progress) -> Check:
    reply = await session.try_sender(sender, progress)
    detail = (
        f"{reply.name} to {sender}" if reply.is_positive else f"{reply.name}: not from {sender}"
    )
    return Check("sender", reply.is_positive, detail)


def _passed(relay: Relay, until: Stage) -> list[Check]:
    asked = {Stage.CONNECT, Stage.GREETING, Stage.HELLO}
    asked |= {Stage.TLS} if relay.security == "starttls" else set()
    asked |= {Stage.AUTH} if relay.username is not None else set()
    steps = [(stage, *step) for stage, step in _STEPS.items() if stage in asked and stage < until]
    return [Check(name, True, f"{relay.host}:{relay.port}: {shown}") for _, name, shown, _ in steps]


def _failed(relay: Relay, stage: Stage, code: str) -> list[Check]:
    passed = _passed(relay, stage)
    if stage not in _STEPS:
        return [*passed, Check("sender", False, f"{code}; the connection failed")]
    name, _, mend = _STEPS[stage]
    return [
        *passed,
        Check(name, False, f"{relay.host}:{relay.port}: {code}; {mend}"),
    ]


def _code(outcome: Outcome) -> str:
    return (
        outcome.code if isinstance(outcome, Misconfigured | Throttled | Unavailable) else "refused"
    )
