"""Templates: what a version of one says, by locale and channel, and how it becomes a content.

A version never changes. Each channel falls back by itself: the wanted locale, its parents, the
template's default locale, its parents; so a template that was saved has a text for everybody.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from notifyq.domain.content import Content, EmailContent, PushContent, SmsContent
from notifyq.domain.liquid.engine import Program, Unrendered, check_data
from notifyq.domain.liquid.source import BadSource
from notifyq.domain.locales import look_up_order
from notifyq.domain.model import Channel

NAME_LENGTH_MAX = 100
_NAME = re.compile(rf"[a-z0-9._-]{{1,{NAME_LENGTH_MAX}}}")
# What a channel's content is made of; `data` of a push has a source for each of its values.
FIELDS = {
    Channel.SMS: ("body",),
    Channel.EMAIL: ("subject", "text", "html"),
    Channel.PUSH: ("title", "body", "data"),
}
_ONE_LINE = "subject"  # a line break in it could begin another header
_AS_IT_IS = ("text", "html")  # blanks at their ends cost nothing

# By locale, channel and field: a source, or for `data` sources by key.
Sources = Mapping[str, Mapping[Channel, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Slip:
    """One thing that is wrong: in which source, and where in the data if it lacks something."""

    place: str  # a JSON pointer below `locales`: /en/sms/body; "" for the data or the whole
    rule: str
    missing: tuple[str, ...] = ()  # the path in the data


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is said, and by which of a template's texts."""

    content: Content
    version: int
    locale: str
    work: int


@dataclass(frozen=True, slots=True)
class BadTemplate:
    """A template that cannot be used so, with everything that is wrong."""

    slips: tuple[Slip, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A version of a template. Its sources are parsed when they are used first, and kept."""

    name: str
    version: int
    default_locale: str
    sources: Sources
    _programs: dict[str, Program] = field(default_factory=dict, repr=False, compare=False)

    def locale_of(self, channel: Channel, wanted: str | None) -> str | None:
        """Return the locale whose text a channel uses; None: the template has none for it."""
        order = look_up_order(wanted, self.default_locale)
        return next((tag for tag in order if channel in self.sources.get(tag, ())), None)

    def channels(self) -> list[Channel]:
        """Return the channels that it has a text for, in a fixed order."""
        return [one for one in FIELDS if any(one in by for by in self.sources.values())]

    def program(self, place: str, source: str) -> Program:
        """Return a source parsed; BadSource if it is no template."""
        if (found := self._programs.get(place)) is None:
            found = self._programs[place] = Program(source, html=place.endswith("/email/html"))
        return found


def is_name(text: str) -> bool:
    """Say whether a template may have this name."""
    return _NAME.fullmatch(text) is not None


def render(
    template: Template,
    channel: Channel,
    locale: str | None,
    data: Mapping[str, object],
    *,
    collapse_key: str | None = None,
) -> Rendered | BadTemplate:
    """Return what a template says by a channel, in the wanted locale or the nearest that it has.

    locale: normal (locales.py); None for the template's own. collapse_key: of a push.
    A content's size is not judged here: its channel's own rules are for all contents.
    """
    found = template.locale_of(channel, locale)
    if found is None:
        return BadTemplate((Slip("", f"template {template.name} has no {channel}"),))
    try:
        check_data(data)
    except Unrendered as fault:
        return BadTemplate((Slip("", f"data {fault}"),))
    return _render(template, channel, found, data, collapse_key)


def each_source(sources: Sources) -> Iterator[tuple[str, str, str]]:
    """Yield every source: its place as a JSON pointer, its part of the content, its text."""
    for locale, by_channel in sources.items():
        for channel, fields in by_channel.items():
            for part, source in _parts(fields):
                yield f"/{locale}/{channel}/{part}", part, source


def _parts(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, source in fields.items():
        if name != "data":
            yield name, source
            continue
        yield from ((f"data/{_escaped(key)}", text) for key, text in source.items())


def slip(place: str, fault: BadSource | Unrendered) -> Slip:
    """Return what the engine found as a slip, with the line where that helps."""
    rule = str(fault)
    if fault.line is not None and (fault.line > 1 or isinstance(fault, BadSource)):
        rule = f"line {fault.line}: {rule}"
    missing = fault.missing if isinstance(fault, Unrendered) else ()
    return Slip(place, rule, tuple(str(part) for part in missing))


def _render(
    template: Template,
    channel: Channel,
    locale: str,
    data: Mapping[str, object],
    collapse_key: str | None,
) -> Rendered | BadTemplate:
    slips, texts, work = [], {}, 0
    for place, part, source in each_source({locale: {channel: template.sources[locale][channel]}}):
        try:
            text, cost = template.program(place, source).run(data)
        except (BadSource, Unrendered) as fault:
            slips.append(slip(place, fault))
        else:
            texts[part], work = _trimmed(part, text), work + cost
    if slips:
        return BadTemplate(tuple(slips))
    return Rendered(_content(channel, texts, collapse_key), template.version, locale, work)


def _trimmed(part: str, text: str) -> str:
    """Return a text as it is sent: blanks around a short one would be paid for, or shown."""
    if part == _ONE_LINE:
        return " ".join(text.split())
    return text if part in _AS_IT_IS or part.startswith("data/") else text.strip()


def _content(channel: Channel, texts: Mapping[str, str], collapse_key: str | None) -> Content:
    if channel is Channel.SMS:
        return SmsContent(texts["body"])
    if channel is Channel.EMAIL:
        return EmailContent(texts["subject"], texts["text"], texts.get("html"))
    found = ((part.partition("/"), text) for part, text in texts.items())
    data = {_unescaped(key): text for (_, slash, key), text in found if slash}
    return PushContent(texts["title"], texts["body"], data, collapse_key)


def _escaped(key: str) -> str:
    """Return a key as it stands in a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _unescaped(key: str) -> str:
    return key.replace("~1", "/").replace("~0", "~")
