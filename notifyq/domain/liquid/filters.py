"""The filters that a template may use: what each takes, and what it makes of it.

A list of what is allowed. Not on it is what reads the clock, what marks text as safe HTML, what
hides a missing value, and what costs more than its input is long. Most are the engine's own; ours
are those whose own version would be too free: `date` (guesses a format, knows `now`, hands the
form to the C library), `join` (prints what is no text) and `replace` (may grow by the product).
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from liquid import Markup
from liquid.builtin.filters import array, math, misc, string
from liquid.exceptions import FilterArgumentError, LiquidTypeError
from liquid.filter import num_arg, with_context

from notifyq.domain.zones import BadZone, zone

# A result beyond this is no price and no count. Squaring in a loop would make numbers of megabytes.
NUMBER_MAX = 10**15
_SCALARS = (str, int, float)  # bool is an int
_DIRECTIVE = re.compile(r"%(-?)(.?)", re.DOTALL)
_DIRECTIVES = frozenset("aAbBdHIjmMpSyYzZ")

Filter = Callable[..., Any]


def plain_text(value: object, shown: object) -> str:
    """Return a value as a template says it; LiquidTypeError for what has no text of its own.

    shown: its name, for the error. An undefined value raises as soon as it is looked at.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    if value is None:
        rule = f"{shown} is null: give it a value, or write | default: '…'"
    else:
        kind = "an object" if isinstance(value, dict) else "a list"
        rule = f"{shown} is {kind}: name what of it is to be said"
    raise LiquidTypeError(rule, token=None)


def check_taken(name: str, values: Iterable[object]) -> None:
    """Raise if a filter is given what it does not take, to the left or as an argument."""
    left, *arguments = values
    if name != "default" and (name not in LIST_FILTERS or left is None):
        _check_scalar(name, left)
    for value in arguments:
        _check_scalar(name, value)
    if name in NUMBER_FILTERS:
        for value in (left, *arguments):
            num_arg(value)


def check_made(name: str, value: object) -> None:
    """Raise if a filter made a number that nobody means."""
    if isinstance(value, int | float) and not abs(value) <= NUMBER_MAX:  # not: NaN too
        raise LiquidTypeError(f"{name} makes a number beyond {NUMBER_MAX}", token=None)


def _check_scalar(name: str, value: object) -> None:
    if not isinstance(value, _SCALARS):
        plain_text(value, f"what {name} is given")


@with_context
def _date(text: object, form: object, place: object = None, *, context: Any) -> str:
    """Write a time: `date: "%B %-d"`, and with a zone `date: "%H:%M", "America/New_York"`."""
    try:
        time = datetime.fromisoformat(str(text))
        if place is not None and time.tzinfo is None:
            raise ValueError
        shown = time if place is None else time.astimezone(zone(str(place)))
    except BadZone as error:
        raise FilterArgumentError(f"date: the zone {error}", token=None) from None
    except ValueError:
        rule = "date needs a time like 2026-11-22T18:00:00Z"
        raise FilterArgumentError(rule, token=None) from None
    return _DIRECTIVE.sub(lambda found: _directive(shown, found[1], found[2]), str(form))


def _directive(time: datetime, dash: str, letter: str) -> str:
    if letter == "%":
        return "%"
    if letter not in _DIRECTIVES or not letter:
        known = " ".join(f"%{one}" for one in sorted(_DIRECTIVES))
        raise FilterArgumentError(f"date knows {known}, and %-d without its zero", token=None)
    text = time.strftime(f"%{letter}")
    return (text.lstrip("0") or "0") if dash else text


@with_context
def _join(items: Any, separator: object = " ", *, context: Any) -> str:
    if not isinstance(items, list | tuple | range):
        raise FilterArgumentError("join takes a list", token=None)
    between = plain_text(separator, "the separator")
    context.charge(len(items) * len(between))
    texts = [
        item if isinstance(item, str) else plain_text(item, "an item of the list") for item in items
    ]
    return Markup(between).join(texts) if _is_html(context, separator) else between.join(texts)


def _is_html(context: Any, separator: object) -> bool:
    """Whether a separator was written in an HTML template, so that it is HTML itself."""
    return bool(context.autoescape and (isinstance(separator, Markup) or separator == " "))


@with_context
def _replace(text: object, old: object, new: object = "", *, context: Any) -> str:
    one, other = str(old), str(new)
    context.charge(str(text).count(one) * len(other))
    return string.replace(text, old, new)  # type: ignore[no-any-return]


_TEXT: dict[str, Filter] = {
    name: getattr(string, name)
    for name in (
        *("append", "capitalize", "downcase", "escape", "lstrip", "newline_to_br", "prepend"),
        *("remove", "rstrip", "split", "strip", "strip_newlines", "truncate", "truncatewords"),
        *("upcase", "url_encode"),
    )
}
_NUMBERS: dict[str, Filter] = {
    "abs": math.abs_,
    "round": math.round_,
    **{
        name: getattr(math, name)
        for name in (
            *("at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus"),
            "times",
        )
    },
}
_LISTS: dict[str, Filter] = {
    "first": array.first,
    "join": _join,
    "last": array.last,
    "reverse": array.reverse,
    "size": misc.size,
    "sort": array.sort,
}
FILTERS: dict[str, Filter] = {
    **_TEXT,
    **_NUMBERS,
    **_LISTS,
    "date": _date,
    "default": misc.default,
    "replace": _replace,
}
LIST_FILTERS, NUMBER_FILTERS = frozenset(_LISTS), frozenset(_NUMBERS)
