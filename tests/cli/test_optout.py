"""Opt-outs by hand: stored once, with evidence, and found again."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from notifyq.cli.optout import optout
from notifyq.domain.consent import Kind, Source
from notifyq.domain.model import Channel
from notifyq.store import db, ledger
from tests.store import helpers as h

NUMBER = "+14155550123"


@pytest.fixture
def run(database_url: str) -> Callable[..., Result]:
    def invoke(*arguments: str, **environ: str) -> Result:
        environ = {"NOTIFYQ_DATABASE_URL": database_url, "NOTIFYQ_ACTOR": "jo"} | environ
        return CliRunner().invoke(optout, arguments, env=environ)

    return invoke


@pytest.fixture
def brand(database_url: str) -> str:
    async def make() -> None:
        async with h.looking(database_url) as conn:
            await h.open_shop(conn, "acme")

    asyncio.run(make())
    return "acme"


def add(
    run: Callable[..., Result], brand: str, phone: str = NUMBER, reason: str = "call"
) -> Result:
    return run("add", phone, "--brand", brand, "--reason", reason)


def checked(run: Callable[..., Result], *more: str) -> list[dict[str, Any]]:
    result = run("check", NUMBER, "--json", *more)
    assert result.exit_code == 0
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_what_is_added_is_blocked_with_who_and_why(run: Callable[..., Result], brand: str) -> None:
    result = add(run, brand, reason="asked by phone")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"blocked {NUMBER} for acme (sms)\n"
    (found,) = checked(run)
    assert (found["brand"], found["channel"], found["blocked"]) == ("acme", "sms", True)
    (event,) = found["history"]
    assert (event["kind"], event["actor"], event["reason"]) == ("opt_out", "jo", "asked by phone")
    text = run("check", NUMBER).stdout
    assert text.startswith("acme (sms): blocked\n")
    assert "opt_out by jo: asked by phone" in text


def test_adding_it_again_changes_nothing_and_says_so(
    run: Callable[..., Result], brand: str
) -> None:
    add(run, brand)
    before = checked(run)
    result = add(run, brand, phone="+1 (415) 555-0123", reason="again")
    assert result.exit_code == 0
    assert result.stdout == f"{NUMBER} for acme (sms) was blocked already\n"
    assert checked(run) == before


def test_a_block_reaches_as_far_as_its_brand(run: Callable[..., Result], brand: str) -> None:
    add(run, brand)
    add(run, "other")
    assert [one["brand"] for one in checked(run)] == ["acme", "other"]
    assert [one["brand"] for one in checked(run, "--brand", "other")] == ["other"]


def test_a_brand_that_nobody_has_is_stored_and_said(run: Callable[..., Result], brand: str) -> None:
    result = add(run, "acmee")
    assert result.exit_code == 0
    assert "no tenant speaks as acmee" in result.stderr
    assert checked(run, "--brand", "acmee")[0]["blocked"]


def test_of_an_unknown_number_nothing_is_known(run: Callable[..., Result]) -> None:
    result = run("check", NUMBER)
    assert result.exit_code == 0
    assert result.stdout.startswith("nothing known")
    assert checked(run) == []


def test_who_was_written_to_and_never_opted_out_is_not_blocked(
    run: Callable[..., Result], database_url: str
) -> None:
    async def sent() -> None:
        async with await db.connect(database_url) as conn:
            shop = await h.open_shop(conn, "acme")
            await h.begun(conn, shop, h.make_ask(shop, to=NUMBER))

    asyncio.run(sent())
    assert run("check", NUMBER).stdout == "acme (sms): not blocked\n"
    assert checked(run)[0]["history"] == []


@pytest.mark.parametrize("phone", ["4155550123", "nobody", "+999", "", "+1415555012\x1b[31m"])
def test_what_is_no_number_is_misused(run: Callable[..., Result], phone: str) -> None:
    for result in (run("check", phone), add(run, "acme", phone=phone)):
        assert result.exit_code == 2
        assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", NUMBER, "--brand", "acme"],
        ["add", NUMBER, "--brand", "acme", "--reason", "  "],
        ["add", NUMBER, "--reason", "call"],
        ["add", NUMBER, "--brand", "acme", "--channel", "pigeon", "--reason", "call"],
    ],
)
def test_a_change_needs_brand_channel_and_reason(
    run: Callable[..., Result], arguments: list[str]
) -> None:
    assert run(*arguments).exit_code == 2
    assert checked(run) == []


def test_a_commit_of_unknown_fate_is_a_failure_that_may_be_repeated(
    run: Callable[..., Result], brand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = db.transact

    async def cut_short(conn: db.Conn, work: Any) -> object:
        await right(conn, work)
        return db.Unknown("the connection broke in the commit")

    monkeypatch.setattr(db, "transact", cut_short)
    result = add(run, brand)
    assert result.exit_code == 1
    assert "not known to be stored" in result.stderr
    assert "run it again" in result.stderr
    monkeypatch.undo()
    assert add(run, brand).exit_code == 0


def test_without_a_database_it_fails_in_one_line(run: Callable[..., Result]) -> None:
    result = run("check", NUMBER, NOTIFYQ_DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert result.exit_code == 1
    assert result.stderr.startswith("notifyq: the database")


# ------------------------------------------------------------------------------ what it reaches


def test_a_program_is_blocked_by_itself(run: Callable[..., Result], brand: str) -> None:
    result = run("add", NUMBER, "--brand", brand, "--program", "codes", "--reason", "call")
    assert result.stdout == f"blocked {NUMBER} for program codes of acme (sms)\n"
    (found,) = checked(run)
    assert (found["blocked"], found["programs"]) == (False, ["codes"])
    assert run("check", NUMBER).stdout.startswith("acme (sms): not blocked; program codes is bl")
    again = run("add", NUMBER, "--brand", brand, "--program", "codes", "--reason", "call")
    assert "was blocked already" in again.stdout
    assert "was blocked" not in add(run, brand).stdout


def test_test_sends_have_blocks_of_their_own(run: Callable[..., Result], brand: str) -> None:
    result = run("add", NUMBER, "--brand", brand, "--test", "--reason", "call")
    assert result.stdout == f"blocked {NUMBER} for acme, test sends (sms)\n"
    assert checked(run) == []
    (found,) = checked(run, "--test")
    assert (found["brand"], found["test"], found["blocked"]) == ("acme", True, True)
    assert run("add", NUMBER, "--brand", "acme:test", "--reason", "x").exit_code == 2


def test_a_mail_address_is_blocked_for_mail(run: Callable[..., Result], brand: str) -> None:
    assert run("add", "Ann@EXAMPLE.org", "--brand", brand, "--reason", "x").exit_code == 0
    assert run("check", "ann@example.org").stdout.startswith("acme (email): blocked\n")


# ------------------------------------------------------------------------------------- lifting


def record(tmp_path: Path, **changes: Any) -> str:
    whole = {
        "wording": "Yes, text me again.", "wording_version": "v3", "medium": "paper",
        "at": "2026-11-22T18:00:00Z", "identity": "Ann Smith",
    }  # fmt: skip
    file = tmp_path / "record.json"
    kept = {name: value for name, value in (whole | changes).items() if value is not None}
    file.write_text(json.dumps(kept))
    return str(file)


def lift(run: Callable[..., Result], file: str, *more: str) -> Result:
    named = ("--brand", "acme", "--consent-evidence", file, "--reason", "letter of Monday")
    return run("lift", NUMBER, *named, *more)


def now_s(seconds: float = 0) -> str:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def said(database_url: str) -> Callable[..., None]:
    """Plants an event of so long ago."""

    def plant(kind: Kind, seconds: float, source: Source) -> None:
        async def work() -> None:
            async with await db.connect(database_url) as conn:

                async def note(conn: db.Conn) -> None:
                    key = await ledger.address_key(conn, NUMBER)
                    who = ledger.Person("acme", Channel.SMS, key)
                    at = h.database_now() - timedelta(seconds=seconds)
                    entry = ledger.Entry(kind, source, "provider:twilio", "a text", at)
                    await ledger.note(conn, who, entry, cell=0, event_id=h.new_id(), always=True)

                await db.transact(conn, note)

        asyncio.run(work())

    return plant


def test_a_lift_needs_evidence_and_keeps_it(
    run: Callable[..., Result], brand: str, said: Callable[..., None], tmp_path: Path
) -> None:
    said(Kind.OPT_OUT, 60, Source.SMS)
    file = record(tmp_path, at=now_s(-30))
    result = lift(run, file)
    assert (result.exit_code, result.stdout) == (0, f"lifted: {NUMBER} for acme (sms)\n")
    (found,) = checked(run)
    assert not found["blocked"]
    assert not found["consented"]
    event = found["history"][-1]
    assert (event["kind"], event["source"], event["actor"]) == ("lift", "operator", "jo")
    assert event["reason"] == "letter of Monday"
    assert event["evidence"]["wording"] == "Yes, text me again."
    assert lift(run, file).stdout == f"{NUMBER} for acme (sms): there was nothing to lift\n"


def test_a_text_is_evidence_when_it_is_said_when_and_who(
    run: Callable[..., Result], brand: str, said: Callable[..., None], tmp_path: Path
) -> None:
    said(Kind.OPT_OUT, 60, Source.SMS)
    file = tmp_path / "letter.txt"
    file.write_text("Please write to me again.\nAnn")
    assert lift(run, str(file)).exit_code == 2
    assert lift(run, str(file), "--at", now_s(-30)).exit_code == 2
    assert "future" in lift(run, str(file), "--at", now_s(3_600), "--identity", "Ann").stderr
    result = lift(run, str(file), "--at", now_s(-30), "--identity", "Ann")
    assert result.stdout.startswith("lifted"), result.output
    evidence = checked(run)[0]["history"][-1]["evidence"]
    assert evidence["wording"] == "Please write to me again.\nAnn"
    assert evidence["wording_version"].startswith("sha256:")
    assert (evidence["identity"], evidence["medium"]) == ("Ann", "paper")


def test_a_lift_is_refused_while_a_provider_blocks_and_by_older_consent(
    run: Callable[..., Result], brand: str, said: Callable[..., None], tmp_path: Path
) -> None:
    said(Kind.OPT_OUT, 60, Source.SMS)
    before = checked(run)
    for changes, says in (
        ({"at": now_s(-90)}, "only consent that is given after it"),
        ({"at": now_s(-30), "identity": None}, "it lacks identity"),
        ({"at": now_s(-30), "medium": "web"}, "it lacks page, ip, user_agent"),
    ):
        result = lift(run, record(tmp_path, **changes))
        assert (result.exit_code, says in result.stderr) == (1, True), result.output
    assert checked(run) == before
    said(Kind.OPT_OUT, 50, Source.PROVIDER)
    result = lift(run, record(tmp_path, at=now_s(-30)))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "must text START" in result.stderr
    assert checked(run)[0]["blocked"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "line 1"),
        (b'{"wording": "x", "medium": "smoke", "at": "now"}', "/medium"),
        (
            b'{"wording": "x", "medium": "web", "at": "2026-11-22T18:00:00Z", "phone": "1"}',
            "/phone",
        ),
        (b"\xff\xfe", "UTF-8"),
        (b"  \n", "1 to 4000 characters"),
        (b"x" * 65_537, "longer than 65536 bytes"),
    ],
)
def test_what_is_no_evidence_is_misused(
    run: Callable[..., Result], brand: str, tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "evidence"
    file.write_bytes(content)
    result = lift(run, str(file))
    assert (result.exit_code, says in result.stderr) == (2, True), result.output
    assert checked(run) == []


def test_a_lift_without_a_file_is_misused(run: Callable[..., Result], tmp_path: Path) -> None:
    assert run("lift", NUMBER, "--brand", "acme", "--reason", "x").exit_code == 2
    assert lift(run, str(tmp_path / "none.json")).exit_code == 2
