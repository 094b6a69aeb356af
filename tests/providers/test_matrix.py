"""Every vendor's client against every failure: no message reaches anybody twice, none is refused
in words that hide an acceptance. The table below is what each client has to say of each failure."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from click.testing import CliRunner

from notifyq.domain import ids
from notifyq.domain.message import Message
from notifyq.domain.outcome import Accepted, InDoubt, NotSent, Outcome
from notifyq.domain.provider import Provider
from notifyq.domain.states import State
from tests.providers.matrix import __main__ as command
from tests.providers.matrix.cell import Cell
from tests.providers.matrix.decision import Next
from tests.providers.matrix.delivery import CELL
from tests.providers.matrix.failures import FAILURES, RETRY_AFTER_S, VENDORS, Failure, Way
from tests.providers.matrix.report import faults, last_line, word_of
from tests.providers.matrix.run import run
from tests.providers.matrix.wrong import lost_is_never_left

# By failure, what the client says at twilio, sinch, ses, sendgrid, smtp, apns and fcm. An outcome
# in a word (of a refusal: whom it is about); -: there is no such cell.
EXPECTED = """
accepted                | accepted accepted accepted accepted accepted accepted accepted
refused, unknown code   | content content content content content content content
dead address            | address address - address address address address
opted out               | opted_out - - - - - -
credentials             | misconfigured misconfigured misconfigured misconfigured \
                          misconfigured misconfigured misconfigured
sender or project       | misconfigured misconfigured misconfigured misconfigured \
                          misconfigured misconfigured misconfigured
content                 | content content content content content content content
throttled, says how long| throttled throttled - throttled - throttled throttled
throttled               | throttled throttled throttled throttled throttled throttled throttled
told to come back       | - - - - unavailable - -
5xx, not accepted       | in_doubt unavailable in_doubt in_doubt unavailable in_doubt in_doubt
5xx, accepted           | in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt
dropped, not accepted   | in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt
dropped, accepted       | in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt
cut in the request      | in_doubt in_doubt in_doubt in_doubt unavailable in_doubt in_doubt
slow, accepted          | in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt
silent, not accepted    | in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt
connect refused         | not_sent not_sent not_sent not_sent not_sent not_sent not_sent
GOAWAY, stream above    | - - - - - unavailable -
GOAWAY, stream below    | - - - - - in_doubt -
GOAWAY, then answered   | - - - - - accepted -
RST 7 REFUSED_STREAM    | - - - - - unavailable -
RST 8 CANCEL            | - - - - - in_doubt -
malformed               | in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt
30x, accepted           | in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt
HTML, 2xx, accepted     | in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt in_doubt
HTML, 403, not accepted | misconfigured misconfigured misconfigured misconfigured - \
                          misconfigured misconfigured
