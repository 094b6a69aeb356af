"""What a text does to the ledger, by what it says and to whose number."""

import pytest

from notifyq.domain.consent import Kind
from notifyq.domain.listening import Line, Replies, kind_of
from notifyq.domain.wording.reading import Intent, read_text

REPLIES = Replies("stopped", "started", "help")
OURS = Line(("acme",), "default", False, 1, REPLIES)
NOBODYS = Line(("acme",), "default", False, 1, None)
TESTS = Line((), "default", False, 1, REPLIES, is_test=True)


@pytest.mark.parametrize(
    ("text", "intent", "kind"),
    [
        ("STOP", Intent.OPT_OUT, Kind.OPT_OUT),
        ("START", Intent.OPT_IN, Kind.LIFT),
        ("don't stop", Intent.UNCLEAR, Kind.HOLD),
        ("HELP", Intent.HELP, None),
        ("see you at 5", Intent.OTHER, None),
    ],
)
def test_only_a_start_needs_to_know_whose_the_number_is(
    text: str, intent: Intent, kind: Kind | None
) -> None:
    reading = read_text(text)
    assert reading.intent is intent
    assert kind_of(reading, OURS) is kind_of(reading, TESTS) is kind
    assert kind_of(reading, NOBODYS) is (None if kind is Kind.LIFT else kind)
