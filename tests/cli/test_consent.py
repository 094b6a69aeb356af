"""consent: the history, the pack of evidence, and texts that a person reads."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result

from notifyq.domain.consent import Kind, Source
from notifyq.domain.ids import public_id
from notifyq.domain.model import Channel
from notifyq.domain.outcome import Accepted
from notifyq.domain.terms import Stamp, Terms
from notifyq.store import db, ledger
from notifyq.store.db import Conn
from tests.cli.conftest import Work
from tests.store import helpers as h

NUMBER = h.PHONE


@pytest.fixture
def run(command: Callable[..., Result]) -> Callable[..., Result]:
    return partial(command, "consent")


async def says(
    conn: Conn, kind: Kind, seconds: float, *, text: str = "STOP", brand: str = "acme",
    source: Source = Source.SMS,
) -> UUID:  # fmt: skip
    event_id = h.new_id()

    async def work(conn: Conn) -> None:
        who = ledger.Person(brand, Channel.SMS, await ledger.address_key(conn, NUMBER))
        at = h.database_now() - timedelta(seconds=seconds)
        evidence = {"text": text, "provider_id": "SM9", "to": "+14155550100"}
        entry = ledger.Entry(kind, source, "provider:twilio", "a text: word", at, None, evidence)
        await ledger.note(conn, who, entry, cell=0, event_id=event_id, always=True)

    await db.transact(conn, work)
    return event_id


@pytest.fixture
def lived(plant: Callable[[Work], Any]) -> list[UUID]:
    """Sent, stopped, suppressed, started, sent again; return the deliveries in that order."""

    async def live(conn: Conn) -> list[UUID]:
        shop = await h.open_shop(conn, "acme")
        ask = h.make_ask(shop)
        (part,) = ask.parts
        terms = Terms(
            category="order.shipped", is_marketing=False, stamp=Stamp("order-shipped", 3, "en-US")
        )
        stamped = replace(ask, parts=(replace(part, terms=terms),))
        (first,) = await h.begun(conn, shop, stamped)
        await h.settled(conn, h.post_of(shop), (first, Accepted("SM1")))
        await says(conn, Kind.OPT_OUT, 60, text="Stop. \x1b[31mNow")
        (second,) = await h.accepted(conn, h.make_ask(shop, body="two"))
        await h.begin(conn, h.post_of(shop))
        await says(conn, Kind.LIFT, 30, text="START")
        (third,) = await h.begun(conn, shop, h.make_ask(shop, body="three"))
        return [first.due.delivery_id, second, third.due.delivery_id]

    found: list[UUID] = plant(live)
    return found


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_history_is_every_event_the_oldest_first(
    run: Callable[..., Result], lived: list[UUID]
) -> None:
    stop, start = told(run("history", NUMBER, "--json"))
    assert (stop["kind"], start["kind"]) == ("opt_out", "lift")
    assert (stop["brand"], stop["channel"], stop["revision"]) == ("acme", "sms", 1)
    assert stop["evidence"]["text"] == "Stop. \x1b[31mNow"
    assert (stop["blocked_after"], start["blocked_after"]) == (True, False)
    text = run("history", NUMBER).stdout.splitlines()
    assert ["opt_out by provider:twilio" in text[0], "lift by provider" in text[1]] == [True, True]
    assert run("history", "+14155550199").stdout == "nothing was ever said about it\n"
    assert told(run("history", NUMBER, "--test", "--json")) == []
    assert told(run("history", NUMBER, "--brand", "beta", "--json")) == []


def test_the_pack_has_every_send_below_the_word_that_it_had_read(
    run: Callable[..., Result], lived: list[UUID]
) -> None:
    (pack,) = told(run("evidence", NUMBER, "--json"))
    names = [public_id("dlv", 0, one) for one in lived]
    (before,) = pack["sends_before_any_word"]
    stop, start = pack["events"]
    assert before["delivery"] == names[0]
    assert (before["category"], before["program"]) == ("order.shipped", "default")
    assert (before["template"], before["template_version"], before["locale"]) == (
        "order-shipped", 3, "en-US",
    )  # fmt: skip
    attempt = before["attempt"]
    assert (attempt["outcome"], attempt["provider_id"], attempt["provider"]) == (
        "accepted", "SM1", "twilio",
    )  # fmt: skip
    assert attempt["began_at"] <= attempt["ended_at"]
    assert stop["sends_after"] == []
    assert [one["delivery"] for one in start["sends_after"]] == [names[2]]
    (never,) = pack["never_tried"]
    assert (never["delivery"], never["state"], never["reason"]) == (
        names[1], "suppressed", "opted_out",
    )  # fmt: skip
    assert (pack["blocked"], pack["consented"], pack["revision"]) == (False, False, 2)
    assert NUMBER not in json.dumps(pack)


def test_the_pack_reads_as_a_story_and_steers_no_terminal(
    run: Callable[..., Result], lived: list[UUID]
) -> None:
    result = run("evidence", NUMBER)
    assert result.exit_code == 0
    first, second, third = (public_id("dlv", 0, one) for one in lived)
    told = result.stdout
    assert told.startswith(f"{NUMBER}, acme (sms): not blocked\n")
    places = [told.index(one) for one in (first, "1. ", "2. ", third, "never tried", second)]
    assert places == sorted(places)
    assert "order-shipped v3 en-US" in told
    assert "accepted twilio SM1; now sent" in told
    assert "suppressed, opted_out" in told
    assert "text: Stop. \\x1b[31mNow" in told
    assert "\x1b" not in told
    assert run("evidence", "+14155550199").stdout.startswith("nothing known")


def test_the_pack_changes_and_locks_nothing(
    run: Callable[..., Result], lived: list[UUID], plant: Callable[[Work], Any]
) -> None:
    before = plant(h.everything)
    run("evidence", NUMBER)
    run("history", NUMBER)
    run("review", "list")
    assert plant(h.everything) == before


# ---------------------------------------------------------------------------------- review


@pytest.fixture
def held(plant: Callable[[Work], Any]) -> UUID:
    async def make(conn: Conn) -> UUID:
        await h.open_shop(conn, "acme")
        await says(conn, Kind.HOLD, 90, brand="beta", text="don't stop")
        await says(conn, Kind.HOLD, 95, brand="acme:test", text="don't stop")
        return await says(conn, Kind.HOLD, 60, text="stop it \x1b]0;")

    found: UUID = plant(make)
    return found


def test_what_waits_is_listed_with_what_it_says(run: Callable[..., Result], held: UUID) -> None:
    rows = told(run("review", "list", "--json"))
    assert [row["brand"] for row in rows] == ["beta", "acme"]
    (row,) = told(run("review", "list", "--brand", "acme", "--json"))
    assert (row["id"], row["text"], row["to"]) == (str(held), "stop it \x1b]0;", "+14155550100")
    assert NUMBER not in json.dumps(rows)
    (test,) = told(run("review", "list", "--test", "--json"))
    assert test["brand"] == "acme, test sends"
    text = run("review", "list").stdout
    assert str(held) in text
    assert "\x1b" not in text
    assert len(told(run("review", "list", "--limit", "1", "--json"))) == 1
    assert run("review", "list", "--brand", "none").stdout == "nothing waits to be read\n"


@pytest.mark.parametrize(
    ("verdict", "kind", "now"),
    [("opt-out", "opt_out", "blocked"), ("release", "release", "not bl")],
)
def test_a_text_is_resolved_once_with_who_and_why(
    run: Callable[..., Result], held: UUID, verdict: str, kind: str, now: str
) -> None:
    result = run("review", "resolve", str(held), "--as", verdict, "--reason", "read it twice")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{held}: {verdict}; the brand is {now}")
    last = told(run("history", NUMBER, "--brand", "acme", "--json"))[-1]
    assert (last["kind"], last["actor"], last["reason"]) == (kind, "jo", "read it twice")
    assert last["evidence"]["read"] == str(held)
    again = run("review", "resolve", str(held), "--as", "release", "--reason", "x")
    assert (again.exit_code, "answered already" in again.stderr) == (1, True)
    assert run("review", "list", "--brand", "acme").stdout == "nothing waits to be read\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["00000000-0000-0000-0000-000000000001", "--as", "release", "--reason", "x"], 1),
        (["nothing", "--as", "release", "--reason", "x"], 2),
        (["00000000-0000-0000-0000-000000000001", "--as", "perhaps", "--reason", "x"], 2),
        (["00000000-0000-0000-0000-000000000001", "--as", "release"], 2),
        (["00000000-0000-0000-0000-000000000001", "--as", "release", "--reason", " "], 2),
    ],
)
def test_what_names_no_text_or_says_no_reason_is_refused(
    run: Callable[..., Result], held: UUID, arguments: list[str], code: int
) -> None:
    assert run("review", "resolve", *arguments).exit_code == code
    assert len(told(run("review", "list", "--json"))) == 2
