"""Hostile templates: each ends in time, with little memory, and with a reason."""

import re
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifyq.domain.liquid.engine import WORK_MAX, Program, Unrendered
from notifyq.domain.liquid.source import (
    MARKUP_MAX,
    SOURCE_LENGTH_MAX,
    TAG_COST,
    TAG_LENGTH_MAX,
    TAG_WORDS,
    BadSource,
    look_over,
)
from notifyq.domain.liquid.tags import TAGS

# Of the processor's time: the slowest takes 0.3 s, what is not bounded takes minutes.
SECONDS_MAX = 3.0
BYTES_MAX = 20_000_000

LONG = "x" * 30_000
NUMBERS = list(range(1_900))
# What each costs without its bound: for ever, or all memory.
COSTLY: list[tuple[str, dict[str, Any]]] = [
    ("{% for i in (1..100000000000) %}{% endfor %}", {}),
    ("{% for i in (1..1000000000) reversed %}{% endfor %}", {}),
    ("{% assign r = (1..1000000000) %}{% for i in r reversed %}{% endfor %}", {}),
    ("{% for i in (1..99999999999999999999999) %}{% endfor %}", {}),
    ("{% for i in (1..100) %}" * 6 + "x" + "{% endfor %}" * 6, {}),
    ("{% for i in (1..9999) %}" + "{{e}}" * 1_500 + "{% endfor %}", {"e": ""}),
    ("{% for i in (1..9999) %}" + "{%if e%}{%endif%}" * 99 + "{% endfor %}", {"e": ""}),
    ("{% for i in (1..9999) %}" + "{%#%}" * 900 + "{% for j in (1..999) %}{% endfor %}{% endfor %}",
     {}),
    ("{% for i in (1..9999) %}{% if " + "e or " * 90 + "e %}{% endif %}{% endfor %}", {"e": False}),
    ("{{ (1..1000000000) | join }}", {}),
    ("{{ (1..1000000000) | last }}{{ (1..1000000000) | reverse | first }}", {}),
    ("{% assign s = 'x' %}{% for i in (1..99) %}{% assign s = s | append: s %}{% endfor %}", {}),
    ("{% assign s = 'x' %}{% for i in (1..99) %}{% assign s = s | prepend: s %}{% endfor %}", {}),
    ("{% assign s = 'x' %}{% for i in (1..99) %}{% capture s %}{{s}}{{s}}{% endcapture %}"
     "{% endfor %}", {}),
    ("{{ e | replace: 'x', e }}", {"e": LONG}),
    ("{{ e | replace: '', e }}", {"e": LONG}),
    ("{% assign l = e | split: '' %}{{ l | join: e }}", {"e": LONG}),
    ("{% for i in (1..9999) %}{{ e | upcase | downcase | escape }}{% endfor %}", {"e": LONG}),
    ("{% for i in (1..9999) %}{{ e | url_encode }}{% endfor %}", {"e": "\U0001f600" * 999}),
    ("{% for i in (1..9999) %}{% if l contains 'x' %}{% endif %}{% endfor %}", {"l": [NUMBERS]}),
    ("{% for i in (1..9999) %}{% if l == m %}{% endif %}{% endfor %}",
     {"l": [NUMBERS[:900]], "m": [NUMBERS[:900]]}),
    ("{% for i in (1..9999) %}{% assign q = l | sort %}{% endfor %}",
     {"l": [[str(n) for n in NUMBERS]]}),
    ("{% for i in (1..9999) %}{{ 'x' | truncatewords: 9 | strip | strip }}{% endfor %}", {}),
    ("{% assign n = 9 %}{% for i in (1..99) %}{% assign n = n | times: n %}{% endfor %}", {}),
    ("{% assign n = 9.5 %}{% for i in (1..9999) %}{% assign n = n | times: n %}{% endfor %}", {}),
    ("{{ '2026-11-22' | date: '%1000000000d' }}", {}),
]  # fmt: skip


def bounded(source: str, data: dict[str, Any], *, html: bool = False) -> str:
    """Return why it was refused, "" for not; it must not have taken long."""
    began = time.thread_time()
    told = tried(source, data, html=html)
    took_s = time.thread_time() - began
    assert took_s < SECONDS_MAX, (source[:80], took_s)
    return told


def tried(source: str, data: dict[str, Any], *, html: bool = False) -> str:
    try:
        Program(source, html=html).run(data)
    except (BadSource, Unrendered) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("html", [False, True], ids=["text", "html"])
@pytest.mark.parametrize(("source", "data"), COSTLY, ids=lambda value: str(value)[:50])
def test_what_costs_too_much_is_ended(source: str, data: dict[str, Any], html: bool) -> None:
    assert re.search(
        r"work|number beyond|OverflowError|date knows", bounded(source, data, html=html)
    )


@pytest.mark.parametrize(("source", "data"), COSTLY, ids=lambda value: str(value)[:50])
def test_what_costs_too_much_takes_little_memory(source: str, data: dict[str, Any]) -> None:
    tracemalloc.start()
    try:
        tried(source, data)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < BYTES_MAX