HTML, 408, accepted     | in_doubt in_doubt in_doubt in_doubt - in_doubt in_doubt
HTML, 503, accepted     | in_doubt in_doubt in_doubt in_doubt - in_doubt in_doubt
"""

# What a delivery of a `never_twice` category comes to by an outcome, and what follows.
FOLLOWS = {
    "accepted": (State.SENT, Next.REST),
    "in_doubt": (State.IN_DOUBT, Next.EVIDENCE),
    "address": (State.DEAD, Next.NEXT_CHANNEL),
    "content": (State.DEAD, Next.NEXT_CHANNEL),
    "opted_out": (State.SUPPRESSED, Next.NEXT_CHANNEL),
    "throttled": (State.PENDING, Next.AGAIN),
    "unavailable": (State.PENDING, Next.AGAIN),
    "not_sent": (State.PENDING, Next.AGAIN),
    "misconfigured": (State.PENDING, Next.AGAIN),
}
GREYLISTED_S = 300  # RFC 6647: a second try gets in after five minutes at the earliest


def expected() -> dict[str, dict[str, str]]:
    """The table, by failure and vendor."""
    rows = (line.split("|") for line in EXPECTED.strip().splitlines())
    return {name.strip(): dict(zip(VENDORS, said.split(), strict=True)) for name, said in rows}


def failure(name: str) -> Failure:
    (found,) = (each for each in FAILURES if each.name == name)
    return found


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    """The matrix, once for all that is asserted of it."""
    return asyncio.run(run())


def test_each_client_says_of_each_failure_what_the_table_says(cells: list[Cell]) -> None:
    said = {each.name: dict.fromkeys(VENDORS, "-") for each in FAILURES}
    for cell in cells:
        said[cell.failure.name][cell.vendor] = word_of(cell.outcome)
    assert said == expected()


def test_no_message_is_accepted_twice(cells: list[Cell]) -> None:
    assert [(c.failure.name, c.vendor, c.total) for c in cells if c.total > 1] == []


def test_a_definite_no_was_one(cells: list[Cell]) -> None:
    """The worst fault there is: what is called not carried out will be sent again."""
    definite = [cell for cell in cells if not isinstance(cell.outcome, Accepted | InDoubt)]
    assert [(c.failure.name, c.vendor, c.first) for c in definite if c.first] == []
    ended = [cell for cell in definite if cell.again is None]
    assert [(c.failure.name, c.vendor, c.total) for c in ended if c.total] == []


def test_what_is_sent_again_is_accepted_once(cells: list[Cell]) -> None:
    again = [cell for cell in cells if cell.decision.next is Next.AGAIN]
    assert {type(cell.again) for cell in again} == {Accepted}
    assert {cell.total for cell in again} == {1}


def test_only_what_is_decided_to_be_sent_again_is(cells: list[Cell]) -> None:
    assert {cell.again for cell in cells if cell.decision.next is not Next.AGAIN} == {None}
    states = {(word_of(cell.outcome), cell.decision.state, cell.decision.next) for cell in cells}
    assert states == {(word, *follows) for word, follows in FOLLOWS.items()}


def test_what_is_called_accepted_was(cells: list[Cell]) -> None:
    accepted = [cell for cell in cells if isinstance(cell.outcome, Accepted)]
    assert {(cell.first, cell.total) for cell in accepted} == {(1, 1)}


def test_each_failure_is_the_one_that_its_row_names(cells: list[Cell]) -> None:
    """Whether the vendor took the message is the row's to say, and the sandbox's to count."""
    wrong = [(c.failure.name, c.vendor, c.first) for c in cells if c.first != c.failure.taken]
    assert wrong == []
    assert faults(cells) == []


def test_a_vendor_that_names_a_time_is_not_asked_before_it(cells: list[Cell]) -> None:
    told = {c.vendor: c.decision.wait_s for c in cells if c.failure.name.endswith("says how long")}
    # SendGrid names the second at which it is over: up to one of them has passed.
    assert {vendor for vendor, wait_s in told.items() if (wait_s or 0) < RETRY_AFTER_S - 1} == set()
    assert len(told) == 5
    (greylisted,) = (c for c in cells if c.failure.name == "told to come back")
    assert (greylisted.decision.wait_s or 0) >= GREYLISTED_S


def test_every_cell_is_tried_or_says_why_it_cannot_be(cells: list[Cell]) -> None:
    assert len({each.name for each in FAILURES}) == len(FAILURES)
    assert {tuple(sorted(each.ways)) for each in FAILURES} == {tuple(sorted(VENDORS))}
    ways = [(each.name, vendor, way) for each in FAILURES for vendor, way in each.ways.items()]
    tried = {(name, vendor) for name, vendor, way in ways if isinstance(way, Way)}
    assert {(cell.failure.name, cell.vendor) for cell in cells} == tried
    assert len(cells) == len(tried)
    assert {way for *_, way in ways if isinstance(way, str)} == {
        *("bounces later", "told later", "no opt-out", "names no time"),
        *("no SMTP", "no HTTP/2", "no pages"),
    }


async def test_a_client_that_calls_lost_answers_never_left_sends_twice_and_is_seen() -> None:
    """The matrix can fail: transports that name an error by where they noticed it are like this."""
    found = await run([failure("dropped, accepted")], twist=lost_is_never_left)
    assert [cell.vendor for cell in found] == list(VENDORS)
    assert {(type(cell.outcome), cell.first, cell.total) for cell in found} == {(NotSent, 1, 2)}
    assert all("2 acceptances" in cell.faults() for cell in found)
    assert last_line(found) == "7 cells, cells with two acceptances: 7"


async def test_an_acceptance_under_another_name_is_no_evidence() -> None:
    """What is counted is the delivery's: a client that plants another one's name is found out."""

    def misnaming(provider: Provider) -> Provider:
        right, other = provider.send, UUID(int=1)
        name, delivery = ids.reference(CELL, other, 1), ids.public_id("dlv", CELL, other)

        async def send(message: Message, *, timeout_s: float) -> Outcome:
            url = message.callback_url.replace(message.reference, name)
            named = replace(message, reference=name, collapse_id=delivery, callback_url=url)
            return await right(named, timeout_s=timeout_s)

        provider.send = send  # type: ignore[method-assign]
        return provider

    with pytest.raises(ExceptionGroup) as raised:
        await run([failure("accepted")], twist=misnaming)
    assert all("as another delivery" in str(error) for error in raised.value.exceptions)


def test_what_is_accepted_late_still_counts(cells: list[Cell]) -> None:
    refused = next(c for c in cells if c.failure.name == "content")
    assert replace(refused, total=1).faults()
    retried = next(c for c in cells if c.failure.name == "connect refused")
    assert "2 acceptances" in replace(retried, total=2).faults()
    doubtful = next(c for c in cells if c.failure.name == "dropped, accepted")
    assert "2 acceptances" in replace(doubtful, total=2).faults()


@contextmanager
def that_finds(cells: list[Cell]) -> Iterator[None]:
    """The command with cells that were found before."""

    async def found(**_: object) -> list[Cell]:
        return cells

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "run", found)
        yield


def test_the_command_prints_every_failure_and_succeeds_only_if_no_cell_is_wrong(
    cells: list[Cell],
) -> None:
    with that_finds(cells):
        right = CliRunner().invoke(command.main)
    assert (right.exit_code, right.output.splitlines()[-1]) == (
        0,
        f"{len(cells)} cells, cells with two acceptances: 0",
    )
    assert all(each.name in right.output for each in FAILURES)
    assert all(vendor in right.output for vendor in VENDORS)
    with that_finds([replace(cells[0], total=2), *cells[1:]]):
        wrong = CliRunner().invoke(command.main)
    assert (wrong.exit_code, wrong.output.splitlines()[-2:]) == (
        1,
        [
            "WRONG: twilio, accepted: 2 acceptances; the failure is another one than it says",
            f"{len(cells)} cells, cells with two acceptances: 1",
        ],
    )
