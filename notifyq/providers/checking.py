"""Steps that are the same when any account is checked over HTTP: is it reached, do clocks agree."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from notifyq.domain.provider import Check
from notifyq.providers.wire import Answer, Unanswered

# Signatures and tokens carry times; AWS, the strictest of the seven, lets 5 minutes pass.
CLOCK_OFF_S_MAX = 60.0

# What to do about a failure of the wire; any other code speaks of the connection.
MENDS: Mapping[str, str] = {
    "no_such_host": "no such host; check base_url and DNS",
    "tls": "TLS failed; check base_url, the CA certificates, and what stands between",
    "timeout": "no answer in time; check the firewall, or raise timeout_s",
    "econnrefused": "nobody listens there; check base_url",
}


def checked(
    answer: Answer | Unanswered,
    url: str,
    now: datetime,
    *steps: Callable[[Answer], Check],
) -> list[Check]:
    """Return reach, clock and then each step, up to the first that fails."""
    checks = [reached(answer, url)]
    if isinstance(answer, Answer):
        for step in (lambda found: clock(found, now), *steps):
            checks.append(step(answer))
            if not checks[-1].ok:
                break
    return checks


def reached(answer: Answer | Unanswered, url: str) -> Check:
    """Say whether an answer came at all: DNS, TCP, TLS and HTTP work then."""
    if isinstance(answer, Answer):
        return Check("reach", True, f"{url} answered {answer.status}")
    mend = MENDS.get(answer.code, f"{answer.code}; check base_url and the network")
    return Check("reach", False, f"{url}: {mend}")


def clock(answer: Answer, now: datetime) -> Check:
    """Compare the answer's Date with our clock (`now`, aware); without one nothing is wrong."""
    text = {name.lower(): value for name, value in answer.headers.items()}.get("date", "")
    try:
        theirs = parsedate_to_datetime(text)
    except ValueError:
        return Check("clock", True, "the answer has no Date to compare with")
    theirs = theirs.replace(tzinfo=UTC) if theirs.tzinfo is None else theirs
    off_s = (now - theirs).total_seconds()
    ok = abs(off_s) <= CLOCK_OFF_S_MAX
    mend = "" if ok else "; set this machine's clock by NTP, signed requests are refused"
    return Check("clock", ok, f"ours is {off_s:+.0f} s off theirs{mend}")
