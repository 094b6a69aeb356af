"""The doctor: finds nothing in a healthy house, and each illness by its own name, with a mend."""

import asyncio
import importlib.metadata
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from notifyq import migrate
from notifyq.cli import findings
from notifyq.cli.doctor import doctor
from notifyq.domain.ids import new_notification_id
from notifyq.domain.outcome import InDoubt, Refusal, Refused
from notifyq.embedded import EmbeddedPostgres
from notifyq.store import db, health
from notifyq.store.fence import Fence
from tests.conftest import test_major
from tests.store import helpers as h

# The tests' server gives up durability for speed, and the doctor rightly says so.
OF_THE_TESTS = {"fsync", "full_page_writes"}
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def run(database_url: str) -> Callable[..., Result]:
    def invoke(*arguments: str, **environ: str | None) -> Result:
        environ = {"NOTIFYQ_DATABASE_URL": database_url, "NOTIFYQ_SANDBOX_URL": None} | environ
        return CliRunner().invoke(doctor, arguments, env=environ)

    return invoke


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def illnesses(result: Result) -> dict[str, dict[str, Any]]:
    """What is bad, by check, but for what the tests' own server is told."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    found = {one["check"]: one for one in json.loads(result.stdout) if one["result"] == "bad"}
    assert result.exit_code == (1 if found else 0)
    assert all(one["mend"] for one in found.values())
    return {name: one for name, one in found.items() if name not in OF_THE_TESTS}


def test_a_healthy_house_has_no_finding_that_is_bad() -> None:
    with EmbeddedPostgres.start(major=test_major()) as server:
        migrate.upgrade(server.url())
        environ = {"NOTIFYQ_DATABASE_URL": server.url(), "NOTIFYQ_SANDBOX_URL": None}
        result = CliRunner().invoke(doctor, [], env=environ)
        assert result.exit_code == 0, result.output
        told = json.loads(CliRunner().invoke(doctor, ["--json"], env=environ).stdout)
    assert {one["result"] for one in told} == {"ok"}
    assert [one["check"] for one in told] == [
        "settings", "tzdata", "senders", "database", "fsync", "full_page_writes",
        "synchronous_commit", "clock", "timeouts", "migrations", "schema", "leaves", "fence",
        "address secret", "waiting", "in doubt", "unfinished requests", "dead letters",
        "told twice", "idle transactions",
    ]  # fmt: skip
    assert result.stdout.count(" ok ") >= len(told)


def test_all_faults_of_the_settings_come_at_once_and_alone(run: Callable[..., Result]) -> None:
    result = run("--json", NOTIFYQ_BIND="nowhere", NOTIFYQ_LOG_LEVEL="LOUD")
    found = json.loads(result.stdout)
    assert [(one["check"], one["result"]) for one in found] == [("settings", "bad")] * 2
    assert {one["what"].partition(":")[0] for one in found} == {"NOTIFYQ_BIND", "NOTIFYQ_LOG_LEVEL"}
    assert result.exit_code == 1
    assert illnesses(run("--json", NOTIFYQ_DATABASE_URL=None)).keys() == {"settings"}


TWILIO = f"""vendor = "twilio"
account_sid = "AC{0:032}"
auth_token = {{ env = "NOTIFYQ_TEST_TOKEN" }}
"""
MAIN, SPARE = f"[providers.main]\n{TWILIO}", f"[providers.spare]\n{TWILIO}"
NUMBER = '[senders."+14155550100"]\nprovider = "main"\nbrand = "acme"\ncampaign = "C1"\n'
MAIL = '[senders."orders@example.com"]\nprovider = "main"\nbrand = "acme"\n'
OF_CODES = '[categories.code]\nclass = "otp"\nroutes = { sms = ["spare"] }\n'


@pytest.mark.parametrize(
    ("text", "mute"),
    [
        ("", None),
        (MAIN, None),  # nothing is routed there
        ('[routes]\nsms = ["main"]\n' + MAIN, "main"),
        ('[routes]\nsms = ["main"]\n' + MAIN + NUMBER, None),
        ('[routes]\nsms = ["main"]\n' + MAIN + MAIL, "main"),
        ('[routes]\nsms = ["main", "spare"]\n' + MAIN + SPARE + NUMBER, "spare"),
        (MAIN + SPARE + NUMBER + OF_CODES, "spare"),
    ],
    ids=["nothing", "unrouted", "mute", "spoken for", "by mail only", "one of two", "a category's"],
)
def test_an_account_of_text_messages_without_a_number_is_named(
    run: Callable[..., Result], tmp_path: Path, text: str, mute: str | None
) -> None:
    path = tmp_path / "notifyq.toml"
    path.write_text(text)
    result = run("--json", NOTIFYQ_CONFIG=str(path), NOTIFYQ_TEST_TOKEN="x")
    told = {one["check"]: one for one in json.loads(result.stdout)}["senders"]
    assert told["result"] == ("bad" if mute else "ok"), told
    if mute is None:
        numbers, routed = text.count("+1415"), text.count("sms")
        assert told["what"] == f"{numbers} numbers; {routed} accounts for text messages"
    else:
        assert f"no number speaks by {mute}:" in told["what"]
        assert f'provider = "{mute}"' in told["mend"]


def test_a_database_that_is_not_there_is_said_without_its_password(
    run: Callable[..., Result],
) -> None:
    for url in ("postgresql://u:geheim@127.0.0.1:1/none", "postgresql//u:geheim@x/y"):
        result = run("--json", NOTIFYQ_DATABASE_URL=url)
        assert illnesses(result).keys() == {"database"}
        assert "geheim" not in result.output


def test_an_empty_database_wants_migrating(server: dict[str, Any]) -> None:
    name = "notifyq_test_doctor_empty"
    with psycopg.connect(host=server["host"], port=server["port"], user=server["user"],
                         password=server["password"], dbname=server["maintenance_dbname"],
                         autocommit=True) as conn:  # fmt: skip
        conn.execute(f"CREATE DATABASE {name}".encode())
        try:
            url = psycopg.conninfo.make_conninfo(conn.info.dsn, dbname=name)
            environ = {"NOTIFYQ_DATABASE_URL": url, "NOTIFYQ_SANDBOX_URL": None}
            result = CliRunner().invoke(doctor, ["--json"], env=environ)
        finally:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    assert illnesses(result)["migrations"]["mend"] == "run `notifyq db migrate`"


# Each illness: what makes it, the check that finds it, and a word of what it says.
ILLNESSES = {
    "schema": ("ALTER TABLE notifyq.tenant ADD COLUMN odd text", "schema", "tenant.odd"),
    "version": ("UPDATE notifyq_version SET version_num = 'old'", "migrations", "at old"),
    "leaf": (
        "DO $$ BEGIN EXECUTE (SELECT format('DROP TABLE notifyq.outbox_%s',"
        " to_char(now() AT TIME ZONE 'UTC' + interval '1 day', 'YYYYMMDD'))); END $$",
        "leaves",
        "outbox_",
    ),
    "fence": ("UPDATE notifyq.fence SET phase = 'closed'", "fence", "closed"),
    "region": ("UPDATE notifyq.fence SET region = 'west'", "fence", "region west"),
    "no fence": ("DELETE FROM notifyq.fence", "fence", "there is none"),
    "secret": ("DELETE FROM notifyq.address_secret", "address secret", "missing"),
    "waiting": (
        "INSERT INTO notifyq.job VALUES"
        " (0, 1, 1, now() - interval '90 s', gen_random_uuid(), 'sms', 0, 0)",
        "waiting",
        "no worker seen",
    ),
    "window": (
        "INSERT INTO notifyq.timer VALUES"
        " (0, gen_random_uuid(), 'settle_window', now() - interval '90 s')",
        "in doubt",
        "settle window",
    ),
}


@pytest.mark.parametrize("name", ILLNESSES)
def test_each_illness_is_found_by_its_own_check(
    run: Callable[..., Result], database_url: str, name: str
) -> None:
    cause, check, word = ILLNESSES[name]
    execute(database_url, cause)
    found = illnesses(run("--json"))
    assert found.keys() == {check}
    assert word in found[check]["what"]


def test_jobs_that_wait_beside_a_worker_point_to_the_lanes(
    run: Callable[..., Result], database_url: str
) -> None:
    worker = "INSERT INTO notifyq.worker VALUES (0, gen_random_uuid(), 'sms', 'default', 1)"
    execute(database_url, ILLNESSES["waiting"][0], worker)
    found = illnesses(run("--json"))["waiting"]
    assert "1 worker seen" in found["what"]
    assert "lane_health" in found["mend"]


def test_a_lease_that_nobody_ends_says_that_the_janitor_is_gone(
    run: Callable[..., Result], database_url: str
) -> None:
    async def begin() -> None:
        async with await db.connect(database_url) as conn:
            shop = await h.open_shop(conn)
            await h.begun(conn, shop, h.make_ask(shop), lease_s=-90)

    asyncio.run(begin())
    found = illnesses(run("--json"))["in doubt"]
    assert "a lease was over" in found["what"]
    assert "janitor" in found["mend"]


def test_doubts_and_dead_letters_are_told_and_no_fault(
    run: Callable[..., Result], database_url: str
) -> None:
    async def end() -> None:
        async with await db.connect(database_url) as conn:
            shop = await h.open_shop(conn)
            one, two = await h.begun(conn, shop, h.make_ask(shop), h.make_ask(shop))
            refused = Refused(Refusal.ADDRESS, "21614")
            await h.settled(conn, h.post_of(shop), (one, InDoubt("cut")), (two, refused))

    asyncio.run(end())
    result = run("--json")
    assert illnesses(result) == {}
    told = {one["check"]: one["what"] for one in json.loads(result.stdout)}
    assert told["in doubt"].startswith("1 in doubt, the oldest for ")
    assert told["dead letters"] == "1 refused_address"


@pytest.mark.parametrize(
    ("age_s", "tries", "says", "mend"),
    [
        (290, 0, None, None),
        (310, 0, "1 requests are only partly written, the oldest for 31", "notifyq janitor"),
        (90 * 86_400, 7, "7 tries failed", "unfinished_key.sql"),
    ],
)
def test_a_request_that_nobody_finishes_is_alarmed(
    run: Callable[..., Result],
    database_url: str,
    age_s: int,
    tries: int,
    says: str | None,
    mend: str | None,
) -> None:
    begun = new_notification_id(datetime.now(UTC) - timedelta(seconds=age_s), 1)
    execute(
        database_url,
        "INSERT INTO notifyq.unfinished_key (cell, notification_id, tenant_id, operation, key_hash,"
        f" claimed_until, tries, trouble, ask) VALUES (0, '{begun}', 1, 'notify', 'x', now(),"
        f" {tries}, 'DataError 22P05', 'x')",
    )
    found = illnesses(run("--json")).get("unfinished requests")
    if says is None:
        assert found is None
    else:
        assert found is not None
        assert says in found["what"]
        assert mend in found["mend"]


def test_a_session_that_sits_on_a_transaction_is_named(
    run: Callable[..., Result], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "IDLE_S", 0)
    with psycopg.connect(database_url, application_name="sitter") as sitter:
        sitter.execute("SELECT 1")
        found = illnesses(run("--json"))["idle transactions"]
        assert str(sitter.info.backend_pid) in found["mend"]
    assert "sitter" in found["what"]


def test_a_check_that_may_not_look_is_a_finding_and_stops_no_other(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forbidden(*_: object, **__: object) -> None:
        raise psycopg.errors.InsufficientPrivilege("permission denied for table job")

    monkeypatch.setattr(health, "waiting", forbidden)
    result = run("--json")
    found = illnesses(result)
    assert found.keys() == {"waiting"}
    assert "permission denied" in found["waiting"]["what"]
    assert json.loads(result.stdout)[-1]["check"] == "idle transactions"


class _Sandbox(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sandbox() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Sandbox) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_sandbox_is_looked_for_where_it_should_be(
    run: Callable[..., Result], sandbox: str
) -> None:
    assert illnesses(run("--json", NOTIFYQ_SANDBOX_URL=sandbox)) == {}
    found = illnesses(run("--json", NOTIFYQ_SANDBOX_URL=f"{sandbox}/elsewhere"))
    assert "answers 404" in found["sandbox"]["what"]
    found = illnesses(run("--json", NOTIFYQ_SANDBOX_URL="http://127.0.0.1:1"))
    assert "does not answer" in found["sandbox"]["what"]


@pytest.mark.parametrize(
    ("finding", "bad"),
    [
        (findings.version(health.Server(160_000, False, "on", "on", "on", "")), False),
        (findings.version(health.Server(150_009, False, "on", "on", "on", "")), True),
        (findings.version(health.Server(180_000, True, "on", "on", "on", "")), True),
        (findings.clock(NOW, NOW, NOW + timedelta(seconds=1)), False),
        (findings.clock(NOW, NOW, NOW + timedelta(seconds=3)), True),
        (findings.clock(NOW + timedelta(seconds=2), NOW, NOW), True),
        (findings.leaves([], "2026-11-29"), False),
        (findings.leaves(["content_20261123"], "2026-11-22"), True),
        (findings.timeouts({}), False),
        (findings.timeouts({"lock_timeout": 0}), True),
        (findings.fenced(Fence(1, "east", "open"), "east"), False),
        (findings.fenced(Fence(1, "east", "open"), "west"), True),
        (findings.migrations("0001", "0001"), False),
        (findings.migrations("0002", "0001"), True),
        (findings.waiting(health.Waiting(9, 60.0, 0)), False),
        (findings.waiting(health.Waiting(9, 60.1, 2)), True),
        (findings.doubts(health.Doubts(0, 0.0, 60.0, 60.0)), False),
        (findings.doubts(health.Doubts(0, 0.0, 60.1, None)), True),
    ],
)
def test_the_line_between_ok_and_bad(finding: findings.Finding, bad: bool) -> None:
    assert (finding.result == "bad") is bad
    assert bool(finding.mend) is bad


@pytest.mark.parametrize(
    ("commit", "standbys", "bad"),
    [
        ("on", "", False),
        ("local", "", False),
        ("off", "", True),
        ("remote_apply", "west", False),
        ("local", "west", True),
        ("remote_write", "west", True),
    ],
)
def test_a_commit_that_a_crash_would_lose_is_bad(commit: str, standbys: str, bad: bool) -> None:
    found = findings.durability(health.Server(180_000, False, "on", "on", commit, standbys))
    assert [one.result for one in found] == ["ok", "ok", "bad" if bad else "ok"]


def test_zone_data_grows_old_and_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = datetime.now(UTC)
    assert findings.time_zones(fresh).result == "ok"
    assert findings.time_zones(fresh + timedelta(days=900)).result == "bad"

    def missing(_: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert findings.time_zones(fresh).result == "bad"
