"""audit: list, run one, run all; quiet on a healthy house, loud and exit 1 over a planted fault."""

import asyncio
import json
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from notifyq.cli import main
from notifyq.store import audits, db
from notifyq.store.audits import Audit
from tests.store import helpers as h


@pytest.fixture
def audit(database_url: str) -> Any:
    def run(*arguments: str) -> Result:
        environ = {"NOTIFYQ_DATABASE_URL": database_url, "NOTIFYQ_CONFIG": None}
        return CliRunner().invoke(main, ["audit", *arguments], env=environ)

    return run


def orphan(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO notifyq.job VALUES (0, 1, 1, now(), gen_random_uuid(), 'sms', 0, 0)"
        )


def test_every_audit_is_listed_with_its_question(audit: Any) -> None:
    found = audit("list", "--json")
    assert found.exit_code == 0
    rows = json.loads(found.output)
    assert {"illegal_history", "retention_order", "two_live_attempts"} <= {r["name"] for r in rows}
    for row in rows:
        assert row["question"].endswith("?"), row
        assert "Parameters" not in row["question"]
    assert "Can any delivery have reached somebody twice?" in audit("list").output


def test_all_of_them_on_a_healthy_house_say_nothing_and_exit_0(audit: Any) -> None:
    found = audit("run", "--all")
    assert found.exit_code == 0, found.output
    assert set(line.partition(": ")[2] for line in found.output.splitlines()) == {"nothing"}
    assert len(found.output.splitlines()) == len(json.loads(audit("list", "--json").output))


def test_a_fault_is_shown_with_its_file_and_exits_1(audit: Any, database_url: str) -> None:
    orphan(database_url)
    found = audit("run", "job_without_delivery")
    assert found.exit_code == 1
    assert "job_without_delivery: 1 rows" in found.output
    assert "sql/audit/job_without_delivery.sql" in found.output
    assert audit("run", "two_live_attempts").exit_code == 0
    everything = audit("run", "--all", "--json")
    assert everything.exit_code == 1
    rows = {one["audit"]: one["rows"] for one in json.loads(everything.output)}
    assert rows["job_without_delivery"][0]["why"] == "no_delivery"
    assert rows["two_live_attempts"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name one audit, or say --all"),
        (["two_live_attempts", "--all"], "name one audit, or say --all"),
        (["nonsense"], "there is no audit 'nonsense'"),
        (["../lookup/in_doubt"], "there is no audit '../lookup/in_doubt'"),
    ],
)
def test_a_wrong_use_is_told_and_exits_2(audit: Any, arguments: list[str], told: str) -> None:
    found = audit("run", *arguments)
    assert found.exit_code == 2
    assert told in found.output


def test_an_audit_cannot_change_anything(database_url: str) -> None:
    wrong = Audit("wrong", "?", "DELETE FROM notifyq.fence")

    async def run() -> None:
        async with await db.connect(database_url, autocommit=True) as conn:
            await audits.prepare(conn)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await audits.run(conn, wrong)
            assert await h.one(conn, "SELECT count(*) FROM fence") == 1

    asyncio.run(run())
