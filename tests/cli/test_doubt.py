"""doubt: listed with what to look for, resolved one by one with evidence."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from notifyq.cli import main
from notifyq.domain.ids import public_id, reference
from notifyq.domain.model import RANK_DELIVERED
from notifyq.domain.outcome import InDoubt
from notifyq.store.db import Conn
from tests.cli.conftest import Work
from tests.store import helpers as h

SAID = ("--evidence", "console: no such SMS", "--reason", "ticket 7")


@pytest.fixture
def run(command: Callable[..., Result]) -> Callable[..., Result]:
    return partial(command, "doubt")


@pytest.fixture
def at(plant: Callable[[Work], Any]) -> UUID:
    """A delivery whose answer was lost."""

    async def make(conn: Conn) -> UUID:
        shop = await h.open_shop(conn, "acme")
        (ready,) = await h.begun(conn, shop, h.make_ask(shop), lease_s=-1.0)
        await h.settled(conn, h.post_of(shop), (ready, InDoubt("read_timeout")))
        return ready.due.delivery_id

    found: UUID = plant(make)
    return found


def told(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_doubt_is_listed_with_what_to_look_for(run: Callable[..., Result], at: UUID) -> None:
    (row,) = told(run("list", "--json"))
    assert row["id"] == public_id("dlv", 0, at)
    assert row["reference"] == reference(0, at, 1)
    assert (row["state"], row["provider"], row["code"]) == ("in_doubt", "twilio", "read_timeout")
    assert (row["rule"], row["attempt"], row["called_back"]) == ("never_twice", 1, False)
    assert row["next"].startswith("unknown at 20")
    assert h.PHONE not in json.dumps(row)
    text = run("list").stdout
    assert reference(0, at, 1) in text
    assert h.PHONE not in text
    assert told(run("list", "--json", "--tenant", "other")) == []
    assert run("list", "--tenant", "other").stdout == "nothing is in doubt\n"


@pytest.mark.parametrize(
    ("claim", "after"), [("carried-out", "sent"), ("not-carried-out", "pending")]
)
def test_a_doubt_is_resolved_once_with_who_and_why(
    run: Callable[..., Result], at: UUID, plant: Callable[[Work], Any], claim: str, after: str
) -> None:
    name = public_id("dlv", 0, at)
    result = run("resolve", name, "--as", claim, *SAID)
    assert (result.exit_code, result.stdout) == (0, f"{name}: was in_doubt, is {after}\n")
    kept = plant(
        lambda conn: h.all_rows(conn, "SELECT kind, actor, reason, evidence FROM intervention")
    )
    assert kept == [(claim.replace("-", "_"), "jo", "ticket 7", "console: no such SMS")]
    again = run("resolve", str(at), "--as", claim, *SAID)
    assert again.exit_code == 1
    assert f"{name} is {after}, and stays so: it is not in doubt" in again.stderr


def test_a_receipt_that_came_first_wins_and_is_said(
    run: Callable[..., Result], at: UUID, plant: Callable[[Work], Any]
) -> None:
    plant(lambda conn: h.told(conn, h.receipt_for(at, 1, RANK_DELIVERED)))
    result = run("resolve", str(at), "--as", "not-carried-out", *SAID)
    assert result.exit_code == 1
    assert "is delivered, and stays so" in result.stderr


def test_the_providers_name_is_kept(
    run: Callable[..., Result], at: UUID, plant: Callable[[Work], Any]
) -> None:
    done = run("resolve", str(at), "--as", "carried-out", *SAID, "--provider-id", "SM7", "--json")
    (row,) = told(done)
    assert (row["before"], row["after"]) == ("in_doubt", "sent")
    assert plant(lambda conn: h.one(conn, "SELECT provider_id FROM attempt")) == "SM7"


def test_operators_see_the_evidence_in_the_timeline(
    run: Callable[..., Result], at: UUID, database_url: str
) -> None:
    run("resolve", str(at), "--as", "carried-out", *SAID)
    environ = {"NOTIFYQ_DATABASE_URL": database_url}
    shown = CliRunner().invoke(main, ["show", str(at), "--json"], env=environ)
    (entry,) = [e for e in json.loads(shown.stdout)[0]["timeline"] if "evidence" in e]
    assert (entry["event"], entry["kind"]) == ("delivery.resolved", "carried_out")
    assert (entry["actor"], entry["evidence"]) == ("jo", "console: no such SMS")


GOOD = {"--as": "carried-out", "--evidence": "seen", "--reason": "ticket 7"}
MISUSED: dict[str, tuple[dict[str, str | None], str]] = {
    "no claim": ({"--as": None}, "--as"),
    "another claim": ({"--as": "maybe"}, "maybe"),
    "no evidence": ({"--evidence": None}, "--evidence"),
    "empty evidence": ({"--evidence": " "}, "--evidence: must say something"),
    "long evidence": ({"--evidence": "x" * 2_001}, "at most 2000"),
    "no reason": ({"--reason": None}, "--reason"),
    "empty reason": ({"--reason": ""}, "--reason: must say something"),
    "name of nothing": ({"--as": "not-carried-out", "--provider-id": "SM1"}, "--provider-id"),
    "empty name": ({"--provider-id": ""}, "1 to 255"),
    "long name": ({"--provider-id": "x" * 256}, "1 to 255"),
    "steering name": ({"--provider-id": "\x1b[2J"}, "printable"),
}


@pytest.mark.parametrize("name", MISUSED)
def test_what_cannot_be_meant_is_misused(
    run: Callable[..., Result], at: UUID, plant: Callable[[Work], Any], name: str
) -> None:
    changes, says = MISUSED[name]
    options = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    result = run("resolve", str(at), *(word for pair in options.items() for word in pair))
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert plant(lambda conn: h.standing(conn, at)).state == "in_doubt"


def test_the_longest_evidence_and_name_are_taken(run: Callable[..., Result], at: UUID) -> None:
    options = {**GOOD, "--evidence": "x" * 2_000, "--reason": "y" * 500, "--provider-id": "z" * 255}
    result = run("resolve", str(at), *(word for pair in options.items() for word in pair))
    assert result.exit_code == 0, result.output


def test_what_is_not_there_is_said(run: Callable[..., Result]) -> None:
    missing = str(UUID(int=1 << 100 | 1))
    result = run("resolve", missing, "--as", "carried-out", *SAID)
    assert (result.exit_code, "there is no delivery" in result.stderr) == (1, True)
