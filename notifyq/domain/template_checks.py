"""What a version of a template must be to be saved; and the form in which it is kept."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from notifyq.domain.liquid.source import BadSource
from notifyq.domain.locales import look_up_order
from notifyq.domain.model import Channel
from notifyq.domain.template import (
    BadTemplate,
    Rendered,
    Slip,
    Sources,
    Template,
    each_source,
    render,
    slip,
)

LOCALES_MAX = 50
# In all sources of a version, as MARKUP_MAX counts: a second's work when it is saved.
TEMPLATE_MARKUP_MAX = 150_000
# In all renders with the example: what ten of the longest take.
EXAMPLE_WORK_MAX = 4_000_000
FAILURES_MAX = 5  # then the example is mended first: a render that fails may have cost the most


def check_sources(template: Template) -> list[Slip]:
    """Return what speaks against saving a version; every source of it is parsed then."""
    slips, markup = _uncovered(template), 0
    for place, _, source in each_source(template.sources):
        try:
            program = template.program(place, source)
            program.variables()
            markup += program.markup
        except BadSource as fault:
            slips.append(slip(place, fault))
        if markup > TEMPLATE_MARKUP_MAX:
            rule = f"must have at most {TEMPLATE_MARKUP_MAX} characters in the tags of all texts"
            return [*slips, Slip("", rule)]
    return slips


def variables(template: Template) -> list[str]:
    """Return what the data must have, over all its texts; for a template that was checked."""
    programs = [
        template.program(place, source) for place, _, source in each_source(template.sources)
    ]
    return sorted({name for program in programs for name in program.variables()})


def render_example(
    template: Template, example: Mapping[str, object]
) -> Iterator[tuple[str, Channel, Rendered | BadTemplate]]:
    """Yield (locale, channel, what it says) for each text; it ends early when it is too much."""
    work, failures = 0, 0
    for locale, channel in [(tag, one) for tag, by in template.sources.items() for one in by]:
        found = render(template, channel, locale, example)
        if isinstance(found, BadTemplate):
            failures += 1
        else:
            work += found.work
        if work > EXAMPLE_WORK_MAX:
            rule = "rendering all texts with the example takes too much work"
            found = BadTemplate((Slip("", rule),))
        yield locale, channel, found
        if work > EXAMPLE_WORK_MAX or failures == FAILURES_MAX:
            return


def kept(default_locale: str, sources: Sources) -> str:
    """Return the JSON in which a version is kept: the same content is always the same text."""
    whole = {"default_locale": default_locale, "locales": sources}
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> bytes:
    """Return the SHA-256 by which a version is compared with the one before."""
    return hashlib.sha256(text.encode()).digest()


def read_kept(name: str, version: int, text: str) -> Template:
    """Return the template that `kept` was given."""
    whole: Any = json.loads(text)
    sources = {
        locale: {Channel(channel): fields for channel, fields in by_channel.items()}
        for locale, by_channel in whole["locales"].items()
    }
    return Template(name, version, whole["default_locale"], sources)


def _uncovered(template: Template) -> list[Slip]:
    """Return a slip for each channel that a locale without a text of its own would not find."""
    if template.default_locale not in template.sources:
        return [Slip("", f"must have the default_locale, {template.default_locale}")]
    last = look_up_order(None, template.default_locale)
    return [
        Slip(f"/{template.default_locale}/{channel}", "is required: other locales have it")
        for channel in template.channels()
        if not any(channel in template.sources.get(tag, ()) for tag in last)
    ]
