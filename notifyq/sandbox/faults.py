"""Faults: what the sandbox is told to do wrong, and when.

Owns the table of faults, the scripts posted to it, and the requests it holds at the moment.
Refuses a script that it does not understand completely, and names the field.
"""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
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


_STATUS_5XX = Parameter(500, 599, default=500, whole=True)
_HOLD = Parameter(0, HOLD_S_MAX)  # absent: until released, or until the client is gone

FAULTS: Mapping[str, tuple[Phase, Mapping[str, Parameter]]] = {
    "refuse": (
        Phase.ANSWER,
        {
            "code": Parameter(10_000, 99_999, required=True, whole=True),
            "status": Parameter(400, 499, default=400, whole=True),
        },
    ),
    "throttle": (Phase.ANSWER, {"retry_after_s": Parameter(0, 3_600, whole=True)}),
    "error_before_accept": (Phase.ANSWER, {"status": _STATUS_5XX}),
    "error_after_accept": (Phase.ANSWER, {"status": _STATUS_5XX}),
    "hold_before_accept": (Phase.ANSWER, {"hold_s": _HOLD}),
    "hold_after_accept": (Phase.ANSWER, {"hold_s": _HOLD}),
    "drop_before_accept": (Phase.ANSWER, {}),
    "drop_after_accept": (Phase.ANSWER, {}),
    "slow": (Phase.ANSWER, {"delay_s": Parameter(0, 600, required=True)}),
    "duplicate_callbacks": (Phase.CALLBACKS, {}),
    "reordered_callbacks": (Phase.CALLBACKS, {}),
    "no_callbacks": (Phase.CALLBACKS, {}),
    "undelivered": (
        Phase.CALLBACKS,
        {"code": Parameter(10_000, 99_999, default=30_003, whole=True)},
    ),
    "lookup_error": (Phase.LIST, {"status": _STATUS_5XX}),
    "lookup_throttle": (Phase.LIST, {"retry_after_s": Parameter(0, 3_600, whole=True)}),
    "lookup_drop": (Phase.LIST, {}),
    "lookup_lag": (Phase.LOOKUP, {"lag_s": Parameter(0, 86_400, required=True)}),
}
VENDORS = ("twilio",)
_MATCH = ("to", "reference", "body_contains")


class BadScript(ValueError):
    """The script is not understood; `field` says where."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.field = name


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong, with its numbers."""

    name: str
    numbers: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def phase(self) -> Phase:
        """What it changes."""
        return FAULTS[self.name][0]

    def whole(self, name: str) -> int:
        """Return a number that is a whole one; 0 when it is absent."""
        return int(self.numbers.get(name) or 0)


@dataclass(slots=True)
class Script:
    """A fault for the messages of one vendor that match, so many times."""

    id: int
    vendor: str
    match: Mapping[str, str]
    fault: Fault
    left: int | None  # None: always

    def fits(self, vendor: str, to: str, reference: str | None, body: str) -> bool:
        """Say whether a message is one that this script is about."""
        values = {"to": to, "reference": reference}
        return (
            self.vendor == vendor
            and self.left != 0
            and self.match.get("body_contains", "") in body
            and all(values[name] == self.match[name] for name in values if name in self.match)
        )


class Faults:
    """The scripts, oldest first."""

    def __init__(self) -> None:
        self._scripts: list[Script] = []
        self._ids = itertools.count(1)

    def add(self, data: object) -> Script:
        """Take a posted script; BadScript."""
        script = _read_script(data, next(self._ids))
        self._scripts.append(script)
        return script

    def take(
        self, phase: Phase, *, vendor: str, to: str, reference: str | None, body: str
    ) -> Fault | None:
        """Return the first fault of this phase that fits, and count it as used."""
        for script in self._scripts:
            if script.fault.phase is phase and script.fits(vendor, to, reference, body):
                if script.left is not None:
                    script.left -= 1
                return script.fault
        return None

    def clear(self) -> None:
        """Forget all scripts."""
        self._scripts.clear()

    def __iter__(self) -> Iterator[Script]:
        return iter(self._scripts)


def show(script: Script) -> dict[str, object]:
    """Return a script as it was posted, with its id and how often it is still to be used."""
    return {
        "id": script.id,
        "vendor": script.vendor,
        "match": dict(script.match),
        "fault": script.fault.name,
        **script.fault.numbers,
        "left": script.left,
    }


def _read_script(data: object, number: int) -> Script:
    if not isinstance(data, dict):
        raise BadScript("", "a script is a JSON object")
    name, vendor = data.get("fault"), data.get("vendor")
    if vendor not in VENDORS:
        raise BadScript("vendor", f"one of {', '.join(VENDORS)}")
    if not isinstance(name, str) or name not in FAULTS:
        raise BadScript("fault", f"one of {', '.join(FAULTS)}")
    parameters = FAULTS[name][1]
    for key in data.keys() - {"vendor", "match", "fault", "times"} - parameters.keys():
        raise BadScript(key, f"{name} does not take it")
    numbers = {key: _number(data, key, parameter) for key, parameter in parameters.items()}
    times = data.get("times", 1)
    if times is not None:
        times = int(_number(data, "times", Parameter(1, 1_000_000, default=1, whole=True)) or 1)
    return Script(number, vendor, _read_match(data.get("match", {})), Fault(name, numbers), times)


def _number(data: Mapping[str, object], key: str, parameter: Parameter) -> float | None:
    value = data.get(key, parameter.default)
    if value is None and not parameter.required:
        return parameter.default
    kinds = (int,) if parameter.whole else (int, float)
    if type(value) not in kinds or not parameter.low <= value <= parameter.high:  # type: ignore[operator]
        kind = "whole number" if parameter.whole else "number"
        raise BadScript(key, f"a {kind} from {parameter.low:g} to {parameter.high:g}")
    return value  # type: ignore[return-value]


def _read_match(data: object) -> dict[str, str]:
    if not isinstance(data, dict):
        raise BadScript("match", "a JSON object")
    for key, value in data.items():
        if key not in _MATCH:
            raise BadScript(f"match.{key}", f"one of {', '.join(_MATCH)}")
        if not isinstance(value, str) or not value:
            raise BadScript(f"match.{key}", "a text that is not empty")
    return data


class Holds:
    """Requests that are being held now."""

    def __init__(self) -> None:
        self._held: dict[asyncio.Event, Mapping[str, object]] = {}

    async def hold(self, about: Mapping[str, object], hold_s: float | None) -> None:
        """Return after `hold_s` seconds (None: HOLD_S_MAX) or when released.

        CancelledError: the client went away meanwhile.
        """
        released = asyncio.Event()
        self._held[released] = about
        try:
            async with asyncio.timeout(HOLD_S_MAX if hold_s is None else hold_s):
                await released.wait()
        except TimeoutError:
            return
        finally:
            del self._held[released]

    def release(self) -> int:
        """Let all go; return how many."""
        for released in self._held:
            released.set()
        return len(self._held)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        return iter(self._held.values())
