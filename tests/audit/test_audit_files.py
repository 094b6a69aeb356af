"""The audits: silent over a house where everything happened that may, loud over each planted fault.

They run as people run them: by psql, as the role that may read and nothing else.
"""

import asyncio
import csv
import itertools
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pytest_postgresql.janitor import DatabaseJanitor

from notifyq import migrate
from notifyq.domain.ids import notification_of
from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.embedded import find_binaries
from notifyq.store import catalog, db
from tests.conftest import _url as url_of
from tests.store import helpers as h

AUDITS = sorted((migrate.files("sql") / "audit").glob("*.sql"))
LOOKUPS = sorted((migrate.files("sql") / "lookup").glob("*.sql"))
DELIVERED, STOPPED, WAITING = (f"+1415555017{n}" for n in range(3))
_numbers = itertools.count(1)


def psql(url: str, file: Path, **variables: str) -> list[dict[str, str]]:
    """Run a file as the audit role; return its rows by column."""
    given = [f"--set={name}={value}" for name, value in variables.items()]
    command = [str(find_binaries() / "psql"), url, "-X", "--csv", "-v", "ON_ERROR_STOP=1", *given]
    done = subprocess.run(
        [*command, "-f", str(file)],
        env=os.environ | {"PGOPTIONS": "-c role=notifyq_audit -c default_transaction_read_only=on"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    names, *rows = csv.reader(done.stdout.splitlines())
    return [dict(zip(names, row, strict=False)) for row in rows]


@pytest.fixture(scope="module")
def lived_in(server: dict[str, Any], template: str) -> Iterator[str]:
    """The name of a database in which everything happened that may; it is only cloned."""
    name = f"notifyq_{os.getpid()}_lived_in"
    janitor = DatabaseJanitor(dbname=name, template_dbname=template, as_template=True, **server)
    with janitor:
        janitor.load(lambda **where: asyncio.run(_live(url_of(**where))))
        yield name


@pytest.fixture
def house(server: dict[str, Any], lived_in: str) -> Iterator[str]:
    """A clone of it, to plant a fault in."""
    name = f"{lived_in}_{next(_numbers)}"
    with DatabaseJanitor(dbname=name, template_dbname=lived_in, **server):
        yield url_of(dbname=name, **server)


async def _live(url: str) -> None:
    async with await db.connect(url) as conn:
        await catalog.make_roles(conn)
        shop = await h.open_shop(conn, "acme")
        # An opt-out after a send, then one more message, which is suppressed.
        await h.begun(conn, shop, h.make_ask(shop, to=STOPPED))
        await h.opt_out(conn, shop, STOPPED)
        await h.accepted(conn, h.make_ask(shop, to=STOPPED))
        assert not (await h.begin(conn, h.post_of(shop))).ready
        await h.begun(conn, shop, h.make_ask(shop), lease_s=-1)
        await _end_in_every_way(conn, shop)
        # Now the lease has run out, and of two windows one is over.
        await h.swept(conn)
        # One not before tomorrow, and one that waits for a worker.
        tomorrow = h.database_now() + timedelta(days=1)
        held = h.make_ask(shop, not_before=tomorrow, expires_at=tomorrow + timedelta(hours=1))
        await h.accepted(conn, held)
        await h.accepted(conn, h.make_ask(shop, to=WAITING))


async def _end_in_every_way(conn: db.Conn, shop: h.Shop) -> None:
    outcomes: list[Outcome] = [
        Accepted("SM1"),
        Accepted("SM2"),
        Accepted("SM3"),
        Refused(Refusal.ADDRESS, "21614"),
        InDoubt("cut"),
        InDoubt("cut again"),
        Throttled("429"),
        Unavailable("500"),
        NotSent("no route"),
    ]
    asks = [h.make_ask(shop, to=DELIVERED, body=f"{n}") for n, _ in enumerate(outcomes)]
    ready = await h.begun(conn, shop, *asks)
    await h.settled(conn, h.post_of(shop), *zip(ready, outcomes, strict=True))
    for number, rank in ((0, RANK_DELIVERED), (1, RANK_UNDELIVERED)):
        found = ready[number].due.delivery_id
        await h.told(conn, h.receipt_for(found, 1, rank, provider_id=f"SM{number + 1}"))
    over = "UPDATE timer SET due = now() - interval '1 s' WHERE delivery_id = %s"
    await conn.execute(over, [ready[5].due.delivery_id])
    await conn.commit()


def test_every_file_says_its_question_and_what_to_do() -> None:
    assert len(AUDITS) >= 7
    assert len(LOOKUPS) >= 5
    for file in [*AUDITS, *LOOKUPS]:
        head, _, statement = file.read_text().partition("\n\n")
        for word in ("-- Question ", "-- Parameters ", "-- Cost ", "-- A row: "):
            assert word in head, (file.name, word)
        assert re.search(r"^-- What to do: |^-- No row: |^-- An older ", head, re.MULTILINE)
        assert all(len(line) <= 104 for line in file.read_text().splitlines()), file.name
        tables = re.findall(r"(?:FROM|JOIN)\s+([a-z_.]+)", re.sub("--.*", "", statement))
        named = {table for table in tables if not table.startswith("notifyq.")}
        ctes = set(re.findall(r"(?:WITH|,)\s+(\w+) AS (?:MATERIALIZED )?\(", statement))
        assert named <= {"now", "f.epoch", "e.program"} | ctes, (file.name, named)


def test_the_house_is_lively_and_every_audit_is_silent(house: str) -> None:
    with psycopg.connect(house) as conn:
        states = {row[0] for row in conn.execute("SELECT DISTINCT state FROM notifyq.delivery")}
        outcomes = {row[0] for row in conn.execute("SELECT DISTINCT outcome FROM notifyq.attempt")}
    assert states == {
        "pending", "sent", "delivered", "undelivered", "in_doubt", "unknown", "dead", "suppressed",
    }  # fmt: skip
    assert outcomes == {
        "open", "accepted", "bounced", "in_doubt", "refused", "throttled", "unavailable",
        "not_sent",
    }  # fmt: skip
    for file in AUDITS:
        assert psql(house, file) == [], file.name


def test_every_audit_is_silent_in_an_empty_house(database_url: str) -> None:
    async def roles() -> None:
        async with await db.connect(database_url, autocommit=True) as conn:
            await catalog.make_roles(conn)

    asyncio.run(roles())
    for file in AUDITS:
        assert psql(database_url, file) == [], file.name
    for file in LOOKUPS:
        found = psql(database_url, file, number=DELIVERED)
        assert len(found) == (file.stem == "epoch_history"), file.name


_FORGET = (
    "DELETE FROM notifyq.idempotency_key WHERE notification_id IN"
    " (SELECT (left(delivery_id::text, 32) || '0000')::uuid FROM notifyq.{})"
)
# Which audit finds it, what it calls it, and the fault itself.
FAULTS = {
    "no key": (
        "duplicate_acceptance",
        "no_key",
        "DELETE FROM notifyq.idempotency_key WHERE key_hash ="
        " (SELECT key_hash FROM notifyq.idempotency_key LIMIT 1)",
    ),
    "accepted twice": (
        "duplicate_acceptance",
        "accepted_twice",
        "INSERT INTO notifyq.outbox SELECT cell, tenant_id, (left(id::text, 35) || 'f')::uuid,"
        " about, kind FROM notifyq.outbox WHERE kind = 'notification.accepted' LIMIT 1",
    ),
    "same person": (
        "duplicate_acceptance",
        "same_person",
        "INSERT INTO notifyq.delivery SELECT cell, criticality, tenant_id,"
        " (left(id::text, 35) || '2')::uuid, channel, 'sent', expires_at, not_before, changed_at,"
        " brand, program, address_key, reason FROM notifyq.delivery LIMIT 1",
    ),
    "nothing due": (
        "accepted_unfinished",
        "nothing_due",
        "DELETE FROM notifyq.job WHERE due <= now()",
    ),
    "past expiry": (
        "accepted_unfinished",
        "past_expiry",
        "UPDATE notifyq.delivery SET expires_at = now() - interval '6 min' WHERE id IN"
        " (SELECT delivery_id FROM notifyq.job)",
    ),
    "lease over": (
        "accepted_unfinished",
        "lease_over",
        "UPDATE notifyq.attempt SET send_by = now() - interval '6 min' WHERE outcome = 'open'",
    ),
    "no timer": ("accepted_unfinished", "no_timer", "DELETE FROM notifyq.timer"),
    "window over": (
        "accepted_unfinished",
        "window_over",
        "UPDATE notifyq.timer SET due = now() - interval '6 min'",
    ),
    "no delivery": (
        "accepted_unfinished",
        "no_delivery",
        "DELETE FROM notifyq.delivery WHERE state = 'delivered'",
    ),
    "key unfinished": (
        "accepted_unfinished",
        "key_unfinished",
        "INSERT INTO notifyq.idempotency_key SELECT cell, tenant_id, 'other', key_hash,"
        " fingerprint, 'started', gen_random_uuid(), '0198c0de-0000-7000-8000-000000000000'"
        " FROM notifyq.idempotency_key LIMIT 1",
    ),
    "a request half written": (
        "unfinished_key",
        "",
        "INSERT INTO notifyq.unfinished_key (cell, notification_id, tenant_id, operation, key_hash,"
        " claimed_until, tries, trouble, ask) VALUES (0, '0198c0de-0000-7000-8000-000000000000', 1,"
        " 'notify', 'x', now(), 3, 'DataError 22P05', 'x')",
    ),
    "future epoch": (
        "attempt_without_epoch",
        "from_future",
        "UPDATE notifyq.attempt SET epoch = 99 WHERE outcome = 'open'",
    ),
    "stale epoch": (
        "attempt_without_epoch",
        "stale",
        "UPDATE notifyq.fence SET epoch = 2, changed_at = now() - interval '2 min'",
    ),
    "no fence": ("attempt_without_epoch", "no_fence", "DELETE FROM notifyq.fence"),
    "orphan job": (
        "job_without_delivery",
        "no_delivery",
        "INSERT INTO notifyq.job VALUES (0, 1, 1, now(), gen_random_uuid(), 'sms', 0, 0)",
    ),
    "job of a delivery at rest": (
        "job_without_delivery",
        "not_pending",
        "INSERT INTO notifyq.job SELECT cell, 1, 1, now(), id, 'sms', 1, 1 FROM notifyq.delivery"
        " WHERE state = 'delivered'",
    ),
    "job of another channel": (
        "job_without_delivery",
        "other_channel",
        "UPDATE notifyq.job SET channel = 'email'",
    ),
    "job beside an open attempt": (
        "job_without_delivery",
        "live_attempt",
        "INSERT INTO notifyq.job SELECT cell, 1, lane, now(), delivery_id, 'sms', 1, 1"
        " FROM notifyq.attempt WHERE outcome = 'open'",
    ),
    "begun though it read the block": (
        "sent_after_opt_out",
        "read_blocked",
        "UPDATE notifyq.attempt SET consent_revision = 1 WHERE delivery_id IN (SELECT d.id FROM"
        " notifyq.delivery d JOIN notifyq.consent_event e USING (address_key))",
    ),
    "begun long after the opt-out": (
        "sent_after_opt_out",
        "read_stale",
        h.LEDGER_OPEN + "UPDATE notifyq.consent_event SET at = at - interval '2 min'",
    ),
    "freed behind the ledger's back": (
        "consent_row_differs",
        "blocked",
        "UPDATE notifyq.consent SET blocked = false WHERE blocked",
    ),
    "a program blocked without a word": (
        "consent_row_differs",
        "programs",
        "UPDATE notifyq.consent SET programs = '{codes}' WHERE blocked",
    ),
    "blocked without a word": (
        "consent_row_differs",
        "no_event",
        "UPDATE notifyq.consent SET blocked = true WHERE revision = 0",
    ),
    "changed without an event": (
        "consent_row_differs",
        "no_event",
        "UPDATE notifyq.consent SET revision = revision + 1 WHERE blocked",
    ),
    "an event that is gone": (
        "consent_row_differs",
        "no_event",
        h.LEDGER_OPEN + "DELETE FROM notifyq.consent_event",
    ),
    "a row that is older than the ledger": (
        "consent_row_differs",
        "newer_event",
        "UPDATE notifyq.consent SET revision = 0, blocked = false WHERE blocked",
    ),
    "a ledger without its row": (
        "consent_row_differs",
        "no_row",
        "DELETE FROM notifyq.consent WHERE blocked",
    ),
    "begun after expiry": (
        "begun_after_expiry",
        "",
        "UPDATE notifyq.delivery SET expires_at = (SELECT began_at FROM notifyq.attempt"
        " WHERE delivery_id = id) WHERE state = 'delivered'",
    ),
    "two live attempts": (
        "two_live_attempts",
        "two_live",
        "DROP INDEX notifyq.one_live_attempt; INSERT INTO notifyq.attempt SELECT cell, 2, lane,"
        " delivery_id, epoch, began_at, send_by, consent_revision, outcome, worker, ended_at,"
        " late_at, 'SM9', code FROM notifyq.attempt WHERE outcome = 'accepted' LIMIT 1",
    ),
    "sent by nobody": (
        "illegal_history",
        "no_acceptance",
        "UPDATE notifyq.delivery SET state = 'sent' WHERE reason = 'opted_out'",
    ),
    "undelivered without a bounce": (
        "illegal_history",
        "no_bounce",
        "UPDATE notifyq.attempt SET outcome = 'accepted' WHERE outcome = 'bounced'",
    ),
    "in doubt without a doubt": (
        "illegal_history",
        "no_doubt",
        "UPDATE notifyq.delivery SET state = 'in_doubt' WHERE reason = 'opted_out'",
    ),
    "dead though it was carried out": (
        "illegal_history",
        "carried_out",
        "UPDATE notifyq.delivery SET state = 'dead', reason = 'planted' WHERE state = 'delivered'",
    ),
    "dead beside an attempt that nobody knows of": (
        "illegal_history",
        "carried_out",
        "UPDATE notifyq.attempt SET outcome = 'abandoned' WHERE outcome = 'throttled'; UPDATE"
        " notifyq.delivery SET state = 'dead', reason = 'planted', resend_after_s = 1 WHERE id IN"
        " (SELECT delivery_id FROM notifyq.attempt WHERE outcome = 'abandoned')",
    ),
    "due beside an acceptance": (
        "illegal_history",
        "due_beside_live",
        "UPDATE notifyq.delivery SET state = 'pending' WHERE state = 'delivered'; INSERT INTO"
        " notifyq.job SELECT cell, 1, 1, now(), id, 'sms', 1, 1 FROM notifyq.delivery"
        " WHERE state = 'pending' ON CONFLICT DO NOTHING",
    ),
    "a gap in the numbers": (
        "illegal_history",
        "gap",
        "UPDATE notifyq.attempt SET number = 2 WHERE outcome = 'accepted'",
    ),
    "two attempts at once": (
        "illegal_history",
        "overlap",
        "INSERT INTO notifyq.attempt SELECT cell, 2, lane, delivery_id, epoch,"
        " began_at - interval '1 s', send_by, consent_revision, 'not_sent', worker, now(), NULL,"
        " NULL, 'planted' FROM notifyq.attempt WHERE outcome = 'throttled'",
    ),
    "given up though never twice": (
        "illegal_history",
        "abandoned",
        "UPDATE notifyq.attempt SET outcome = 'abandoned' WHERE outcome = 'throttled'",
    ),
    "no notification": (
        "accepted_without_notification",
        "no_notification",
        "DELETE FROM notifyq.notification WHERE id IN"
        " (SELECT id FROM notifyq.notification LIMIT 1)",
    ),
    "an answer without a key": (
        "accepted_without_notification",
        "no_answer_key",
        "DELETE FROM notifyq.idempotency_key WHERE key_hash ="
        " (SELECT key_hash FROM notifyq.idempotency_key LIMIT 1)",
    ),
    "due without a text": (
        "accepted_without_notification",
        "no_content",
        "DELETE FROM notifyq.content WHERE delivery_id IN (SELECT delivery_id FROM notifyq.job)",
    ),
    "dead letter without a mark": (
        "retention_order",
        "dead_letter",
        _FORGET.format("dead_letter"),
    ),
    "job without a mark": ("retention_order", "job", _FORGET.format("job")),
    "doubt without a mark": ("retention_order", "doubt", _FORGET.format("timer")),
    "unfinished without a mark": (
        "retention_order",
        "unfinished",
        "INSERT INTO notifyq.unfinished_key (cell, notification_id, tenant_id, operation, key_hash,"
        " claimed_until, ask) VALUES (0, gen_random_uuid(), 1, 'notify', '', now(), '')",
    ),
    "dead letter without a text": (
        "retention_order",
        "content",
        "DELETE FROM notifyq.content WHERE delivery_id IN"
        " (SELECT delivery_id FROM notifyq.dead_letter)",
    ),
    "accepted late beside another": (
        "two_live_attempts",
        "late",
        "INSERT INTO notifyq.attempt SELECT cell, 2, lane, delivery_id, epoch, began_at, send_by,"
        " consent_revision, 'refused', worker, now(), now(), 'SM9', 'late' FROM notifyq.attempt"
        " WHERE outcome = 'accepted' LIMIT 1",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_by_its_audit(house: str, name: str) -> None:
    audit, why, fault = FAULTS[name]
    with psycopg.connect(house, autocommit=True) as conn:
        conn.execute(fault.encode())
    found = psql(house, migrate.files("sql") / "audit" / f"{audit}.sql")
    assert found
    assert {row.get("why", row.get("proof", "")) for row in found} == {why}


def test_every_audit_has_a_planted_fault() -> None:
    assert {file.stem for file in AUDITS} == {audit for audit, _, _ in FAULTS.values()}


@pytest.mark.parametrize("margin_s", [-55, 55])
def test_near_the_opt_out_rows_prove_nothing_and_none_is_shown(house: str, margin_s: int) -> None:
    """An attempt may have had the lock first although it is stamped a little later."""
    with psycopg.connect(house, autocommit=True) as conn:
        conn.execute(h.LEDGER_OPEN)
        conn.execute("UPDATE notifyq.consent_event SET at = at - make_interval(secs => %s)",
                     [margin_s])  # fmt: skip
    assert psql(house, migrate.files("sql") / "audit" / "sent_after_opt_out.sql") == []


Rows = Callable[..., list[dict[str, str]]]


@pytest.fixture
def lookup(house: str) -> Rows:
    folder = migrate.files("sql") / "lookup"
    return lambda name, **variables: psql(house, folder / f"{name}.sql", **variables)


def test_the_status_of_a_number_comes_with_its_evidence(lookup: Rows) -> None:
    (row,) = lookup("opt_out_status", number=STOPPED)
    assert (row["brand"], row["blocked"], row["event"], row["reason"]) == (
        "acme", "t", "opt_out", "STOP",
    )  # fmt: skip
    (row,) = lookup("opt_out_status", number=DELIVERED)
    assert (row["blocked"], row["event"]) == ("f", "")
    assert lookup("opt_out_status", number="+14155550199") == []


def test_what_was_sent_to_a_number_is_every_attempt_newest_first(lookup: Rows) -> None:
    newest, oldest = lookup("sent_to_number", number=STOPPED)
    assert (newest["state"], newest["reason"], newest["attempt"]) == ("suppressed", "opted_out", "")
    assert (oldest["tenant"], oldest["category"], oldest["outcome"]) == (
        "acme", "order.shipped", "open",
    )  # fmt: skip
    assert len(lookup("sent_to_number", number=DELIVERED)) == 9


def test_what_is_in_doubt_comes_with_its_window(lookup: Rows) -> None:
    found = lookup("in_doubt")
    assert sorted((row["state"], row["code"]) for row in found) == [
        ("in_doubt", "cut"),
        ("in_doubt", "lease_expired"),
        ("unknown", "cut again"),
    ]
    assert [bool(row["window_closes"]) for row in found] == [
        row["state"] == "in_doubt" for row in found
    ]


def test_epochs_are_told_with_what_began_at_them(lookup: Rows, house: str) -> None:
    with psycopg.connect(house, autocommit=True) as conn:
        conn.execute("UPDATE notifyq.fence SET epoch = 2, reason = 'drill', changed_at = now()")
    newest, oldest = lookup("epoch_history")
    assert (newest["epoch"], newest["is_now"], newest["reason"], newest["attempts"]) == (
        "2", "t", "drill", "0",
    )  # fmt: skip
    assert (oldest["epoch"], oldest["is_now"], oldest["attempts"]) == ("1", "f", "11")


def test_a_lane_tells_what_waits_and_how_the_last_hour_ended(lookup: Rows) -> None:
    (row,) = lookup("lane_health")
    counts = {name: row[name] for name in row if name.endswith("_1h")}
    assert counts == {
        "accepted_1h": "3", "refused_1h": "1", "throttled_1h": "1", "unavailable_1h": "1",
        "other_1h": "1",
    }  # fmt: skip
    assert (row["open"], row["in_doubt"], row["workers"]) == ("1", "3", "0")
    assert int(row["due"]) >= 1
    assert int(row["later"]) >= 1


def test_the_ids_in_rows_are_those_of_the_notification(house: str) -> None:
    """duplicate_acceptance makes a notification's id from a delivery's, as domain/ids.py does."""
    cause = FAULTS["same person"][2]
    with psycopg.connect(house, autocommit=True) as conn:
        conn.execute(cause.encode())
        known = {row[0] for row in conn.execute("SELECT id FROM notifyq.notification")}
    (row,) = psql(house, migrate.files("sql") / "audit" / "duplicate_acceptance.sql")
    assert UUID(row["notification"]) in known
    assert notification_of(UUID(row["notification"])) == UUID(row["notification"])
