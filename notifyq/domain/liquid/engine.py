"""The Liquid engine as untrusted templates may use it: no files, no clock, no end without a bound.

A template comes from a producer and runs in the process of the API. It sees its data and nothing
else: Liquid evaluates no Python, there is nothing to include, and `now` and `today` are taken out.
What it costs is counted, in characters: of each loop's body whenever it runs, of each value that
is read, of what filters take and make, of what is written. One budget (WORK_MAX) so bounds time,
memory and output at once, and it is the same on a fast machine and a slow one.
"""

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any, TextIO

from liquid import BoundTemplate, Environment, Markup
from liquid.context import RenderContext
from liquid.exceptions import LiquidError, LiquidInterrupt, ResourceLimitError
from liquid.token import Token
from liquid.undefined import StrictDefaultUndefined
from liquid.utils import ReadOnlyChainMap

from notifyq.domain.liquid.filters import FILTERS, check_made, check_taken
from notifyq.domain.liquid.source import BadSource, line_of, look_over
from notifyq.domain.liquid.tags import STEP, TAGS

# Characters. The longest HTML is 100,000, read once and written once. What takes longest for its
# cost, an empty value printed in a loop, takes 0.3 s for this much.
WORK_MAX = 400_000
READ = 10  # that reading a value costs, beside its length
DATA_VALUES_MAX = 2_000  # an order of 300 lines with six fields each
DATA_LENGTH_MAX = 65_536  # characters, as many as a request's body has bytes
RULE_LENGTH_MAX = 300  # of what is told of the engine's errors, which quote the template

_ABSENT = object()
# What the engine lets through of bad templates: its bugs are the template's fault, not a crash.
_SLIPS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Unrendered(ValueError):
    """A template cannot be rendered with this data; the message says the mend."""

    def __init__(self, rule: str, *, line: int | None = None, missing: Sequence[Any] = ()) -> None:
        """line: from 1. missing: the path in the data of what is undefined."""
        super().__init__(rule)
        self.line, self.missing = line, missing


class Program:
    """A source that was parsed."""

    def __init__(self, source: str, *, html: bool) -> None:
        """html: what is printed is escaped. BadSource if it is no template."""
        self.source = source
        self.markup = look_over(source)
        try:
            self._template = (_HTML if html else _PLAIN).from_string(source)
        except LiquidError as error:
            raise BadSource(_rule(error), _line(error.token, source)) from None
        except _SLIPS as error:
            raise BadSource(f"is no template: {type(error).__name__}") from None

    def variables(self) -> set[str]:
        """Return what it wants of the data: `order.eta`. BadSource: it names an unknown filter."""
        used = self._template.analyze(include_partials=False)
        for name, spans in used.filters.items():
            if name not in FILTERS:
                rule = f"there is no filter {name[:40]!r}; there are: {', '.join(sorted(FILTERS))}"
                raise BadSource(rule, line_of(self.source, spans[0].index))
        return {str(one) for found in used.globals.values() for one in found}

    def run(self, data: Mapping[str, object]) -> tuple[str, int]:
        """Return the text and its cost in work.

        Unrendered: the data does not do, or it takes too much work. Data is checked before.
        """
        context = _Context(self._template, globals=data)
        written, at = _Written(context), None
        try:
            context.charge(len(self.source))
            for node in self._template.nodes:
                at = node.token
                node.render(context, written)
        except LiquidError as error:
            missing = context.missing.get(str(error.message), ())
            line = _line(error.token or at, self.source)
            raise Unrendered(_rule(error), line=line, missing=missing) from None
        except LiquidInterrupt as error:
            raise Unrendered(f"{error} stands outside of a loop") from None
        except _SLIPS as error:
            raise Unrendered(f"cannot be rendered: {type(error).__name__}") from None
        return written.getvalue(), context.work


def check_data(data: Mapping[str, object]) -> None:
    """Raise Unrendered for more than templates get: DATA_VALUES_MAX, DATA_LENGTH_MAX.

    Comparing what is nested costs as much as there is of it, which no count along the way sees.
    """
    values, length, left = 0, 0, list[object]([data])
    while left:
        value = left.pop()
        values += 1
        if isinstance(value, str):
            length += len(value)
        elif isinstance(value, Mapping):
            length += sum(len(name) for name in value)
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        if values + len(left) > DATA_VALUES_MAX:
            raise Unrendered(f"must have at most {DATA_VALUES_MAX} values")
        if length > DATA_LENGTH_MAX:
            raise Unrendered(f"must have at most {DATA_LENGTH_MAX} characters")


class _Missing(StrictDefaultUndefined):
    """Raises when it is looked at, but for `default`."""

    __slots__ = ()


class _Context(RenderContext):
    __slots__ = ("missing", "work")

    def __init__(self, template: BoundTemplate, **more: Any) -> None:
        super().__init__(template, **more)
        self.work = 0
        self.missing: dict[str, Sequence[Any]] = {}  # by the message of the error
        self.scope = ReadOnlyChainMap(self.locals, self.globals)  # the engine's has the clock too

    def charge(self, characters: int) -> None:
        self.work += characters
        if self.work > WORK_MAX:
            rule = f"takes too much work: {WORK_MAX} characters, loops counted by their passes"
            raise ResourceLimitError(rule, token=None)

    def get(self, path: list[object], *, token: Token | None, default: object = _ABSENT) -> object:
        value = super().get(path, token=token, default=_ABSENT)
        if value is _ABSENT:
            if default is not _ABSENT:
                return default
            return self._undefined(path, token)
        self.charge(READ + _size(value))
        return value

    def _undefined(self, path: list[object], token: Token | None) -> object:
        root = path[0]
        name = ".".join(str(part) for part in path)
        rule = f"{name} is undefined"
        is_local = root in self.scope and root not in self.globals
        self.missing[rule] = () if is_local else path
        return _Missing(str(root), token=token, hint=rule)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        function = super().filter(name, token)

        def bounded(*values: object, **options: object) -> object:
            check_taken(name, values)
            self.charge(STEP + sum(_size(value) for value in values))
            made = function(*values, **options)
            self.charge(_size(made))
            check_made(name, made)
            return made

        return bounded

    def get_buffer(self, _: TextIO | None = None) -> StringIO:
        return _Written(self)


class _Written(StringIO):
    """What was written so far, charged as it comes."""

    def __init__(self, context: _Context) -> None:
        super().__init__()
        self._context = context

    def write(self, text: str) -> int:
        self._context.charge(len(text))
        return super().write(text)


class _Environment(Environment):
    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        for tag in TAGS:
            self.add_tag(tag)
        self.filters.update(FILTERS)


_SIZED = frozenset({str, Markup, list, tuple, dict, range})
_PLAIN, _HTML = _Environment(), _Environment(autoescape=True)


def _size(value: object) -> int:
    """Return what it costs to look at a value; an undefined one is not asked, it would raise."""
    return len(value) if type(value) in _SIZED else 1  # type: ignore[arg-type]


def _rule(error: LiquidError) -> str:
    return str(error.message)[:RULE_LENGTH_MAX]


def _line(token: Token | None, source: str) -> int | None:
    if token is None or not 0 <= token.start_index <= len(source):
        return None
    return line_of(source, token.start_index)
