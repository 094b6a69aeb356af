"""The look-ups of consent, as people run them: by psql, as the role that may read and no more."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from notifyq import migrate
from notifyq.cli import main
from notifyq.domain.consent import Kind, Said, Source, in_force, standing, unread
from notifyq.domain.model import Channel
from notifyq.domain.outcome import Accepted, Outcome, Refusal, Refused
from notifyq.store import catalog, db, ledger
from tests.audit.test_audit_files import psql
from tests.store import helpers as h

FILES = migrate.files("sql") / "lookup"
MAIL = "ann@example.org"
Rows = Callable[..., list[dict[str, str]]]


async def says(
    conn: db.Conn, kind: Kind, seconds: float, source: Source = Source.SMS, *, to: str = h.PHONE,
    channel: Channel = Channel.SMS, brand: str = "acme", program: str | None = None,
    text: str = "STOP, please",
) -> None:  # fmt: skip
    async def work(conn: db.Conn) -> None:
        who = ledger.Person(brand, channel, await ledger.address_key(conn, to))
        at = h.database_now() - timedelta(seconds=seconds)
        evidence = {"text": text, "rule": "word", "to": "+14155550100", "provider_id": "SM9"}
        entry = ledger.Entry(kind, source, "provider:twilio", "a text", at, program, evidence)
        await ledger.note(conn, who, entry, cell=0, event_id=h.new_id(), always=True)

    await db.transact(conn, work)


@pytest.fixture
def lookup(database_url: str) -> Rows:
    async def live() -> None:
        async with await db.connect(database_url) as conn:
            await catalog.make_roles(conn)
            await conn.commit()
            shop = await h.open_shop(conn, "acme")
            (first,) = await h.begun(conn, shop, h.make_ask(shop))
            await h.settled(conn, h.post_of(shop), (first, Accepted("SM1")))
            await says(conn, Kind.OPT_OUT, 60)
            await h.accepted(conn, h.make_ask(shop, body="two"))
            await h.begin(conn, h.post_of(shop))
            await says(conn, Kind.LIFT, 40)
            await h.begun(conn, shop, h.make_ask(shop, body="three"))
            await says(conn, Kind.HOLD, 30, text="don't stop")
            await says(conn, Kind.OPT_OUT, 20, Source.EMAIL, to=MAIL, channel=Channel.EMAIL,
                       program="news")  # fmt: skip

    asyncio.run(live())
    return lambda name, **variables: psql(database_url, Path(FILES / f"{name}.sql"), **variables)


def test_the_status_has_what_counts_and_every_word(lookup: Rows) -> None:
    rows = lookup("opt_out_status", number=h.PHONE)
    assert [row["event"] for row in rows] == ["opt_out", "lift", "hold"]
    assert {(row["blocked"], row["held"], row["consented"]) for row in rows} == {("f", "t", "f")}
    (mail,) = lookup("opt_out_status", number=MAIL)
    assert (mail["channel"], mail["programs"], mail["program"], mail["source"]) == (
        "email", "{news}", "news", "email",
    )  # fmt: skip


def test_the_evidence_has_every_send_below_the_word_that_it_had_read(lookup: Rows) -> None:
    rows = lookup("consent_evidence", number=h.PHONE)
    assert [(row["revision"], row["what"]) for row in rows] == [
        ("0", "send"), ("1", "opt_out"), ("2", "lift"), ("2", "send"), ("3", "hold"),
        ("", "not_sent"),
    ]  # fmt: skip
    sent, stop, _, _, _, never = rows
    assert (sent["outcome"], sent["provider_id"], sent["category"]) == (
        "accepted", "SM1", "order.shipped",
    )  # fmt: skip
    assert json.loads(stop["evidence"])["text"] == "STOP, please"
    assert (stop["source"], stop["blocked"]) == ("sms", "t")
    assert never["reason"] == "suppressed: opted_out"
    assert lookup("consent_evidence", number="+14155550199") == []


def test_a_full_life_reads_the_same_by_the_command_and_by_psql(database_url: str) -> None:
    """Consent, sends, STOP, a refused send, START, sends: each send below the word that it read."""

    async def sends(conn: db.Conn, shop: h.Shop, *outcomes: Outcome | None) -> None:
        asks = [h.make_ask(shop) for _ in outcomes]
        await h.accepted(conn, *asks)
        turn = await h.begin(conn, h.post_of(shop))
        ended = [(one, said) for one, said in zip(turn.ready, outcomes, strict=False) if said]
        await h.settled(conn, h.post_of(shop), *ended)

    async def live() -> None:
        async with await db.connect(database_url) as conn:
            await catalog.make_roles(conn)
            await conn.commit()
            shop = await h.open_shop(conn, "acme")
            await says(conn, Kind.CONSENT, 90, Source.WEB, text="Yes, text me offers.")
            await sends(conn, shop, Accepted("SM1"), Accepted("SM2"))
            await says(conn, Kind.OPT_OUT, 60)
            await sends(conn, shop, None)  # ours: it is never tried
            await says(conn, Kind.LIFT, 30, text="START")
            await sends(conn, shop, Refused(Refusal.OPTED_OUT, "21610"))  # the provider's
            await sends(conn, shop, Accepted("SM3"))

    asyncio.run(live())
    rows = psql(database_url, Path(FILES / "consent_evidence.sql"), number=h.PHONE)
    story = [(row["revision"], row["what"], row["provider_id"] or row["outcome"]) for row in rows]
    assert story == [
        ("1", "consent", ""), ("1", "send", "SM1"), ("1", "send", "SM2"),
        ("2", "opt_out", ""), ("3", "lift", ""), ("3", "send", "refused"), ("3", "send", "SM3"),
        ("", "not_sent", ""),
    ]  # fmt: skip
    assert rows[-1]["reason"] == "suppressed: opted_out"
    environ = {"NOTIFYQ_DATABASE_URL": database_url}
    result = CliRunner().invoke(main, ["consent", "evidence", h.PHONE, "--json"], env=environ)
    assert result.exit_code == 0, result.output
    (pack,) = json.loads(result.stdout)
    assert pack["sends_before_any_word"] == []
    told = []
    for event in pack["events"]:
        told.append((str(event["revision"]), event["kind"], ""))
        for send in event["sends_after"]:
            said = send["attempt"]["provider_id"] or send["attempt"]["outcome"]
            told.append((str(event["revision"]), "send", said))
    told += [("", "not_sent", "") for _ in pack["never_tried"]]
    assert told == story
    words = [json.loads(row["evidence"])["text"] for row in rows if row["evidence"]]
    assert words == [event["evidence"]["text"] for event in pack["events"]]
    assert words == ["Yes, text me offers.", "STOP, please", "START"]


def test_what_waits_to_be_read_comes_with_its_text(lookup: Rows, database_url: str) -> None:
    (row,) = lookup("unread_texts")
    assert (row["text"], row["our_number"], row["provider_id"]) == (
        "don't stop", "+14155550100", "SM9",
    )  # fmt: skip

    async def answer() -> None:
        async with await db.connect(database_url) as conn:
            await says(conn, Kind.OPT_OUT, 10, program="codes")  # answers another program's texts
            assert len(lookup("unread_texts")) == 1
            await says(conn, Kind.RELEASE, 30.5, Source.OPERATOR)  # and one before it, none
            assert len(lookup("unread_texts")) == 1
            await says(conn, Kind.RELEASE, 5, Source.OPERATOR)

    asyncio.run(answer())
    assert lookup("unread_texts") == []


def test_suppressions_are_counted_by_source(lookup: Rows) -> None:
    (row,) = lookup("suppressions_by_source")
    assert (row["brand"], row["channel"], row["program"], row["source"], row["addresses"]) == (
        "acme", "email", "news", "email", "1",
    )  # fmt: skip
    assert row["last_day"] == "1"


def test_what_is_counted_is_what_the_rule_says(database_url: str, lookup: Rows) -> None:
    """The file's own words for `in_force` and `unread` against domain/consent.py, by chance."""
    dice = Random(7)
    now = h.database_now()
    people: dict[str, list[Said]] = {}
    rows = []
    for n in range(400):
        said = [
            Said(
                dice.choice([*Kind]),
                now - timedelta(seconds=dice.choice([1, 3, 6, 8, 60, 100_000])),
                dice.choice([*Source]),
                dice.choice([None, "codes"]),
            )
            for _ in range(dice.randint(1, 6))
        ]
        people[f"{n:032x}"] = said
        rows += [
            (h.new_id(), bytes.fromhex(f"{n:032x}"), revision, one.kind, one.at, one.source,
             one.program)
            for revision, one in enumerate(said, 1)
        ]  # fmt: skip
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(h.LEDGER_OPEN)
        conn.execute("DELETE FROM notifyq.consent_event")
        conn.execute("DELETE FROM notifyq.consent")
        conn.cursor().executemany(
            "INSERT INTO notifyq.consent_event (cell, id, brand, channel, address_key, revision,"
            " kind, actor, reason, happened_at, source, program, evidence)"
            " VALUES (0, %s, 'x', 'sms', %s, %s, %s, 'a', 'r', %s, %s, %s, '{}')",
            rows,
        )
        conn.cursor().executemany(
            "INSERT INTO notifyq.consent (cell, brand, channel, address_key, blocked, revision,"
            " held) VALUES (0, 'x', 'sms', %s, false, 1, %s)",
            [(bytes.fromhex(key), standing(said).held) for key, said in people.items()],
        )
    counted = {
        (row["program"], row["source"], row["kind"]): int(row["addresses"])
        for row in lookup("suppressions_by_source")
    }
    expected: dict[Any, set[str]] = {}
    for key, said in people.items():
        for program in (None, "codes"):
            for stop in in_force(said, program):
                expected.setdefault((program or "", stop.source, stop.kind), set()).add(key)
    assert counted == {about: len(keys) for about, keys in expected.items()}
    unread_ids = {
        str(event_id)
        for event_id, key, _, kind, at, source, program in rows
        if Said(kind, at, source, program) in unread(people[key.hex()])
    }
    assert {row["id"] for row in lookup("unread_texts")} == unread_ids
    assert 10 < len(unread_ids) < sum(row[3] is Kind.HOLD for row in rows)
