"""A template's source, looked over before the engine sees it: what it holds, and how long it is.

The engine's lexer is one regular expression. A brace that is never closed makes it search to the
end of the text, and a run of blanks inside a tag makes it try each of them: 4,000 bytes of `{{`
take it some four seconds, and the time grows with the square. So a source gets there only when
every tag is closed, short and known. This is one pass over the text, whatever it holds.
"""

import re

# Characters of one source: as much HTML as a mail may have, which is the longest content there is.
SOURCE_LENGTH_MAX = 100_000
# Characters inside the tags of one source, and TAG_COST more for each. Parsing costs up
# to 6 microseconds for each: a fifth of a second at this many.
MARKUP_MAX = 30_000
TAG_COST = 10
# Characters between two braces. Parsing takes up to three milliseconds for a tag of this length.
TAG_LENGTH_MAX = 500
BLANKS_MAX = 40  # in a row, in a tag: the lexer tries each

TAG_WORDS = frozenset(
    (
        *("#", "assign", "break", "capture", "case", "comment", "continue", "else", "elsif"),
        *("endcapture", "endcase", "endcomment", "endfor", "endif", "endunless", "for", "if"),
        *("unless", "when"),
    )
)
_OPEN = re.compile(r"\{\{|\{%")
_NAME = re.compile(r"-?\s*(#|\w*)")
_BLANKS = re.compile(rf"\s{{{BLANKS_MAX + 1}}}")
_CLOSE = {"{{": "}}", "{%": "%}"}


class BadSource(ValueError):
    """The source cannot be a template, or must not be one; the message says the mend."""

    def __init__(self, rule: str, line: int | None = None) -> None:
        """line: from 1; None where it is the whole."""
        super().__init__(rule)
        self.line = line


def look_over(source: str) -> int:
    """Return how much markup a source has; BadSource if the engine must not be given it."""
    if len(source) > SOURCE_LENGTH_MAX:
        raise BadSource(f"must have at most {SOURCE_LENGTH_MAX} characters, has {len(source)}")
    markup, at = 0, 0
    while found := _OPEN.search(source, at):
        start = found.end()
        end = source.find(_CLOSE[found[0]], start, start + TAG_LENGTH_MAX)
        try:
            _check(found[0], source[start:end], closed=end >= 0)
        except BadSource as fault:
            raise BadSource(str(fault), line_of(source, start)) from None
        markup, at = markup + TAG_COST + end - start, end + 2
        if markup > MARKUP_MAX:
            rule = f"must have at most {MARKUP_MAX} characters in tags, and {TAG_COST} a tag count"
            raise BadSource(rule, line_of(source, start))
    return markup


def line_of(source: str, index: int) -> int:
    """Return the line, from 1, in which a character stands."""
    return source.count("\n", 0, index) + 1


def _check(brace: str, inside: str, *, closed: bool) -> None:
    if not closed:
        raise BadSource(f"{brace} is not closed by {_CLOSE[brace]} within {TAG_LENGTH_MAX}")
    if _BLANKS.search(inside):
        raise BadSource(f"a tag has more than {BLANKS_MAX} blanks in a row")
    found = _NAME.match(inside)
    name = found[1] if found else ""
    if brace == "{%" and name not in TAG_WORDS:
        known = ", ".join(sorted(word for word in TAG_WORDS if not word.startswith("end")))
        raise BadSource(f"there is no tag {name[:40]!r} here; there are: {known}")
