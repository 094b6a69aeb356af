"""Every row and rule of the project's sheet on consent has a test that carries its number.

The sheet is its own document, so what it asks for is listed here. Where NOTIFYQ_CONSENT_SHEET names
the file, the list is compared with it too.
"""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# Sections with their last row, and their last rule.
ROWS = {"11.1": 9, "11.2": 9, "13": 23, "14": 14}
RULES = {"11.2": 9, "13": 11}
LATER = {
    "14.4": "a failover that loses what was heard last belongs to the regions",
    "14.12": "there is no RCS yet: texts with and without pictures share one row of consent",
}
# Where a row's number stands in the name of a test, and where in the id of one of its cases.
BY_NAME = (
    "domain/test_hours.py", "domain/test_zones.py", "domain/test_places.py", "races/test_cap.py",
    "services/test_optout_rows.py",
)  # fmt: skip
BY_ID = ("domain/test_address.py", "domain/test_wording.py")
_NAMED = re.compile(r"_(\d\d)_(\d+)(?=_)")
_ID = re.compile(r"(11\.[12](?: rule |\.)\d+)(?= |$)")


def wanted() -> set[str]:
    rows = {f"{section}.{n}" for section, last in ROWS.items() for n in range(1, last + 1)}
    return rows | {f"{s} rule {n}" for s, last in RULES.items() for n in range(1, last + 1)}


def named(tree: ast.AST) -> Iterator[str]:
    """Yield the rows that stand in the names of tests: `test_row_13_7_…`, `test_rule_13_7_…`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kind = re.match(r"test_(row|rule)s?_", node.name)
            found = _NAMED.findall(node.name) if kind else ()
            between = " rule " if kind and kind[1] == "rule" else "."
            yield from (f"{section}{between}{n}" for section, n in found)


def identified(tree: ast.AST) -> Iterator[str]:
    """Yield the rows that begin a string: the id of a case."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = _ID.match(node.value)
            if found is not None:
                yield found[1]


def carried() -> set[str]:
    trees = {name: ast.parse((TESTS / name).read_text("utf-8")) for name in (*BY_NAME, *BY_ID)}
    names = {row for file in BY_NAME for row in named(trees[file])}
    return names | {row for file in BY_ID for row in identified(trees[file])}


def test_every_row_has_a_test_or_a_reason_why_not() -> None:
    assert wanted() - carried() == set(LATER)


def test_no_test_carries_a_row_that_there_is_not() -> None:
    assert carried() <= wanted()


def test_the_list_is_that_of_the_sheet() -> None:
    place = os.environ.get("NOTIFYQ_CONSENT_SHEET")
    if not place:
        pytest.skip("NOTIFYQ_CONSENT_SHEET names no sheet")
    assert found_in(Path(place).read_text("utf-8")) == (ROWS, RULES)


def found_in(sheet: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the last row and the last rule of each section, as the sheet has them."""
    parts = {
        title[1]: text
        for title, text in (
            (re.match(r"#+ ([\d.]*\d)", part), part) for part in re.split(r"(?m)^(?=##)", sheet)
        )
        if title is not None
    }
    rows = {section: last_row(parts[section]) for section in ROWS}
    rules = {section: len(re.findall(r"(?m)^\d+\. ", parts[section])) for section in RULES}
    return rows, rules


def last_row(text: str) -> int:
    """Return how many rows the section's table has, without its head and the line below it."""
    return len(re.findall(r"(?m)^\|", text)) - 2
