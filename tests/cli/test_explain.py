"""explain: every rule with the row that it read, which one decides, and what became of the last."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from notifyq.domain.consent import Kind, Source
from notifyq.domain.model import Channel
from notifyq.domain.policy import RULES
from notifyq.store import db, ledger
from notifyq.store.db import Conn
from tests.cli.conftest import Work
from tests.services import explain_cases as c
from tests.services.explain_cases import ANN, CASES, Case
from tests.store import helpers as h

SETTINGS = """
[categories."order.shipped"]
hours = "recipient"

[categories.weekly]
class = "marketing"
program = "news"
hours = "legal"

[categories.tips]
hours = "recipient"
cap = 2

[categories."login.code"]
class = "otp"
program = "codes"
expires_in_s = 300

[programs.codes]
separate = true
"""


@pytest.fixture
def run(command: Callable[..., Result], tmp_path: Path) -> Callable[..., Result]:
    file = tmp_path / "notifyq.toml"
    file.write_text(SETTINGS)
    return partial(command, "explain", NOTIFYQ_CONFIG=str(file))


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def planted(plant: Callable[[Work], Any], case: Case) -> h.Shop:
    async def work(conn: Conn) -> h.Shop:
        shop = await c.open_shop(conn, case)
        await case.plant(conn, shop)
        return shop

    found: h.Shop = plant(work)
    return found


# ------------------------------------------------------------------------- case by case


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_rule_that_decides_is_told_with_what_it_read(
    run: Callable[..., Result], plant: Callable[[Work], Any], case: Case
) -> None:
    planted(plant, case)
    found = told(run(ANN, case.category.name, "--json"))
    (one,) = found["addresses"]
    assert [rule["rule"] for rule in one["rules"]] == [*RULES]
    assert (one["verdict"], one["rule"], one["reason"]) == (case.verdict, case.rule, case.reason)
    assert (one["until"] is not None) is (case.verdict == "wait")
    text = run(ANN, case.category.name).stdout
    head = f"{ANN}: {case.category.name} of acme, as of 20"
    assert text.startswith(head)
    deciding = [line.split()[1] for line in text.splitlines() if line.startswith("=>")]
    assert deciding == ([case.rule] if case.rule else [])
    if case.rule is None:
        assert f"{case.channel} {one['address']}: it would be sent\n" in text
    else:
        assert f"({case.reason}), by the rule {case.rule}\n" in text
        assert case.read in text


def test_each_rule_is_a_line_with_its_row(
    run: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    planted(plant, CASES["opted out"])
    lines = [
        line.removeprefix("=>").split("  ")
        for line in run(ANN, "order.shipped").stdout.splitlines()
    ]
    rows = {
        cells[0]: cells[1:] for line in lines if (cells := [x.strip() for x in line if x.strip()])
    }
    assert set(RULES) <= set(rows)
    says, row, read = rows["opt_out"]
    assert (says, row) == ("suppress (opted_out)", "consent_event: acme, sms, revision 1")
    assert read.startswith("blocked; the last word: opt_out by sms at 20")
    assert rows["cap"] == ["pass", "settings: category order.shipped", "no cap"]


def test_what_expired_was_sent_and_was_stopped_is_among_the_last(
    run: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    async def live(conn: Conn) -> None:
        shop = await h.open_shop(conn)
        await c.save(conn, shop)
        await h.accepted(conn, c.asking(shop, c.SHIPPED, lifetime_s=-1))
        await h.begin(conn, h.post_of(shop))
        await h.begun(conn, shop, c.asking(shop, c.SHIPPED))
        await c.says(conn, shop, Kind.OPT_OUT)
        await h.accepted(conn, c.asking(shop, c.SHIPPED))
        await h.begin(conn, h.post_of(shop))

    plant(live)
    last = told(run(ANN, "order.shipped", "--json"))["latest"]
    assert [(one["state"], one["reason"], one["began_at"] is None) for one in last] == [
        ("suppressed", "opted_out", True), ("pending", None, False), ("expired", "expired", True),
    ]  # fmt: skip
    text = run(ANN, "order.shipped").stdout
    at = text.index("the last deliveries")
    places = [text.index(one["id"], at) for one in last]
    assert places == sorted(places)
    assert "none" in run(ANN, "weekly").stdout.splitlines()[-1]


def test_as_of_yesterday_gives_yesterdays_answer(
    run: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    async def live(conn: Conn) -> None:
        shop = await h.open_shop(conn)
        await c.save(conn, shop)
        await c.says(conn, shop, Kind.OPT_OUT)
        await conn.execute(h.LEDGER_OPEN)
        earlier = "at - interval '30 hours'"
        await conn.execute(
            f"UPDATE consent_event SET at = {earlier}, happened_at = {earlier}".encode()
        )
        await conn.execute(f"UPDATE recipient_version SET at = {earlier}".encode())
        await conn.commit()
        await c.says(conn, shop, Kind.LIFT, seconds=5)

    plant(live)
    yesterday = h.database_now() - timedelta(days=1)
    shown = {}
    for at in (yesterday, h.database_now()):
        found = told(run(ANN, "order.shipped", "--at", at.isoformat(), "--json"))
        shown[found["addresses"][0]["verdict"]] = found["at"]
        head = run(ANN, "order.shipped", "--at", at.isoformat()).stdout.splitlines()[0]
        assert head.endswith(f"as of {at:%Y-%m-%d %H:%M:%SZ}")
    assert list(shown) == ["suppress", "send"]
    assert shown["suppress"] == yesterday.isoformat()


# ---------------------------------------------------------------------------------- whom


def test_an_address_is_said_to_be_taken_for_one(
    run: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    planted(plant, CASES["opted out"])
    assert run("+1 (415) 555-0123", "order.shipped").stdout.startswith(
        "+1 (415) 555-0123, taken for an address: order.shipped of acme"
    )
    found = told(run(h.PHONE, "order.shipped", "--json"))
    assert (found["kept"], found["tenant"], found["test"]) == (False, "acme", False)
    assert (found["addresses"][0]["address"], found["addresses"][0]["rule"]) == ("…23", "opt_out")
    tests = run(h.PHONE, "order.shipped", "--test").stdout
    assert "order.shipped of acme, test sends, as of" in tests
    assert "it would be sent" in tests


def test_by_an_id_no_address_is_told(
    run: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    planted(plant, CASES["opted out"])
    for arguments in ([], ["--json"]):
        assert h.PHONE not in run(ANN, "order.shipped", *arguments).stdout


def test_somebody_without_an_address_can_be_sent_nothing(
    run: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    async def live(conn: Conn) -> None:
        await c.save(conn, await h.open_shop(conn), phones=())

    plant(live)
    assert "no address is kept: nothing can be sent\n" in run(ANN, "order.shipped").stdout


def test_what_people_wrote_steers_no_terminal(
    run: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    async def live(conn: Conn) -> None:
        shop = await h.open_shop(conn)
        await c.save(conn, shop, "u\x1b[31m")

        async def work(conn: Conn) -> None:
            who = ledger.Person("acme", Channel.SMS, await ledger.address_key(conn, h.PHONE))
            entry = ledger.Entry(Kind.OPT_OUT, Source.OPERATOR, "jo", "said \x1b[2J so")
            await ledger.note(conn, who, entry, cell=0, event_id=h.new_id())

        await db.transact(conn, work)

    plant(live)
    text = run("u\x1b[31m", "order.shipped").stdout
    assert "\x1b" not in text
    assert "said \\x1b[2J so" in text


def test_of_several_tenants_one_is_named(
    run: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    assert run(h.PHONE, "order.shipped").exit_code == 2  # there is no tenant yet

    async def live(conn: Conn) -> None:
        shop = await h.open_shop(conn)
        await CASES["opted out"].plant(conn, shop)
        await h.open_shop(conn, "other", provider="sinch")

    plant(live)
    result = run(h.PHONE, "order.shipped")
    assert (result.exit_code, result.stderr) == (
        2, "notifyq: --tenant: say which one is meant: acme, other\n",
    )  # fmt: skip
    for given, verdict in (
        (("--tenant", "acme"), "suppress"),
        (("--brand", "acme"), "suppress"),
        (("--tenant", "other"), "send"),
        (("--tenant", "other", "--brand", "other"), "send"),
    ):
        found = told(run(h.PHONE, "order.shipped", *given, "--json"))
        assert found["addresses"][0]["verdict"] == verdict
    for given, option in (
        (("--tenant", "acne"), "--tenant"),
        (("--brand", "acne"), "--brand"),
        (("--tenant", "acme", "--brand", "other"), "--tenant"),
    ):
        result = run(h.PHONE, "order.shipped", *given)
        rule = "must name one that there is: acme (brand acme), other (brand other)"
        assert (result.exit_code, result.stderr) == (2, f"notifyq: {option}: {rule}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (ANN, "order.shiped"),
            "CATEGORY: must be a category that is set up: login.code, order.shipped, tips, weekly",
        ),
        (
            (ANN, "order.shipped", "--at", "yesterday"),
            "--at: must be an RFC 3339 time with its timezone offset, like 2026-11-22T18:00:00Z",
        ),
        ((ANN, "order.shipped", "--at", "2026-01-01T00:00:00"), "--at: must be an RFC 3339 time"),
        ((ANN, "order.shipped", "--at", "2026-13-01T00:00:00Z"), "--at: "),
        ((ANN, "order.shipped", "--at", ""), "--at: must be an RFC 3339 time"),
        (
            (ANN, "order.shipped", "--at", "2999-01-01T00:00:00Z"),
            "--at: must not be in the future: leave it out to ask about now",
        ),
        (("nobody", "order.shipped"), "RECIPIENT: must be the id of a recipient that was kept"),
        (("", "order.shipped"), "RECIPIENT: must have at least 1 characters, has 0"),
        (("*", "order.shipped"), "RECIPIENT: must be a recipient or an address: * is the tenant's"),
        ((ANN, "x", "--at", "y"), "--at: "),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name_rule_and_mend(
    run: Callable[..., Result], plant: Callable[[Work], Any], arguments: Any, message: str
) -> None:
    planted(plant, CASES["sent"])
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.startswith("notifyq: ")


def test_it_changes_and_locks_nothing(
    run: Callable[..., Result], plant: Callable[[Work], Any]
) -> None:
    planted(plant, CASES["capped"])
    before = plant(h.everything)
    run(ANN, "tips")
    run("+14155550199", "tips")
    assert plant(h.everything) == before
