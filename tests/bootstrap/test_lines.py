"""Whose number somebody wrote to, by the settings and by whichever account it came."""

import pytest

from notifyq.bootstrap.lines import lines
from notifyq.config.categories import ProgramSettings
from notifyq.config.settings import SANDBOX_NAMES, SenderSettings, Settings
from notifyq.domain.listening import Line
from notifyq.domain.model import Channel, Lane

ORDERS, CODES, OTHERS, UNKNOWN = (f"+1415555010{n}" for n in range(4))
SETTINGS = Settings(
    senders={
        ORDERS: SenderSettings(provider="main", brand="acme", campaign="C1"),
        CODES: SenderSettings(provider="main", brand="acme", program="codes", campaign="C2"),
        OTHERS: SenderSettings(provider="second", brand="globex", campaign="C3"),
    },
    programs={"codes": ProgramSettings(separate=True)},
)
ACCOUNTS = ["main", "second", "empty", *sorted(SANDBOX_NAMES)]
LANES = {
    (Channel.SMS, name): Lane(n, Channel.SMS, name) for n, name in enumerate(ACCOUNTS, start=1)
}


def line(provider: str, number: str) -> Line:
    return lines(SETTINGS, LANES)(provider, number)


@pytest.mark.parametrize("provider", ["main", "second", "empty"])
def test_a_number_is_its_brands_by_whichever_account_the_text_came(provider: str) -> None:
    for number, brand, program, reach in (
        (ORDERS, "acme", "default", None),
        (CODES, "acme", "codes", "codes"),
        (OTHERS, "globex", "default", None),
    ):
        found = line(provider, number)
        assert (found.scopes, found.program, found.reach) == ((brand,), program, reach)
        assert found.replies is not None
        assert not found.is_test
        assert found.lane == LANES[Channel.SMS, provider].id  # answered the way it came


def test_a_number_that_nobody_knows_reaches_every_brand_of_its_account() -> None:
    found = line("main", UNKNOWN)
    assert (found.scopes, found.replies, found.is_test) == (("acme",), None, False)


def test_on_an_account_without_senders_it_reaches_every_live_brand() -> None:
    found = line("empty", UNKNOWN)
    assert (found.scopes, found.replies, found.is_test) == ((), None, False)


def test_the_sandbox_reaches_test_sends_alone_even_by_a_number_that_is_a_senders() -> None:
    for name in SANDBOX_NAMES:
        for number in (ORDERS, UNKNOWN):
            found = line(name, number)
            assert (found.scopes, found.is_test) == ((), True)
            assert found.replies is not None
