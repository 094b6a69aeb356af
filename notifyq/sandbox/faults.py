"""Faults: what can be done wrong, by name, and what each takes. Pure data.

Which of them happens to which message is `scripts`' to say, or a magic recipient's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

HOLD_S_MAX = 3_600


class Phase(Enum):
    """What a fault changes; a message takes at most one fault of each phase."""

    ANSWER = "answer"
    CALLBACKS = "callbacks"
    LOOKUP = "lookup"
    LIST = "list"  # of what is asked for, not of a message: only `to` can match


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of a fault: its bounds, and its value when the script names none."""

    low: float
    high: float
    default: float | None = None
    required: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A thing that can be done wrong."""

    phase: Phase
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    accepts: bool = True  # the message is taken all the same
    coded: bool = False  # takes a code: the vendor's own word or number


_STATUS_5XX = {"status": Parameter(500, 599, default=500, whole=True)}
_STATUS_3XX = {"status": Parameter(300, 399, default=302, whole=True)}
_STATUS_ANY = {"status": Parameter(200, 599, default=502, whole=True)}
_HOLD = {"hold_s": Parameter(0, HOLD_S_MAX)}  # absent: until released, or until the client is gone
_RETRY = {"retry_after_s": Parameter(0, 3_600, whole=True)}
_ANSWER, _CALLBACKS = Phase.ANSWER, Phase.CALLBACKS

FAULTS: Mapping[str, Kind] = {
    "refuse": Kind(
        _ANSWER,
        {"status": Parameter(400, 599, default=400, whole=True)},
        accepts=False,
        coded=True,
    ),
    "throttle": Kind(_ANSWER, _RETRY, accepts=False),
    "error_before_accept": Kind(_ANSWER, _STATUS_5XX, accepts=False),
    "error_after_accept": Kind(_ANSWER, _STATUS_5XX),
    "hold_before_accept": Kind(_ANSWER, _HOLD),
    "hold_after_accept": Kind(_ANSWER, _HOLD),
    "drop_before_accept": Kind(_ANSWER, accepts=False),
    "drop_after_accept": Kind(_ANSWER),
    "slow": Kind(_ANSWER, {"delay_s": Parameter(0, 600, required=True)}),
    "redirect_before_accept": Kind(_ANSWER, _STATUS_3XX, accepts=False),
    "redirect_after_accept": Kind(_ANSWER, _STATUS_3XX),
    "html_before_accept": Kind(_ANSWER, _STATUS_ANY, accepts=False),
    "html_after_accept": Kind(_ANSWER, _STATUS_ANY),
    "malformed": Kind(_ANSWER),  # a success cut in half
    "duplicate_callbacks": Kind(_CALLBACKS),
    "reordered_callbacks": Kind(_CALLBACKS),
    "no_callbacks": Kind(_CALLBACKS),
    "undelivered": Kind(_CALLBACKS, coded=True),
    "lookup_error": Kind(Phase.LIST, _STATUS_5XX),
    "lookup_throttle": Kind(Phase.LIST, _RETRY),
    "lookup_drop": Kind(Phase.LIST),
    "lookup_lag": Kind(Phase.LOOKUP, {"lag_s": Parameter(0, 86_400, required=True)}),
    # Of HTTP/2. The first two end the connection before the message was looked at.
    "goaway_before_accept": Kind(_ANSWER, accepts=False),  # names a stream below the message's
    "reset_before_accept": Kind(
        _ANSWER, {"error": Parameter(0, 13, default=7, whole=True)}, accepts=False
    ),
    "goaway_after_accept": Kind(_ANSWER),  # names the message's stream, then breaks
    "goaway_then_answer": Kind(_ANSWER),  # names the message's stream, answers it, ends
    "reset_after_accept": Kind(_ANSWER, {"error": Parameter(0, 13, default=8, whole=True)}),
}
OF_HTTP2 = frozenset(name for name in FAULTS if name.startswith(("goaway", "reset")))
# What there is no answer to make of: SMTP has no status, no redirects and no pages.
OF_HTTP = frozenset(name for name in FAULTS if name.startswith(("redirect", "html", "malformed")))
# How a vendor names its errors: by number, within bounds, or by a word.
CODES: Mapping[str, tuple[int, int] | None] = {
    "twilio": (10_000, 99_999),
    "sinch": None,
    "ses": None,
    "sendgrid": None,
    "smtp": (400, 599),
    "apns": None,
    "fcm": None,
}
VENDORS = tuple(CODES)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong, with its numbers, and the vendor's code where it takes one."""

    name: str
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    code: int | str | None = None

    @property
    def phase(self) -> Phase:
        """What it changes."""
        return FAULTS[self.name].phase

    @property
    def accepts(self) -> bool:
        """Whether the message is taken all the same."""
        return FAULTS[self.name].accepts

    def has(self, name: str) -> bool:
        """Whether a number is given."""
        return self.numbers.get(name) is not None

    def number(self, name: str) -> float:
        """Return a number; its default, else 0, when it is absent."""
        given = self.numbers.get(name)
        return given if given is not None else FAULTS[self.name].parameters[name].default or 0.0

    def whole(self, name: str) -> int:
        """Return a number that is a whole one; its default, else 0, when it is absent."""
        return int(self.number(name))
