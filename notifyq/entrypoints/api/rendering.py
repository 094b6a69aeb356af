"""What a template says, held to the rules of what a request may say itself.

One home for both: a template's content passes the very models that validate `content`, and then
what the providers' accounts would refuse for its size.
"""

from collections.abc import Callable, Mapping, Sequence

from pydantic import ValidationError

from notifyq.domain.content import Content, EmailContent, PushContent, SmsContent
from notifyq.domain.model import Channel
from notifyq.domain.template import BadTemplate, Rendered, Slip, Template, render
from notifyq.entrypoints.api import saying
from notifyq.entrypoints.api.faults import faults_of
from notifyq.entrypoints.api.problems import Fault

# Why some account would never send a content, for its size or its fields; None: each would.
Refusal = Callable[[Content], str | None]


def rendered(
    template: Template,
    channel: Channel,
    locale: str | None,
    data: Mapping[str, object],
    *,
    collapse_key: str | None = None,
    refusal: Refusal | None = None,
) -> Rendered | BadTemplate:
    """Return what a template says by a channel, if a request might say it too.

    locale, collapse_key: see domain/template.py. refusal: asked where no single account is known.
    """
    found = render(template, channel, locale, data, collapse_key=collapse_key)
    return found if isinstance(found, BadTemplate) else held(found, channel, refusal)


def held(
    found: Rendered, channel: Channel, refusal: Refusal | None = None
) -> Rendered | BadTemplate:
    """Return what was rendered if it keeps the rules of its channel's content."""
    place = f"/{found.locale}/{channel}"
    slips = [
        Slip(place + fault.pointer, f"what it says {fault.detail}") for fault in _faults(found)
    ]
    if not slips and refusal is not None and (rule := refusal(found.content)) is not None:
        slips.append(Slip(place, rule))
    return BadTemplate(tuple(slips)) if slips else found


def faults_in(bad: BadTemplate, data: str) -> list[Fault]:
    """Return what is wrong as faults of a request whose field `data`, a pointer, has the data.

    Each names the source that it is about, and points at what the data lacks.
    """
    return [Fault(data + _pointer(one.missing), _told(one)) for one in bad.slips]


def _pointer(path: Sequence[str]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _told(slip: Slip) -> str:
    return f"{slip.place.lstrip('/')}: {slip.rule}" if slip.place else slip.rule


def _faults(found: Rendered) -> list[Fault]:
    try:
        match found.content:
            case SmsContent(body):
                saying.SmsContent(body=body)
            case EmailContent(subject, text, html):
                saying.EmailContent(subject=subject, text=text, html=html)
            case PushContent(title, body, data):
                saying.PushContent(title=title, body=body, data=dict(data))
    except ValidationError as error:
        return faults_of(error)
    return []
