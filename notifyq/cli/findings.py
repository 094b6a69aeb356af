"""What `doctor` thinks of what it finds: each check is one finding, and a bad one has its mend."""

import importlib.metadata
import importlib.resources
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from notifyq.config.settings import Settings
from notifyq.domain.address import channel_of
from notifyq.domain.model import Channel
from notifyq.store import fence, health

POSTGRES_MIN = 16
CLOCK_S_MAX = 1.0
DUE_S_MAX = 60.0
# A janitor looks every second; this late it is not there.
OVERDUE_S_MAX = 60.0
# The completer takes an abandoned request up within seconds; tries that fail come within minutes.
UNFINISHED_S_MAX = 300.0
TZDATA_AGE = timedelta(days=548)  # 18 months
SANDBOX_TIMEOUT_S = 3.0
_BULLETIN = re.compile(r"^#updated\s+([0-9]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result."""

    check: str
    result: str  # ok or bad
    what: str
    mend: str | None = None


def ok(check: str, what: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check, "ok", what)


def bad(check: str, what: str, mend: str) -> Finding:
    """Return a finding that somebody has to mend."""
    return Finding(check, "bad", what, mend)


def version(server: health.Server) -> Finding:
    """PostgreSQL is new enough, and this one takes writes."""
    shown = f"PostgreSQL {server.version // 10_000}.{server.version % 10_000}"
    if server.version < POSTGRES_MIN * 10_000:
        return bad("database", shown, f"upgrade it to {POSTGRES_MIN} or newer")
    if server.in_recovery:
        return bad("database", f"{shown}, a standby", "NOTIFYQ_DATABASE_URL: name the primary")
    return ok("database", f"{shown} answers")


def durability(server: health.Server) -> list[Finding]:
    """Accepted means committed only if a commit survives a crash."""
    found = []
    for name, value in (("fsync", server.fsync), ("full_page_writes", server.full_page_writes)):
        mend = f"set {name} = on in postgresql.conf and reload: a crash loses what was accepted"
        found.append(ok(name, "on") if value == "on" else bad(name, value, mend))
    commit, standbys = server.synchronous_commit, server.standby_names
    shown = f"{commit}, standby {standbys}" if standbys else f"{commit}, no standby: local"
    mend = "set synchronous_commit = on for the database and its roles"
    weak = ("off", "local", "remote_write") if standbys else ("off",)
    check = "synchronous_commit"
    return [*found, bad(check, shown, mend) if commit in weak else ok(check, shown)]


def migrations(found: str | None, newest: str | None) -> Finding:
    """The schema is the one that this version needs."""
    if found == newest:
        return ok("migrations", f"at {found}")
    return bad("migrations", f"at {found or 'none'}, not at {newest}", "run `notifyq db migrate`")


def schema(differences: list[str]) -> Finding:
    """Nobody changed a table by hand."""
    if not differences:
        return ok("schema", "as the code has it")
    mend = "undo what was changed by hand; `notifyq db check` lists all of it"
    return bad("schema", f"{len(differences)} differences: {differences[0]}", mend)


def clock(database: datetime, before: datetime, after: datetime) -> Finding:
    """This machine and the database agree on the time; before, after: ours, around the asking."""
    ahead_s = (before + (after - before) / 2 - database).total_seconds()
    what = f"this machine is {abs(ahead_s):.3f} s {'ahead of' if ahead_s > 0 else 'behind'}"
    what += " the database"
    if abs(ahead_s) <= CLOCK_S_MAX:
        return ok("clock", what)
    return bad("clock", what, "set both clocks by NTP (chrony or systemd-timesyncd)")


def time_zones(now: datetime) -> Finding:
    """The zone data is the pinned package's, and not old: quiet hours go by it.

    Its age is that of the leap-second bulletin in it, which comes every six months: the package
    itself carries no date.
    """
    mend = "pip install --upgrade tzdata"
    try:
        installed = importlib.metadata.version("tzdata")
        text = importlib.resources.files("tzdata.zoneinfo").joinpath("leapseconds").read_text()
    except (ImportError, OSError):
        return bad("tzdata", "the package tzdata is missing or broken", mend)
    found = _BULLETIN.search(text)
    since = datetime.fromtimestamp(int(found[1]), UTC) if found else _year_of(installed)
    what = f"{installed}, as of {since:%Y-%m}"
    return bad("tzdata", what, mend) if now - since > TZDATA_AGE else ok("tzdata", what)


def senders(settings: Settings) -> Finding:
    """Whatever account text messages are routed to has a number of ours to send them from."""
    routes = [settings.routes, *(category.routes for category in settings.categories.values())]
    routed = {name for route in routes for name in route.get(Channel.SMS, ())}
    numbers = {at: s for at, s in settings.senders.items() if channel_of(at) is Channel.SMS}
    mute = sorted(routed - {name for sender in numbers.values() for name in sender.providers})
    if not mute:
        return ok("senders", f"{len(numbers)} numbers; {len(routed)} accounts for text messages")
    what = f"no number speaks by {', '.join(mute)}: a request that is routed there is refused"
    mend = f'add [senders."+…"] with provider = "{mute[0]}", or take it out of the routes'
    return bad("senders", what, mend)


def leaves(missing: list[str], last_day: str) -> Finding:
    """Tomorrow's rows have somewhere to go; missing: leaves that tomorrow lacks."""
    if not missing:
        return ok("leaves", f"made until {last_day}")
    mend = "start `notifyq janitor`, or run `notifyq db migrate` once"
    return bad("leaves", f"missing for tomorrow: {', '.join(missing)}", mend)


def fenced(found: fence.Fence | None, region: str) -> Finding:
    """This region may begin attempts."""
    if found is None:
        return bad("fence", "there is none", "run `notifyq db migrate`")
    what = f"epoch {found.epoch}, region {found.region}, {found.phase}"
    if found.lets(region):
        return ok("fence", what)
    mend = f"this is region {region}: it sends nothing until the fence is opened for it"
    return bad("fence", what, mend)


def waiting(found: health.Waiting) -> Finding:
    """What is due is being sent."""
    seen = {0: "no worker", 1: "1 worker"}.get(found.workers, f"{found.workers} workers")
    due = f"{found.due} due, the oldest for {found.oldest_s:.0f} s" if found.due else "nothing due"
    what = f"{due}; {seen} seen in the last {health.WORKER_SEEN_S} s"
    if found.oldest_s <= DUE_S_MAX:
        return ok("waiting", what)
    if not found.workers:
        return bad("waiting", what, "start `notifyq worker --channel all`")
    return bad("waiting", what, "sql/lookup/lane_health.sql shows which lane is behind")


def doubts(found: health.Doubts) -> Finding:
    """What is in doubt is looked after; that something is in doubt is no fault by itself."""
    what = f"{found.count} in doubt"
    if found.count:
        what += f", the oldest for {found.oldest_s:.0f} s"
    late = {"settle window": found.window_over_s, "lease": found.lease_over_s}
    over = {name: s for name, s in late.items() if s is not None and s > OVERDUE_S_MAX}
    if not over:
        return ok("in doubt", what)
    told = [f"a {name} was over {over_s:.0f} s ago" for name, over_s in over.items()]
    return bad("in doubt", f"{what}; {', '.join(told)}", "start `notifyq janitor`")


def unfinished(found: health.Unfinished) -> Finding:
    """Requests to many recipients get finished, by their client or by the completer."""
    what = f"{found.count} requests are only partly written" if found.count else "none"
    if found.count:
        what += f", the oldest for {found.oldest_s:.0f} s"
    if found.oldest_s <= UNFINISHED_S_MAX:
        return ok("unfinished requests", what)
    if not found.tries:
        return bad("unfinished requests", what, "start `notifyq janitor`")
    mend = "sql/audit/unfinished_key.sql shows what stops each: mend that, the next try comes"
    return bad("unfinished requests", f"{what}; {found.tries} tries failed", mend)


def dead_letters(by_cause: dict[str, int]) -> Finding:
    """How many deliveries were given up on: for information."""
    told = [f"{count} {cause}" for cause, count in by_cause.items()]
    return ok("dead letters", ", ".join(told) or "none")


def repeats(count: int) -> Finding:
    """Nobody was told twice whose category does not ask for it."""
    when = f"in the last {health.REPEATS_DAYS} days"
    if not count:
        return ok("told twice", f"nobody {when}")
    mend = "sql/lookup/repeats.sql shows them: a provider's, or somebody's, \"no\" was none"
    return bad("told twice", f"{count} deliveries {when}", mend)


def timeouts(wrong: dict[str, int]) -> Finding:
    """A session of ours has the timeouts that keep a frozen worker from holding up a STOP."""
    if not wrong:
        return ok("timeouts", "sessions get the ones they ask for")
    told = ", ".join(f"{name} is {ms} ms" for name, ms in wrong.items())
    mend = "connect without a pooler, or by one in session mode"
    return bad("timeouts", f"a session lost what it set: {told}", mend)


def secret(there: bool) -> Finding:
    """Numbers can be hashed."""
    if there:
        return ok("address secret", "there")
    mend = "restore notifyq.address_secret from a backup: a new one would forget every opt-out"
    return bad("address secret", "missing: nobody's opt-out can be found", mend)


def idle(sessions: list[health.IdleSession]) -> Finding:
    """No session sits on a transaction: it would hold locks, and keep dead rows from going."""
    if not sessions:
        return ok("idle transactions", f"none older than {health.IDLE_S} s")
    told = [f"pid {s.pid} ({s.role}, {s.application}) {s.idle_s:.0f} s" for s in sessions]
    mend = f"end its program, or SELECT pg_terminate_backend({sessions[0].pid})"
    return bad("idle transactions", "; ".join(told), mend)


async def sandbox(url: str) -> Finding:
    """Test keys have somewhere to send to."""
    mend = "start `notifyq sandbox`, or mend NOTIFYQ_SANDBOX_URL"
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=SANDBOX_TIMEOUT_S) as client:
            answer = await client.get(f"{url}/healthz")
    except httpx.HTTPError as error:
        return bad("sandbox", f"{url} does not answer: {type(error).__name__}", mend)
    if answer.is_success:
        return ok("sandbox", f"{url} answers")
    return bad("sandbox", f"{url} answers {answer.status_code}", mend)


def _year_of(installed: str) -> datetime:
    """Return the start of the year in a version like 2026.1."""
    year = installed.partition(".")[0]
    return datetime(int(year) if year.isdigit() else 1970, 1, 1, tzinfo=UTC)
