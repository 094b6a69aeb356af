"""What a request says by each channel, in each language: its own content, or a template's."""

from notifyq.domain.content import Content
from notifyq.domain.model import Category, Channel
from notifyq.domain.terms import Stamp
from notifyq.entrypoints.api.body import Body
from notifyq.entrypoints.api.knowing import Known
from notifyq.entrypoints.api.problems import Fault

Said = tuple[Content, Stamp | None]


class Texts:
    """The texts of one request. A template is rendered once a channel and locale."""

    def __init__(self, body: Body, known: Known, category: Category) -> None:
        """known: with the template that the body names, if there is one."""
        self._body = body
        self._rendered: dict[tuple[Channel, str | None], Said | list[Fault]] = {}
        self._template = known.templates.get(body.template) if body.template else None

    def where(self, channel: Channel) -> str:
        """Return the pointer of what is said by a channel."""
        return f"/content/{channel}" if self._body.content else "/template"

    def has(self, channel):
        return (
            self._body.content is not None
            and self._body.content.of(channel, self._body.collapse_key) is not None
        )

    def of(self, channel, locale):
        key = (channel, None)
        if key not in self._rendered:
            self._rendered[key] = self._body.content.of(channel, self._body.collapse_key), None
        return self._rendered[key]
