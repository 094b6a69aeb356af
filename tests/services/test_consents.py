"""What is written down of consent: by producers, by operators, from files; and what is read."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from notifyq.domain.consent import Kind, Source, Standing, scope_of
from notifyq.domain.consent_record import Medium, Record
from notifyq.domain.model import Channel
from notifyq.services import consents, optout_import, reviews
from notifyq.services.consents import Answer, By, Refusal, Whom, Wish
from notifyq.services.optout_import import Imported, Line
from notifyq.services.reviews import Read, Reader
from notifyq.store import db, dossier, ledger
from notifyq.store.db import Conn
from tests.store import helpers as h

ANN = Whom("acme", Channel.SMS, h.PHONE)
PRODUCER = By("nq_live_0123", "recorded by the producer", Source.WEB)
LEDGER = "SELECT kind, source, program, happened_at FROM consent_event ORDER BY revision"


@pytest.fixture
async def cold(database_url: str) -> Any:
    async with await db.connect(database_url) as connection:
        yield connection


def ago(seconds: float) -> datetime:
    return h.database_now() - timedelta(seconds=seconds)


def made(seconds: float = 0, **changes: Any) -> Record:
    """A complete record of so long ago."""
    whole = Record(
        ago(seconds), "Yes, text me.", Medium.WEB, "v3", "https://a.example", "192.0.2.1",
        "Firefox", "C1", "customer 42",
    )  # fmt: skip
    return replace(whole, **changes)


async def wrote(conn: Conn, wish: Wish, whom: Whom = ANN, by: By = PRODUCER) -> Answer:
    found = await consents.record(conn, whom, wish, by, cell=0, new_id=h.new_id)
    assert isinstance(found, Answer), found
    return found


async def stopped(
    conn: Conn, seconds: float, source: Source = Source.SMS, *, kind: Kind = Kind.OPT_OUT,
    program: str | None = None, text: str = "STOP",
) -> UUID:  # fmt: skip
    """Somebody wrote to us so long ago; return the event."""
    event_id = h.new_id()

    async def work(conn: Conn) -> None:
        who = ledger.Person(ANN.scope, ANN.channel, await ledger.address_key(conn, ANN.address))
        entry = ledger.Entry(
            kind, source, "provider:twilio", "a text", ago(seconds), program, {"text": text}
        )
        await ledger.note(conn, who, entry, cell=0, event_id=event_id, always=True)

    await db.transact(conn, work)
    return event_id


# --------------------------------------------------------------------------------- records


async def test_consent_is_kept_with_its_evidence_once(cold: Conn) -> None:
    record = made(60)
    answer = await wrote(cold, Wish(Kind.CONSENT, record))
    assert answer == Answer(Standing(consented=True), added=True)
    again = await wrote(cold, Wish(Kind.CONSENT, replace(record, identity="42")))
    assert again == Answer(Standing(consented=True))
    (status,) = await consents.status(cold, [(Channel.SMS, h.PHONE)], cell=0, scope="acme")
    (event,) = status.events
    assert event.evidence == record.evidence()
    assert (event.actor, event.reason) == (PRODUCER.actor, PRODUCER.reason)
    assert (event.said.source, event.said.at) == (Source.WEB, record.at)


async def test_another_time_version_or_medium_is_another_record(cold: Conn) -> None:
    record = made(60)
    for each in (
        record,
        replace(record, at=ago(50)),
        replace(record, wording_version="v4"),
        replace(record, medium=Medium.PAPER),
    ):
        assert (await wrote(cold, Wish(Kind.CONSENT, each))).added
    assert (await wrote(cold, Wish(Kind.OPT_OUT, record))).added
    assert (await wrote(cold, Wish(Kind.OPT_OUT, record, "news"))).added
    assert await h.one(cold, "SELECT count(*) FROM consent_event") == 6


async def test_consent_lifts_nothing_unless_it_says_so(cold: Conn) -> None:
    await stopped(cold, 60)
    record = made(30)
    plain = await wrote(cold, Wish(Kind.CONSENT, record))
    assert (plain.standing.blocked, plain.standing.consented, plain.lifted) == (True, True, False)
    lifting = await wrote(cold, Wish(Kind.CONSENT, record, lifts=True))
    assert lifting == Answer(Standing(consented=True), added=True, lifted=True)
    assert [kind for kind, *_ in await h.all_rows(cold, LEDGER)] == ["opt_out", "consent", "lift"]
    assert not (await wrote(cold, Wish(Kind.CONSENT, record, lifts=True))).added


async def test_a_lift_is_no_consent_to_marketing(cold: Conn) -> None:
    await stopped(cold, 60)
    answer = await wrote(cold, Wish(Kind.LIFT, made(30)))
    assert answer == Answer(Standing(), added=True, lifted=True)


async def test_while_a_provider_blocks_nothing_is_lifted_and_nothing_written(cold: Conn) -> None:
    await stopped(cold, 90)
    await stopped(cold, 60, Source.PROVIDER)
    before = await h.all_rows(cold, LEDGER)
    for wish in (Wish(Kind.LIFT, made(30)), Wish(Kind.CONSENT, made(30), lifts=True)):
        answer = await wrote(cold, wish)
        assert answer == Answer(Standing(blocked=True), refusal=Refusal.PROVIDER_BLOCKS)
    assert await h.all_rows(cold, LEDGER) == before
    # the mend that the refusal names
    await stopped(cold, 10, kind=Kind.LIFT, text="START")
    assert (await wrote(cold, Wish(Kind.CONSENT, made(5), lifts=True))).standing.consented


@pytest.mark.parametrize("given_s", [90, 60, 55.5])
async def test_consent_that_is_not_newer_than_the_opt_out_lifts_nothing(
    cold: Conn, given_s: float
) -> None:
    """At one time, as far as clocks can tell, the opt-out wins."""
    await stopped(cold, 60)
    answer = await wrote(cold, Wish(Kind.LIFT, made(given_s)))
    assert answer == Answer(Standing(blocked=True), refusal=Refusal.OPT_OUT_STANDS)
    assert len(await h.all_rows(cold, LEDGER)) == 1


async def test_a_clock_that_is_ahead_lifts_no_more_than_it_would_later(cold: Conn) -> None:
    await stopped(cold, 2)
    ahead = made(-4)  # six seconds after the opt-out, in time to come
    assert (await wrote(cold, Wish(Kind.LIFT, ahead))).refusal is Refusal.OPT_OUT_STANDS


LIFTING = pytest.mark.parametrize(
    "wish", [Wish(Kind.CONSENT, made(30), lifts=True), Wish(Kind.LIFT, made(30))],
    ids=["consent", "lift"],
)  # fmt: skip


@LIFTING
async def test_a_record_that_was_taken_is_known_until_an_opt_out_came_after(
    cold: Conn, wish: Wish
) -> None:
    wish = replace(wish, record=made(30))
    await stopped(cold, 60)
    assert (await wrote(cold, wish)).lifted
    again = await wrote(cold, wish)
    assert (again.added, again.lifted, again.refusal) == (False, False, None)
    await stopped(cold, 10)
    before = await h.everything(cold)
    refused = Answer(Standing(blocked=True), refusal=Refusal.OPT_OUT_STANDS)
    assert await wrote(cold, wish) == refused
    assert await h.everything(cold) == before


@LIFTING
async def test_a_late_record_lifts_no_opt_out_that_came_after_a_start(
    cold: Conn, wish: Wish
) -> None:
    """Opted out, consented, started, opted out; of the consent we are told last."""
    await stopped(cold, 60)
    await stopped(cold, 40, kind=Kind.LIFT, text="START")
    await stopped(cold, 10)
    found = await wrote(cold, replace(wish, record=made(50)))
    assert found == Answer(Standing(blocked=True), refusal=Refusal.OPT_OUT_STANDS)


async def test_a_record_of_a_clock_that_is_ahead_counts_from_when_it_was_first_told(
    cold: Conn,
) -> None:
    """It was in time to come; it does not get younger with each time that it is told again."""
    wish = Wish(Kind.CONSENT, made(-3600), lifts=True)
    assert (await wrote(cold, wish)).added  # nothing was blocked: it lifted nothing
    await h.a_while_later(cold)
    await stopped(cold, 30)
    assert (await wrote(cold, wish)).refusal is Refusal.OPT_OUT_STANDS


async def test_an_opt_out_that_was_taken_back_stays_so_when_it_is_told_again(cold: Conn) -> None:
    stop = Wish(Kind.OPT_OUT, made(60))
    assert (await wrote(cold, stop)).standing.blocked
    assert (await wrote(cold, Wish(Kind.LIFT, made(30)))).lifted
    assert await wrote(cold, stop) == Answer(Standing())
    assert (await wrote(cold, Wish(Kind.OPT_OUT, made(10)))).standing.blocked


async def test_where_nothing_is_blocked_no_lift_is_kept_for_later(cold: Conn) -> None:
    """It would take back an opt-out that is still on its way to us."""
    answer = await wrote(cold, Wish(Kind.CONSENT, made(30), lifts=True))
    assert (answer.added, answer.lifted) == (True, False)
    assert not (await wrote(cold, Wish(Kind.LIFT, made(30)))).added
    await stopped(cold, 60)
    assert (await wrote(cold, Wish(Kind.OPT_OUT, made(20)))).standing.blocked
    assert {kind for kind, *_ in await h.all_rows(cold, LEDGER)} == {"consent", "opt_out"}


async def test_a_lift_needs_all_of_its_evidence(cold: Conn) -> None:
    await stopped(cold, 60)
    wish = Wish(Kind.CONSENT, made(30, ip=None), lifts=True)
    assert (await wrote(cold, wish)).refusal is Refusal.INCOMPLETE
    assert len(await h.all_rows(cold, LEDGER)) == 1
    without = await wrote(cold, replace(wish, lifts=False))
    assert (without.added, without.standing.blocked) == (True, True)


async def test_a_lift_of_one_program_leaves_the_brand_and_the_others(cold: Conn) -> None:
    for program in (None, "codes", "news"):
        await stopped(cold, 60, program=program)
    answer = await wrote(cold, Wish(Kind.LIFT, made(30), "codes"))
    assert answer == Answer(Standing(True, ("news",)), added=True, lifted=True)


async def test_a_number_that_changed_hands_is_freed_by_consent_of_who_has_it(cold: Conn) -> None:
    await stopped(cold, 60, Source.OPERATOR, kind=Kind.REASSIGNED)
    assert (await wrote(cold, Wish(Kind.LIFT, made(30)))).lifted


async def test_what_counts_for_test_sends_is_another_scope(cold: Conn) -> None:
    test = replace(ANN, scope=scope_of("acme", test=True))
    assert (await wrote(cold, Wish(Kind.OPT_OUT, made(30)), test)).standing.blocked
    live, tested = [
        (await consents.status(cold, [(Channel.SMS, h.PHONE)], cell=0, scope=scope))[0]
        for scope in ("acme", test.scope)
    ]
    assert (live.row.standing.blocked, tested.row.standing.blocked) == (False, True)


async def test_what_stands_is_told_with_why(cold: Conn) -> None:
    await stopped(cold, 90, Source.EMAIL)
    await stopped(cold, 80, program="codes")
    await stopped(cold, 70, kind=Kind.HOLD, text="don't stop")
    at = [(Channel.EMAIL, "nobody@example.org"), (Channel.SMS, h.PHONE)]
    nobody, ann = await consents.status(cold, at, cell=0, scope="acme")
    assert (nobody.row.standing, nobody.row.revision, nobody.row.changed_at) == (
        Standing(),
        0,
        None,
    )
    assert (nobody.stops, nobody.holds, nobody.events) == ([], [], ())
    assert [(s.source, s.program) for s in ann.stops] == [("email", None), ("sms", "codes")]
    assert [said.kind for said in ann.holds] == ["hold"]
    assert (ann.row.revision, ann.row.standing.held) == (3, True)
    everywhere = await consents.status_everywhere(cold, Channel.SMS, h.PHONE, cell=0)
    assert everywhere == [ann]


async def test_every_scope_that_has_met_an_address_is_found(cold: Conn) -> None:
    for scope in ("acme", "acme:test", "beta", "zeta"):
        await wrote(cold, Wish(Kind.OPT_OUT, made(30)), replace(ANN, scope=scope))
    other = replace(ANN, scope="gamma", address="+14155550124")
    await wrote(cold, Wish(Kind.OPT_OUT, made(30)), other)
    found = await consents.status_everywhere(cold, Channel.SMS, h.PHONE, cell=0)
    assert [one.row.person.brand for one in found] == ["acme", "acme:test", "beta", "zeta"]
    assert await consents.status_everywhere(cold, Channel.EMAIL, "a@example.org", cell=0) == []


async def test_a_commit_of_unknown_fate_is_told(
    cold: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = db.transact

    async def cut_short(conn: Conn, work: Callable[[Conn], Any]) -> db.Unknown:
        await right(conn, work)
        return db.Unknown("cut")

    record = made(30)
    monkeypatch.setattr(consents, "transact", cut_short)
    found = await consents.record(
        cold, ANN, Wish(Kind.OPT_OUT, record), PRODUCER, cell=0, new_id=h.new_id
    )
    assert found == db.Unknown("cut")
    monkeypatch.undo()
    assert await wrote(cold, Wish(Kind.OPT_OUT, record)) == Answer(Standing(blocked=True))


# --------------------------------------------------------------------------------- imports


def line(number: int = 2, at: datetime | None = None, **changes: Any) -> Line:
    return replace(Line(number, "acme", Channel.SMS, h.PHONE, at, "old system"), **changes)


async def brought(conn: Conn, *lines: Line) -> Imported:
    found = await optout_import.store(conn, lines, actor="jo", cell=0, new_id=h.new_id)
    assert isinstance(found, Imported), found
    return found


async def test_an_import_blocks_and_is_safe_to_run_again(cold: Conn) -> None:
    lines = [
        line(2, ago(3_600)),
        line(3, address="+14155550124"),
        line(4, ago(60), channel=Channel.EMAIL, address="a@b.example"),
        line(5, scope="beta"),
    ]
    assert await brought(cold, *lines) == Imported(4, 0)
    before = await h.all_rows(cold, "SELECT * FROM consent_event ORDER BY id")
    assert await brought(cold, *reversed(lines)) == Imported(0, 4)
    assert await h.all_rows(cold, "SELECT * FROM consent_event ORDER BY id") == before
    kept = "SELECT DISTINCT source, actor, reason, blocked FROM consent_event"
    assert await h.all_rows(cold, kept) == [("import", "jo", "old system", True)]
    assert await h.one(cold, "SELECT evidence FROM consent_event WHERE brand = 'beta'") == (
        '{"line": 5}'
    )


async def test_an_import_takes_nothing_back_and_blocks_nobody_who_has_started_since(
    cold: Conn,
) -> None:
    old = line(2, ago(3_600))
    await brought(cold, old)
    await stopped(cold, 1_800, kind=Kind.LIFT, text="START")
    assert await brought(cold, old) == Imported(0, 1)
    assert not (await consents.status(cold, [(Channel.SMS, h.PHONE)], cell=0, scope="acme"))[
        0
    ].row.standing.blocked
    # without a time it is said now: better a block too many
    assert await brought(cold, line(2)) == Imported(1, 0)
    assert await h.one(cold, "SELECT blocked FROM consent") is True


async def test_a_line_without_a_time_adds_nothing_beside_an_import_that_stands(
    cold: Conn,
) -> None:
    """However long ago that was: else every run of a file would add its lines again."""
    await brought(cold, line(2, ago(3_600)))
    assert await brought(cold, line(2)) == Imported(0, 1)
    await stopped(cold, 1_800)
    assert await brought(cold, line(2)) == Imported(0, 1)


async def test_one_address_in_many_lines_is_one_opt_out(cold: Conn) -> None:
    assert await brought(cold, *(line(n) for n in range(2, 12))) == Imported(1, 9)


async def test_a_batch_is_stored_whole_or_not_at_all(cold: Conn) -> None:
    lines = [line(2), line(3, address="+14155550124", reason="x")]
    ids = iter([h.new_id()])  # the second line finds none: as if the process died there
    with pytest.raises(RuntimeError):
        await optout_import.store(cold, lines, actor="jo", cell=0, new_id=lambda: _next(ids))
    assert await h.one(cold, "SELECT count(*) FROM consent_event") == 0
    assert await brought(cold, *lines) == Imported(2, 0)


def _next(ids: Any) -> UUID:
    for found in ids:
        return UUID(str(found))
    raise RuntimeError("cut")


async def test_two_imports_at_once_in_other_orders_do_not_wait_in_a_circle(
    database_url: str,
) -> None:
    import asyncio

    lines = [line(n, address=f"+1415555{n:04}") for n in range(100, 160)]

    async def bring(found: list[Line]) -> Imported:
        async with await db.connect(database_url) as conn:
            return await brought(conn, *found)

    one, two = await asyncio.gather(bring(lines), bring(lines[::-1]))
    assert one.added + two.added == len(lines)


# --------------------------------------------------------------------------------- reviews


async def resolved(conn: Conn, text: UUID, verdict: Kind) -> Read:
    reader = Reader("jo", "read it")
    found = await reviews.resolve(conn, text, verdict, reader, cell=0, new_id=h.new_id)
    assert isinstance(found, Read), found
    return found


async def waiting(conn: Conn, scope: str | None = None, *, test: bool = False) -> list[UUID]:
    found = await reviews.waiting(conn, cell=0, scope=scope, test=test, limit=10)
    return [text.id for text in found]


async def test_a_text_waits_until_it_is_released(cold: Conn) -> None:
    text = await stopped(cold, 60, kind=Kind.HOLD, text="don't stop")
    assert await waiting(cold) == await waiting(cold, "acme") == [text]
    assert await waiting(cold, "beta") == await waiting(cold, test=True) == []
    assert await resolved(cold, text, Kind.RELEASE) == Read(Standing(), added=True)
    assert await waiting(cold) == []
    assert await resolved(cold, text, Kind.OPT_OUT) == Read(Standing())
    assert len(await h.all_rows(cold, LEDGER)) == 2


async def test_a_text_that_was_an_opt_out_counts_from_when_it_was_written(cold: Conn) -> None:
    text = await stopped(cold, 60, kind=Kind.HOLD, text="enough of this", program="codes")
    assert (await resolved(cold, text, Kind.OPT_OUT)).standing == Standing(programs=("codes",))
    who = (await consents.status(cold, [(Channel.SMS, h.PHONE)], cell=0, scope="acme"))[0]
    held, stop = who.events
    assert (stop.said.at, stop.said.source, stop.said.program) == (held.said.at, "sms", "codes")
    assert stop.evidence == {"text": "enough of this", "read": str(text)}
    assert (stop.actor, stop.reason) == ("jo", "read it")


async def test_a_start_after_the_text_still_counts(cold: Conn) -> None:
    text = await stopped(cold, 60, kind=Kind.HOLD)
    later = await stopped(cold, 50, kind=Kind.HOLD, text="stop it?")
    await stopped(cold, 30, kind=Kind.LIFT, text="START")
    assert await waiting(cold) == []
    assert not (await resolved(cold, text, Kind.OPT_OUT)).added
    assert not (await resolved(cold, later, Kind.OPT_OUT)).added


async def test_reading_one_text_leaves_the_ones_after_it(cold: Conn) -> None:
    first, second, third = [await stopped(cold, at, kind=Kind.HOLD) for at in (60, 50, 40)]
    assert await waiting(cold) == [first, second, third]
    await resolved(cold, second, Kind.RELEASE)
    assert await waiting(cold) == [third]
    assert await h.one(cold, "SELECT held FROM consent") is True


async def test_what_is_no_held_text_is_not_there(cold: Conn) -> None:
    stop = await stopped(cold, 60)
    assert await resolved(cold, stop, Kind.RELEASE) == Read(None)
    assert await resolved(cold, UUID(int=1), Kind.RELEASE) == Read(None)


async def test_rows_of_many_come_in_the_order_of_asking(cold: Conn) -> None:
    await stopped(cold, 60)
    asked = [(Channel.SMS, f"+1415555{n:04}") for n in range(200, 250)]
    asked.insert(25, (Channel.SMS, h.PHONE))
    found = await dossier.rows(cold, asked, cell=0, scope="acme")
    assert [row.standing.blocked for row in found] == [n == 25 for n in range(51)]
