"""What a request says by each channel, in each language: its own content, or a template's."""

from notifyq.domain.content import Content
from notifyq.domain.locales import BadLocale, normal_locale
from notifyq.domain.model import Channel
from notifyq.domain.template import BadTemplate
from notifyq.domain.terms import Stamp
from notifyq.entrypoints.api.body import Body
from notifyq.entrypoints.api.knowing import Known
from notifyq.entrypoints.api.problems import Fault
from notifyq.entrypoints.api.rendering import faults_in, rendered

Said = tuple[Content, Stamp | None]


class Texts:
    """The texts of one request. A template is rendered once for each channel and locale."""

    def __init__(self, body: Body, known: Known) -> None:
        """known: with the template that the body names, if there is one."""
        self._body = body
        self._template = known.templates.get(body.template) if body.template else None
        # By channel and the locale whose text is taken: of many wanted locales there are few.
        self._said: dict[tuple[Channel, str | None], Said | list[Fault]] = {}

    def faults(self) -> list[Fault]:
        """Return what is wrong whomever it is said to."""
        if self._body.template is None or self._template is not None:
            return []
        return [Fault("/template", "there is no template of this name: PUT it first")]

    def has(self, channel: Channel) -> bool:
        """Whether anything is said by a channel."""
        if self._template is not None:
            return channel in self._template.channels()
        content = self._body.content
        return content is not None and content.of(channel, self._body.collapse_key) is not None

    def missing(self, channel: Channel) -> Fault:
        """Return what is wrong where a channel is named by which nothing is said."""
        if self._body.content is not None:
            return Fault(f"/content/{channel}", "is required: channels names it")
        rule = f"names {channel}, which the template has no text for: leave it out, or add one"
        return Fault("/channels", rule)

    def fault(self, channel: Channel, stamp: Stamp | None, rule: str) -> Fault:
        """Return what is wrong with something that is said by a channel."""
        if stamp is None:
            return Fault(f"/content/{channel}", rule)
        return Fault("/template", f"{stamp.locale}/{channel}: {rule}")

    def of(self, channel: Channel, wanted: str | None) -> Said | list[Fault]:
        """Return what is said by a channel that says something; or what is wrong with it.

        wanted: the locale; what is none gets the template's own.
        """
        template = self._template
        locale = None if template is None else template.locale_of(channel, _normal(wanted))
        key = channel, locale
        if key not in self._said:
            self._said[key] = self._of(channel, locale)
        return self._said[key]

    def _of(self, channel: Channel, locale: str | None) -> Said | list[Fault]:
        body, template = self._body, self._template
        if template is None:
            content = body.content.of(channel, body.collapse_key) if body.content else None
            assert content is not None  # `has` was asked before
            return content, None
        found = rendered(template, channel, locale, body.data or {}, collapse_key=body.collapse_key)
        if isinstance(found, BadTemplate):
            return faults_in(found, "/data")
        return found.content, Stamp(template.name, found.version, found.locale)


def _normal(locale: str | None) -> str | None:
    """Return a recipient's locale in its one form; None for what is none."""
    try:
        return normal_locale(locale) if locale else None
    except BadLocale:
        return None