# The engine's lexer alone takes seconds for the first few thousand bytes of these.
CATASTROPHIC = [
    "{{" * 50_000,
    "{%" * 50_000,
    "{{-" * 33_000,
    "{% raw %}" * 11_000,
    "{% doc %}" * 11_000,
    "{%-raw-%}" * 11_000,
    "{{" + " " * 90_000,
    "{{" + " " * 400 + "}}",
    "{% assign a = 1" + "\t" * 400 + "%}",
    ("{{" + (" " * 40 + "x") * 11 + "}}") * 200,
    ("{%if x" + (" " * 40 + "=") * 11 + "%}") * 200,
    ("{{" + "(" * 490 + "}}") * 200,
    ("{{" + "['" * 240 + "}}") * 200,
    ("{{" + "\"'" * 240 + "}}") * 200,
    ("{{ a" + "[a" * 160 + "]" * 160 + " }}") * 200,
    "{% if x %}" * 2_000,
    "{% case x %}" * 2_000,
    "{% case x %}",
    "{% case x %}{{ y }}",
    "{% comment %}" * 2_000,
    "{{x}}" * 20_000,
    "{%if x%}" + "{%elsif x%}" * 9_000 + "{%endif%}",
    "x" * (SOURCE_LENGTH_MAX + 1),
]


@pytest.mark.parametrize("source", CATASTROPHIC, ids=lambda source: source[:20])
def test_what_takes_the_lexer_long_is_refused_in_time(source: str) -> None:
    assert bounded(source, {})


def test_the_deepest_path_and_the_longest_tag_are_survived() -> None:
    assert "undefined" in bounded("{{ a" + "[a" * 160 + "]" * 160 + " }}", {"a": {}})
    longest = "{{ '" + "x" * (TAG_LENGTH_MAX - 6) + "' }}"
    assert bounded(longest, {}, html=True) == ""
    assert bounded(longest[:4] + "xx" + longest[4:], {}, html=True)
    most = MARKUP_MAX // (TAG_COST + 1)
    assert look_over("{{x}}" * most) == most * (TAG_COST + 1)
    assert "characters in tags" in bounded("{{x}}" * (most + 1), {"x": 1})


def test_a_mail_as_long_as_may_be_is_within_the_budget() -> None:
    text, cost = Program("x" * SOURCE_LENGTH_MAX, html=True).run({})
    assert len(text) == SOURCE_LENGTH_MAX
    lines = [{"name": "x" * 20, "price": "$10.00"} for _ in range(300)]
    row = "<tr><td>{{ line.name }}</td><td>{{ line.price | upcase }}</td></tr>"
    table = f"{'<p>x</p>' * 4_000}{{% for line in lines %}}{row}{{% endfor %}}"
    _, more = Program(table, html=True).run({"lines": lines})
    assert max(cost, more) <= WORK_MAX / 2


def test_the_tags_are_those_that_are_looked_for_and_include_nothing() -> None:
    names = {getattr(tag, "name", "") for tag in TAGS} - {"content", "output", "illegal"}
    assert names <= TAG_WORDS
    assert not {"include", "render", "extends", "raw", "liquid", "macro", "doc"} & TAG_WORDS


@pytest.mark.parametrize(
    "source",
    [
        "{{ name.__class__.__mro__ }}",
        "{{ name['__class__'] }}",
        "{{ list.append }}",
        "{{ object.keys }}",
        "{{ object.items }}",
        "{% for i in list %}{{ forloop.it }}{% endfor %}",
        "{% for i in list %}{{ forloop.__init__ }}{% endfor %}",
        "{% for i in list %}{{ forloop.parentloop.name }}{% endfor %}",
        "{{ env }}{{ self }}{{ template }}{{ context }}{{ partial }}{{ globals }}",
        "{{ name | format }}",
        "{{ name | attr: '__class__' }}",
        "{{ name | safe }}",
        "{{ name | map: '__class__' }}",
        "{% include '/etc/passwd' %}",
        "{% render '/etc/passwd' %}",
        "{%- include '/etc/passwd' -%}",
        "{% liquid include '/etc/passwd' %}",
        "{% extends '/etc/passwd' %}",
    ],
)
def test_there_is_nothing_but_the_data(source: str) -> None:
    data = {"name": "x", "list": [1], "object": {"a": 1}}

    def use() -> None:
        program = Program(source, html=False)
        program.variables()
        program.run(data)

    with pytest.raises((BadSource, Unrendered)):
        use()


PIECES = st.sampled_from(
    [
        *("{{", "}}", "{%", "%}", "{{-", "-%}", " ", "\n", "|", ":", ",", ".", "..", "(", ")", "["),
        *("]", "'", '"', "a", "b.c", "1", "-1", "1.5", "==", "contains", "and", "or", "in", "é"),
        *("for i in (1..9)", "for a in l", "if a", "assign x =", "capture x", "case a", "when 1"),
        *("reversed", "limit:", "offset:", "continue", "empty", "nil", "\0", "\u2028"),
        *("{{ a }}", "{% for i in l %}", "{{ i }}", "{% endfor %}", "{% if a %}", "{% endif %}"),
        *(f"{{% {word} %}}" for word in sorted(TAG_WORDS)),
        *(f"{{{{ a | {name}: 1 }}}}" for name in ("append", "join", "date", "sort", "split")),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=30), VALUES, VALUES, st.booleans())
def test_whatever_is_written_it_is_said_or_refused(
    pieces: list[str], a: Any, other: Any, html: bool
) -> None:
    bounded("".join(pieces), {"a": a, "l": other, "b": {"c": a}}, html=html)
