"""Templates: which text is taken, what becomes of it, and what is told when it does not do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyq.domain.content import EmailContent, PushContent, SmsContent
from notifyq.domain.locales import BadLocale, look_up_order, normal_locale
from notifyq.domain.model import Channel
from notifyq.domain.segments import encoding, segments
from notifyq.domain.template import BadTemplate, Rendered, Slip, Template, is_name, render
from notifyq.domain.template_checks import (
    FAILURES_MAX,
    check_sources,
    digest,
    kept,
    read_kept,
    render_example,
    variables,
)

SMS, EMAIL, PUSH = Channel.SMS, Channel.EMAIL, Channel.PUSH


def sms(source: str) -> dict[Channel, dict[str, str]]:
    return {SMS: {"body": source}}


def template(default: str = "en", /, **locales: Any) -> Template:
    sources = {name.replace("_", "-"): said for name, said in locales.items()}
    return Template("greeting", 3, default, sources)


def said(source: str, **data: Any) -> str:
    found = render(template(en=sms(source)), SMS, None, data)
    assert isinstance(found, Rendered), found
    assert isinstance(found.content, SmsContent)
    return found.content.body


def refused(source: str, **data: Any) -> Slip:
    found = render(template(en=sms(source)), SMS, None, data)
    assert isinstance(found, BadTemplate), found
    (slip,) = found.slips
    return slip


# ------------------------------------------------------------------------------- locales


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("EN", "en"),
        ("en-us", "en-US"),
        ("pt_br", "pt-BR"),
        ("zh-hANT-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("de-CH-1996", "de-CH-1996"),
        ("DE-de-U-CO-PHONEBK", "de-DE-u-co-phonebk"),
        ("fil", "fil"),
    ],
)
def test_a_locale_has_one_spelling(text: str, normal: str) -> None:
    assert normal_locale(text) == normal
    assert normal_locale(normal) == normal


@pytest.mark.parametrize("text", ["", "e", "english", "en-", "-en", "en--US", "en US", "a" * 36])
def test_what_is_no_language_tag_is_refused(text: str) -> None:
    with pytest.raises(BadLocale, match="en-US"):
        normal_locale(text)


@pytest.mark.parametrize(
    ("wanted", "default", "order"),
    [
        ("es-MX", "en", ["es-MX", "es", "en"]),
        (None, "pt-BR", ["pt-BR", "pt"]),
        ("zh-Hant-TW", "en-US", ["zh-Hant-TW", "zh-Hant", "zh", "en-US", "en"]),
        ("en-GB", "en", ["en-GB", "en"]),
        ("de-DE-u-co-phonebk", "de", ["de-DE-u-co-phonebk", "de-DE-u-co", "de-DE", "de"]),
    ],
)
def test_a_text_is_looked_for_by_rfc_4647(wanted: str, default: str, order: list[str]) -> None:
    assert look_up_order(wanted, default) == order


def test_each_channel_falls_back_by_itself() -> None:
    mail = {EMAIL: {"subject": "Hola", "text": "t"}}
    made = template("en", en=sms("Hello") | mail, es=sms("Hola"), es_MX=mail)
    found = {}
    for channel in (SMS, EMAIL):
        answer = render(made, channel, "es-MX", {})
        assert isinstance(answer, Rendered)
        found[channel] = answer.locale, answer.version
    assert found == {SMS: ("es", 3), EMAIL: ("es-MX", 3)}
    assert [made.locale_of(SMS, tag) for tag in ("fr", None, "en-GB")] == ["en", "en", "en"]
    assert made.channels() == [SMS, EMAIL]


def test_a_channel_without_a_text_is_said() -> None:
    found = render(template(en=sms("x")), PUSH, "fr", {})
    assert found == BadTemplate((Slip("", "template greeting has no push"),))


# ------------------------------------------------------------------------------- contents


def test_a_mail_is_escaped_in_html_and_only_there() -> None:
    sources = {
        "subject": "{{ name }}",
        "text": "{{ name }}",
        "html": '<p title="{{ name }}">{{ name }}</p>',
    }
    made = Template("x", 1, "en", {"en": {EMAIL: sources}})
    found = render(made, EMAIL, None, {"name": "<b> & \"'"})
    assert isinstance(found, Rendered)
    quoted = "&lt;b&gt; &amp; &#34;&#39;"
    assert found.content == EmailContent(
        "<b> & \"'", "<b> & \"'", f'<p title="{quoted}">{quoted}</p>'
    )


@pytest.mark.parametrize(
    "source",
    [
        "{{ bad }}",
        "{{ bad | append: '<i>' }}",
        "{{ '<i>' | append: bad }}",
        "{{ '<i>' | prepend: bad }}",
        "{{ '<i>x</i>' | replace: 'x', bad }}",
        "{{ bad | replace: '&', '<' }}",
        "{% capture c %}<i>{{ bad }}{% endcapture %}{{ c | strip }}{{ c | split: 'x' | last }}",
        "{% capture c %}{{ bad }}{% endcapture %}{{ c | remove: 'amp;' | replace: '&lt;', bad }}",
        "{{ list | join: '<i>' }}",
        "{{ list | join: bad }}",
        "{{ list | join }}",
        "{{ list | first }}{{ list | sort | last }}{{ list | reverse | first }}",
        "{{ bad | newline_to_br | strip_newlines | truncate: 99 | truncatewords: 99 }}",
        "{{ none | default: bad }}",
        "{{ bad | escape }}{{ bad | downcase | capitalize | strip | lstrip | rstrip }}",
        "{{ bad | url_encode }}",
        "{% assign a = bad %}{% for one in list %}{{ one }}{{ a }}{% endfor %}",
        "{% case bad %}{% when 'x' %}{% else %}{{ bad | split: '' | join: '' }}{% endcase %}",
    ],
)
def test_no_data_gets_into_html_as_html(source: str) -> None:
    bad = "<script>alert(1)</script>\n<SCRIPT>"
    sources = {"subject": "s", "text": "t", "html": source}
    made = Template("x", 1, "en", {"en": {EMAIL: sources}})
    assert check_sources(made) == []
    found = render(made, EMAIL, None, {"bad": bad, "list": [bad, bad]})
    assert isinstance(found, Rendered), found
    assert isinstance(found.content, EmailContent)
    assert "<script" not in (found.content.html or "").lower()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028", "\x0b"])
def test_a_subject_stays_one_line_so_it_begins_no_header(end: str) -> None:
    sources = {"subject": " {{ name }}\n for you ", "text": "t"}
    made = Template("x", 1, "en", {"en": {EMAIL: sources}})
    found = render(made, EMAIL, None, {"name": f"Bob{end}Bcc: all@example.org"})
    assert isinstance(found, Rendered)
    assert isinstance(found.content, EmailContent)
    assert found.content.subject == "Bob Bcc: all@example.org for you"


def test_a_push_has_data_whose_names_are_as_they_were_written() -> None:
    data = {"a/b~c": "{{ n }}", "n": "x{{ n }} "}
    sources = {PUSH: {"title": " {{ n }}", "body": "{{ n }}\n", "data": data}}
    found = render(Template("x", 1, "en", {"en": sources}), PUSH, None, {"n": 7}, collapse_key="k")
    assert isinstance(found, Rendered)
    assert found.content == PushContent("7", "7", {"a/b~c": "7", "n": "x7 "}, "k")
    missing = render(Template("x", 1, "en", {"en": sources}), PUSH, None, {})
    assert isinstance(missing, BadTemplate)
    places = [slip.place for slip in missing.slips]
    assert places == [f"/en/push/{at}" for at in ("title", "body", "data/a~1b~0c", "data/n")]


def test_blanks_around_a_text_message_are_not_paid_for() -> None:
    assert said("\n  {% if a %}\n  Hi\n  you  \n{% endif %}\n", a=True) == "Hi\n  you"


@pytest.mark.parametrize(
    ("source", "data", "text"),
    [
        ("{{ a }} {{ b }} {{ c }} {{ d }}", {"a": 1, "b": 2.5, "c": True, "d": ""}, "1 2.5 true"),
        ("{{ a.b[0].c }}", {"a": {"b": [{"c": "x"}]}}, "x"),
        ("{% for o in l %}{{ forloop.index }}{{ o }}{% endfor %}", {"l": ["a", "b"]}, "1a2b"),
        ("{% for i in (1..3) reversed %}{{ i }}{% endfor %}", {}, "321"),
        ("{% for i in l limit: 1 %}{{ i }}{% else %}none{% endfor %}", {"l": []}, "none"),
        ("{{ 1 | plus: 2 | times: 3 | minus: 1 | divided_by: 2 }}", {}, "4"),
        ("{{ 10.0 | divided_by: 4 | round: 1 }}", {}, "2.5"),
        ("{{ l | join: ', ' }}", {"l": ["a", 1, False]}, "a, 1, false"),
        ("{{ t | date: '%Y-%m-%d %H:%M %Z %%' }}", {"t": "2026-11-02T08:05:00Z"},
         "2026-11-02 08:05 UTC %"),
        ("{{ t | date: '%A, %B %-d, %-I:%M %p', 'America/New_York' }}",
         {"t": "2026-11-22T18:00:00Z"}, "Sunday, November 22, 1:00 PM"),
        ("{{ t | date: '%d.%m.' }}", {"t": "2026-11-02"}, "02.11."),
        ("{{ x | default: 'you' }}", {}, "you"),
        ("{{ x | default: 'you' }}", {"x": None}, "you"),
        ("{% assign x = x | default: false %}{% if x %}a{% else %}b{% endif %}", {}, "b"),
        ("{% # a note %}{% comment %}{{ x }}{% endcomment %}x", {}, "x"),
        ("{{ '{{' }}", {}, "{{"),
    ],
)  # fmt: skip
def test_it_says(source: str, data: dict[str, Any], text: str) -> None:
    assert check_sources(template(en=sms(source))) == []
    assert said(source, **data) == text


# --------------------------------------------------------------------- what does not do


@pytest.mark.parametrize(
    ("source", "data", "missing"),
    [
        ("{{ order }}", {}, ("order",)),
        ("{{ order.id }}", {"order": {}}, ("order", "id")),
        ("{{ order.lines[1].id }}", {"order": {"lines": [{}]}}, ("order", "lines", "1", "id")),
        ("{% if order %}{% endif %}x", {}, ("order",)),
        ("{% unless order == 1 %}{% endunless %}x", {}, ("order",)),
        ("{% case order %}{% when 1 %}{% endcase %}x", {}, ("order",)),
        ("{% for a in order %}{% endfor %}x", {}, ("order",)),
        ("{{ order | upcase }}", {}, ("order",)),
        ("{{ order | plus: 1 }}", {}, ("order",)),
        ("{{ 1 | plus: order }}", {}, ("order",)),
        ("{{ order | size }}", {}, ("order",)),
        ("{{ order | join }}", {}, ("order",)),
        ("{{ order | date: '%d' }}", {}, ("order",)),
        ("{% assign a = order %}{{ a }}", {}, ("order",)),
        ("{% if 'a' contains order %}{% endif %}", {}, ("order",)),
        ("{{ now }}", {}, ("now",)),
        ("{{ today }}", {}, ("today",)),
        ("{{ order.__class__ }}", {"order": "x"}, ("order", "__class__")),
        ("{{ order.items }}", {"order": {}}, ("order", "items")),
    ],
)
def test_what_is_undefined_is_named(source: str, data: Any, missing: tuple[str, ...]) -> None:
    slip = refused(source, **data)
    assert slip.place == "/en/sms/body"
    assert slip.rule == f"{'.'.join(missing)} is undefined"
    assert slip.missing == missing


def test_what_a_loop_does_not_find_is_no_path_of_the_data() -> None:
    slip = refused("{% for line in lines %}\n{{ line.nmae }}{% endfor %}", lines=[{}])
    assert slip == Slip("/en/sms/body", "line 2: line.nmae is undefined")


@pytest.mark.parametrize(
    ("source", "data", "says"),
    [
        ("{{ a }}", {"a": None}, "a is null: give it a value, or write | default: '…'"),
        ("{{ a | upcase }}", {"a": None}, "is null"),
        ("{{ a }}", {"a": {}}, "a is an object"),
        ("{{ a }}", {"a": []}, "a is a list"),
        ("{{ a | upcase }}", {"a": {}}, "is an object"),
        ("{{ 'x' | append: a }}", {"a": []}, "is a list"),
        ("{{ a | join }}", {"a": [None]}, "is null"),
        ("{{ a | join }}", {"a": "x"}, "join takes a list"),
        ("{{ 'abc' | plus: 1 }}", {}, "abc"),
        ("{{ 1 | divided_by: 0 }}", {}, "divide by 0"),
        ("{{ 1.5 | modulo: 0 }}", {}, "cannot be rendered"),
        ("{{ 'nan' | plus: 1 }}", {}, "number beyond"),
        ("{{ 'soon' | date: '%d' }}", {}, "2026-11-22T18:00:00Z"),
        ("{{ 'now' | date: '%d' }}", {}, "2026-11-22T18:00:00Z"),
        ("{{ '2026-11-22T18:00:00' | date: '%d', 'Europe/Berlin' }}", {}, "date needs"),
        ("{{ '2026-11-22T18:00:00Z' | date: '%d', 'Mars' }}", {}, "IANA"),
        ("{{ '2026-11-22' | date: '%9999999999d' }}", {}, "date knows"),
        ("{{ '2026-11-22' | date: '%s' }}", {}, "date knows"),
        ("{{ '2026-11-22' | date: '%' }}", {}, "date knows"),
        ("{% for i in 'text' %}{% endfor %}", {}, "no list"),
        ("{% for i in a %}{% endfor %}", {"a": {"b": 1}}, "no list"),
        ("{% break %}", {}, "outside of a loop"),
        ("{{ '' | truncate }}{{ a | sort }}", {"a": [1]}, "is a list"),
        ("{{ 'x' | upcase: 1, 2, 3 }}", {}, "upcase"),
    ],
)
def test_what_cannot_be_said_is_refused(source: str, data: Any, says: str) -> None:
    assert says in refused(source, **data).rule


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"a": [0] * 2_000}, "data must have at most 2000 values"),
        ({"a": {str(n): [] for n in range(2_000)}}, "at most 2000 values"),
        ({"a": "x" * 65_537}, "at most 65536 characters"),
        ({"x" * 40_000: "x" * 40_000}, "at most 65536 characters"),
    ],
)
def test_too_much_data_is_refused(data: Any, says: str) -> None:
    slip = refused("x", **data)
    assert says in slip.rule
    assert slip.place == ""


# --------------------------------------------------------------------------- to be saved


def test_a_channel_must_be_there_for_everybody() -> None:
    mail = {EMAIL: {"subject": "s", "text": "t"}}
    made = template("de-CH", de=sms("x"), de_CH={}, fr=mail)
    assert check_sources(made) == [Slip("/de-CH/email", "is required: other locales have it")]
    assert check_sources(template("de-CH", de_CH=mail, de=sms("x"), fr=sms("x"))) == []
    assert check_sources(template("it", de=sms("x"))) == [
        Slip("", "must have the default_locale, it")
    ]


def test_every_source_that_is_wrong_is_named() -> None:
    made = template(
        en={EMAIL: {"subject": "{{ a", "text": "ok", "html": "a\nb {{ c | safe }}"}},
        de={EMAIL: {"subject": "{% if %}{% endif %}", "text": "{% include 'x' %}"}},
    )
    found = {slip.place: slip.rule for slip in check_sources(made)}
    assert found.keys() == {
        "/en/email/subject",
        "/en/email/html",
        "/de/email/subject",
        "/de/email/text",
    }
    assert found["/en/email/subject"] == "line 1: {{ is not closed by }} within 500"
    assert found["/en/email/html"].startswith("line 2: there is no filter 'safe'; there are: abs")
    assert found["/de/email/text"].startswith("line 1: there is no tag 'include' here; there are:")
    assert found["/de/email/subject"].startswith("line 1: ")


def test_all_tags_together_have_a_limit() -> None:
    made = template(**{f"a{chr(n)}": sms("{{ a }}" * 2_000) for n in range(97, 103)}, en=sms("x"))
    rule = "must have at most 150000 characters in the tags of all texts"
    assert check_sources(made) == [Slip("", rule)]


def test_what_the_data_must_have_is_told() -> None:
    made = template(
        en=sms("{{ order.id }} {% for i in lines %}{{ i.name }}{{ forloop.index }}{% endfor %}"),
        de=sms("{% assign a = name | default: 'x' %}{{ a }}"),
    )
    assert variables(made) == ["lines", "name", "order.id"]


def test_an_example_is_rendered_in_every_text_until_it_is_too_much() -> None:
    made = template(en=sms("{{ a }}"), de=sms("{{ b }}"))
    (first, _, good), (second, _, bad) = render_example(made, {"a": 1})
    assert (first, second) == ("en", "de")
    assert isinstance(good, Rendered)
    assert bad == BadTemplate((Slip("/de/sms/body", "b is undefined", ("b",)),))


def test_examples_end_when_they_cost_too_much_in_all_or_fail_too_often() -> None:
    letters = [f"a{chr(n)}" for n in range(97, 123)]
    costly = sms("{% for i in (1..4500) %}{% assign a = i %}{% endfor %}x")
    found = list(render_example(template("aa", **dict.fromkeys(letters, costly)), {}))
    assert len(found) < 20
    assert isinstance(found[-1][2], BadTemplate)
    assert "too much work" in found[-1][2].slips[0].rule
    assert all(isinstance(one, Rendered) for _, _, one in found[:-1])
    wrong = list(render_example(template("aa", **dict.fromkeys(letters, sms("{{ x }}"))), {}))
    assert len(wrong) == FAILURES_MAX


def test_what_is_kept_comes_back_and_the_same_is_the_same() -> None:
    sources = {"en": sms("ü {{ a }}") | {PUSH: {"title": "t", "body": "b", "data": {"k": "v"}}}}
    text = kept("en", sources)
    back = read_kept("greeting", 3, text)
    assert back == Template("greeting", 3, "en", sources)
    assert kept(back.default_locale, back.sources) == text
    other_order = {"en": dict(reversed(sources["en"].items()))}
    assert digest(kept("en", other_order)) == digest(text)
    assert digest(kept("en", {"en": sms("u")})) != digest(text)
    assert len(digest(text)) == 32


@pytest.mark.parametrize("name", ["a", "order-shipped", "a.b_c-1", "x" * 100])
def test_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "A", "a b", "ü", "x" * 101, "a/b", "a\n"])
def test_no_name(name: str) -> None:
    assert not is_name(name)


@given(st.text(max_size=90))
def test_the_encoding_is_the_one_that_segments_counts_by(text: str) -> None:
    """80 more characters go into one part as septets, and not in UTF-16."""
    alone = segments("x" * 80 + text[:20])
    if encoding(text[:20]) == "utf16":
        assert alone > 1
    elif len(text[:20]) * 2 + 80 <= 160:
        assert alone == 1
