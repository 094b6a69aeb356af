"""dlq: counted by cause, redriven dry and for good, discarded; each change with who and why."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from notifyq.cli import main
from notifyq.domain.ids import notification_of, public_id
from notifyq.domain.outcome import InDoubt, Outcome, Refusal, Refused
from notifyq.store.db import Conn
from tests.cli.conftest import Work
from tests.store import helpers as h

ADDRESS, CONTENT = Refused(Refusal.ADDRESS, "21614"), Refused(Refusal.CONTENT, "21610")
REASON = ("--reason", "the number is back")


@pytest.fixture
def run(command: Callable[..., Result]) -> Callable[..., Result]:
    return partial(command, "dlq")


@pytest.fixture
def dead(plant: Callable[[Work], Any]) -> list[str]:
    """Two with a bad number, one with a bad text, one unknown."""

    async def make(conn: Conn) -> list[UUID]:
        shop = await h.open_shop(conn, "acme")
        asks = [h.make_ask(shop, to=f"+1415555011{n}") for n in range(4)]
        ready = await h.begun(conn, shop, *asks)
        outcomes: list[Outcome] = [ADDRESS, ADDRESS, CONTENT, InDoubt("cut")]
        await h.settled(conn, h.post_of(shop), *zip(ready, outcomes, strict=True))
        await do(conn, "UPDATE timer SET due = now() - interval '1 s'")
        await h.swept(conn)
        return [one.due.delivery_id for one in ready]

    return [public_id("dlv", 0, at) for at in plant(make)]


async def do(conn: Conn, *texts: str) -> None:
    for text in texts:
        await conn.execute(text.encode())
    await conn.commit()


def told(result: Result, code: int = 0) -> list[dict[str, Any]]:
    assert result.exit_code == code, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def rows(plant: Callable[[Work], Any], text: Any) -> Any:
    return plant(lambda conn: h.all_rows(conn, text))


def test_they_are_counted_by_cause(run: Callable[..., Result], dead: list[str]) -> None:
    found = told(run("list", "--json"))
    assert [(row["cause"], row["count"], row["past_dedupe"]) for row in found] == [
        ("outcome_unknown", 1, 0),
        ("refused_address", 2, 0),
        ("refused_content", 1, 0),
    ]
    assert all(row["oldest"] <= row["newest"] for row in found)
    text = run("list").stdout
    assert "refused_address" in text
    narrowed = told(run("list", "--json", "--cause", "refused_content", "--tenant", "acme"))
    assert [row["count"] for row in narrowed] == [1]
    assert told(run("list", "--json", "--older-than", "1h")) == []
    assert run("list", "--tenant", "nobody").stdout == "no dead letters\n"


def test_one_by_one_they_have_their_names(run: Callable[..., Result], dead: list[str]) -> None:
    assert [row["id"] for row in told(run("list", "--each", "--json"))] == dead
    assert [row["id"] for row in told(run("list", "--each", "--json", "--limit", "1"))] == dead[:1]
    assert dead[0] in run("list", "--each").stdout


def test_one_is_shown_with_what_was_tried_and_what_a_redrive_would_say(
    run: Callable[..., Result], dead: list[str]
) -> None:
    (found,) = told(run("show", dead[0], "--json"))
    assert (found["cause"], found["detail"], found["state"]) == ("refused_address", "21614", "dead")
    assert found["redrive"] == {"result": "would_redrive", "refused": None, "why": None}
    assert [one["outcome"] for one in found["attempts"]] == ["refused"]
    (unknown,) = told(run("show", dead[3], "--json"))
    assert unknown["redrive"]["refused"] == "outcome_unknown"
    text = run("show", dead[3]).stdout
    assert "notifyq doubt resolve" in text
    assert "in_doubt" in text


def test_a_dry_run_changes_nothing_and_says_what_a_run_would(
    run: Callable[..., Result], dead: list[str], plant: Callable[[Work], Any]
) -> None:
    first = "(SELECT delivery_id FROM dead_letter ORDER BY 1 LIMIT 1)"
    expired = f"UPDATE delivery SET expires_at = now() WHERE id = {first}"
    plant(lambda conn: do(conn, expired))
    before = plant(h.everything)
    dry = run("redrive", "--tenant", "acme", "--dry-run", "--json")
    assert plant(h.everything) == before
    found = told(dry)
    assert [(row["id"], row["result"], row["refused"]) for row in found] == [
        (dead[0], "refused", "expired"),
        (dead[1], "would_redrive", None),
        (dead[2], "would_redrive", None),
    ]
    assert "1 outcome_unknown are in no redrive: `notifyq doubt list`" in dry.stderr
    summary = run("redrive", "--tenant", "acme", "--dry-run").stdout
    assert "expires_at has passed" in summary
    assert plant(h.everything) == before
    wet = told(run("redrive", "--tenant", "acme", *REASON, "--json"))
    assert [(row["id"], row["result"]) for row in wet] == [
        (dead[0], "refused"),
        (dead[1], "redriven"),
        (dead[2], "redriven"),
    ]


def test_twice_is_once_and_who_did_it_is_kept(
    run: Callable[..., Result], dead: list[str], plant: Callable[[Work], Any]
) -> None:
    (first,) = told(run("redrive", dead[0], *REASON, "--json"))
    assert (first["result"], first["cause"]) == ("redriven", "refused_address")
    before = plant(h.everything)
    (second,) = told(run("redrive", dead[0], *REASON, "--json"))
    assert (second["result"], second["refused"]) == ("refused", "nothing_to_redrive")
    assert plant(h.everything) == before
    assert rows(plant, "SELECT kind, actor, reason FROM intervention") == [
        ("redrive", "jo", "the number is back")
    ]


def test_past_dedupe_until_it_takes_an_override_one_by_one(
    run: Callable[..., Result], dead: list[str], plant: Callable[[Work], Any]
) -> None:
    plant(lambda conn: do(conn, "UPDATE dead_letter SET dedupe_until = now()"))
    assert told(run("list", "--json"))[1]["past_dedupe"] == 2
    (refused,) = told(run("redrive", dead[0], *REASON, "--json"), code=1)
    assert refused["refused"] == "past_dedupe"
    assert "--past-dedupe" in refused["why"]
    bulk = run("redrive", "--cause", "refused_address", "--past-dedupe", *REASON)
    assert (bulk.exit_code, "one by one" in bulk.stderr) == (2, True)
    assert run("redrive", dead[0], "--past-dedupe", *REASON).exit_code == 0
    assert rows(plant, "SELECT kind FROM intervention") == [("redrive_past_dedupe",)]


def test_an_unknown_one_is_in_no_redrive(
    run: Callable[..., Result], dead: list[str], plant: Callable[[Work], Any]
) -> None:
    before = plant(h.everything)
    result = run("redrive", "--cause", "outcome_unknown", *REASON)
    assert (result.exit_code, "doubt list" in result.stderr) == (2, True)
    (row,) = told(run("redrive", dead[3], *REASON, "--json"), code=1)
    assert row["refused"] == "outcome_unknown"
    assert plant(h.everything) == before


def test_the_rate_spreads_and_must_end_in_time(
    run: Callable[..., Result], dead: list[str], plant: Callable[[Work], Any]
) -> None:
    assert run("redrive", "--tenant", "acme", "--rate", "2", *REASON).exit_code == 0
    text = "SELECT extract(epoch FROM max(due) - min(due))::float8 BETWEEN 0.9 AND 1.5 FROM job"
    assert rows(plant, text) == [(True,)]
    # A day has 86,400 s: at one in 100 s, 865 end in time and 866 do not.
    assert (
        run("redrive", "--tenant", "x", "--rate", "0.01", "--limit", "865", *REASON).exit_code == 0
    )
    late = run("redrive", "--tenant", "x", "--rate", "0.01", "--limit", "866", *REASON)
    assert (late.exit_code, "redrive_run_days = 1" in late.stderr) == (2, True)


def test_what_is_discarded_is_gone_from_the_list_and_noted(
    run: Callable[..., Result], dead: list[str], plant: Callable[[Work], Any]
) -> None:
    before = plant(h.everything)
    dry = told(run("discard", "--cause", "refused_address", "--dry-run", "--json"))
    assert [(row["id"], row["result"]) for row in dry] == [
        (dead[0], "would_discard"), (dead[1], "would_discard"),
    ]  # fmt: skip
    assert plant(h.everything) == before
    wet = told(run("discard", "--cause", "refused_address", *REASON, "--json"))
    assert [(row["id"], row["result"]) for row in wet] == [
        (dead[0], "discarded"), (dead[1], "discarded"),
    ]  # fmt: skip
    assert run("discard", dead[0], *REASON).stdout == "nothing to discard\n"
    # Everything else of acme's, but no doubt; that goes by its name.
    assert [row["id"] for row in told(run("discard", "--tenant", "acme", *REASON, "--json"))] == [
        dead[2]
    ]
    assert run("discard", dead[3], *REASON).exit_code == 0
    assert rows(plant, "SELECT count(*) FROM dead_letter") == [(0,)]
    assert rows(plant, "SELECT DISTINCT kind, actor, reason FROM intervention") == [
        ("discard", "jo", "the number is back")
    ]
    assert rows(plant, "SELECT state::text, count(*) FROM delivery GROUP BY 1 ORDER BY 1") == [
        ("dead", 3),
        ("unknown", 1),
    ]


def test_it_is_in_the_timeline_with_who_and_why(
    run: Callable[..., Result], dead: list[str], database_url: str
) -> None:
    assert run("redrive", dead[0], *REASON).exit_code == 0
    environ = {"NOTIFYQ_DATABASE_URL": database_url}
    result = CliRunner().invoke(main, ["show", dead[0], "--json"], env=environ)
    (entry,) = [e for e in json.loads(result.stdout)[0]["timeline"] if e.get("kind") == "redrive"]
    assert (entry["event"], entry["actor"], entry["reason"]) == (
        "delivery.redriven", "jo", "the number is back",
    )  # fmt: skip
    assert entry["evidence"].startswith("refused_address 21614 since")
    text = CliRunner().invoke(main, ["show", dead[0]], env=environ).stdout
    assert "delivery.redriven" in text
    assert "the number is back" in text


MISUSED = {
    "nothing named": (("redrive", *REASON), "--cause"),
    "both": (("redrive", "dlv_x", "--cause", "undelivered", *REASON), "does not go with"),
    "no reason": (("redrive", "--tenant", "acme"), "--reason: is required"),
    "empty reason": (("redrive", "--tenant", "acme", "--reason", " "), "say something"),
    "long reason": (("discard", "--tenant", "acme", "--reason", "x" * 501), "at most 500"),
    "steering": (("discard", "--tenant", "acme", "--reason", "\x1b[2J"), "printable"),
    "no id": (("redrive", "SM1", *REASON), "names no delivery"),
    "cause": (("list", "--cause", "weather"), "weather"),
    "duration": (("list", "--older-than", "2"), "like 2h"),
    "no duration": (("list", "--older-than", "0h"), "like 2h"),
    "rate": (("redrive", "--tenant", "a", "--rate", "0", *REASON), "0.01"),
    "fast": (("redrive", "--tenant", "a", "--rate", "1001", *REASON), "1000"),
    "limit": (("list", "--limit", "0"), "1<=x<=100000"),
    "far": (("list", "--limit", "100001"), "1<=x<=100000"),
}


@pytest.mark.parametrize("name", MISUSED)
def test_what_cannot_be_meant_is_misused(run: Callable[..., Result], name: str) -> None:
    arguments, says = MISUSED[name]
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert result.stdout == ""


def test_a_notification_is_not_a_delivery(run: Callable[..., Result], dead: list[str]) -> None:
    notification = public_id("ntf", 0, notification_of(UUID(int=1 << 100 | 1)))
    result = run("show", notification)
    assert (result.exit_code, "it names a notification" in result.stderr) == (2, True)


def test_what_is_no_dead_letter_is_said(run: Callable[..., Result], dead: list[str]) -> None:
    missing = public_id("dlv", 0, UUID(int=1 << 100 | 1))
    result = run("show", missing)
    assert (result.exit_code, "there is no dead letter" in result.stderr) == (1, True)
    (row,) = told(run("redrive", missing, *REASON, "--json"))
    assert row["refused"] == "nothing_to_redrive"
