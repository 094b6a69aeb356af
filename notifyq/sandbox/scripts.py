"""Scripts: faults that were posted, each for the messages that match it, so many times.

Refuses a script that it does not understand completely, and names the field.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from notifyq.sandbox.faults import (
    CODES,
    FAULTS,
    OF_HTTP,
    OF_HTTP2,
    VENDORS,
    Fault,
    Parameter,
    Phase,
)

_CODE = re.compile(r"[!-~]{1,64}")
_MATCH = ("to", "reference", "body_contains")


class BadScript(ValueError):
    """The script is not understood; `field` says where."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.field = name


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
        **({} if script.fault.code is None else {"code": script.fault.code}),
        "left": script.left,
    }


def _read_script(data: object, number: int) -> Script:
    if not isinstance(data, dict):
        raise BadScript("", "a script is a JSON object")
    name, vendor = data.get("fault"), data.get("vendor")
    if vendor not in VENDORS:
        raise BadScript("vendor", f"one of {', '.join(VENDORS)}")
    known = [each for each in FAULTS if _can(vendor, each)]
    if name not in known:
        raise BadScript("fault", f"one of {', '.join(known)}")
    kind = FAULTS[name]
    taken = {"vendor", "match", "fault", "times"} | kind.parameters.keys()
    for key in data.keys() - taken - ({"code"} if kind.coded else set()):
        raise BadScript(key, f"{name} does not take it")
    numbers = {key: _number(data, key, parameter) for key, parameter in kind.parameters.items()}
    code = _code(data.get("code"), vendor, required=name == "refuse") if kind.coded else None
    times = data.get("times", 1)
    if times is not None:
        times = int(_number(data, "times", Parameter(1, 1_000_000, default=1, whole=True)) or 1)
    fault = Fault(name, numbers, code)
    return Script(number, vendor, _read_match(data.get("match", {})), fault, times)


def _can(vendor: str, name: str) -> bool:
    """Whether a fault can happen in a vendor's protocol."""
    if name in OF_HTTP2:
        return vendor == "apns"
    return name not in OF_HTTP or vendor != "smtp"


def _code(value: object, vendor: str, *, required: bool) -> int | str | None:
    bounds = CODES[vendor]
    if value is None and not required:
        return None
    if bounds is not None:
        if type(value) is not int or not bounds[0] <= value <= bounds[1]:
            raise BadScript("code", f"a whole number from {bounds[0]} to {bounds[1]}")
        return value
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        raise BadScript("code", "the vendor's own word: 1 to 64 printable characters")
    return value


def _number(data: Mapping[str, object], key: str, parameter: Parameter) -> float | None:
    value = data.get(key, parameter.default)
    if value is None and not parameter.required:
        return parameter.default
    right = type(value) is int or (type(value) is float and not parameter.whole)
    # mypy cannot know that `right` says what value is
    if not right or not parameter.low <= value <= parameter.high:  # type: ignore[operator]
        kind = "whole number" if parameter.whole else "number"
        raise BadScript(key, f"a {kind} from {parameter.low:g} to {parameter.high:g}")
    return value  # type: ignore[return-value]  # `right` has looked at it


def _read_match(data: object) -> dict[str, str]:
    if not isinstance(data, dict):
        raise BadScript("match", "a JSON object")
    for key, value in data.items():
        if key not in _MATCH:
            raise BadScript(f"match.{key}", f"one of {', '.join(_MATCH)}")
        if not isinstance(value, str) or not value:
            raise BadScript(f"match.{key}", "a text that is not empty")
    return data
