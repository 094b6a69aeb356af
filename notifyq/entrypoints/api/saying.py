"""What to say, by channel: the contents of a request."""

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from notifyq.domain import content
from notifyq.domain.model import Channel
from notifyq.entrypoints.api.fields import Line, Strict, Text, present

SMS_LENGTH_MAX = 1_600  # characters: Twilio's limit on a message, and Sinch's
SUBJECT_LENGTH_MAX = 250  # characters; a header line has 998 bytes when it is encoded
TEXT_LENGTH_MAX = 50_000
HTML_LENGTH_MAX = 100_000  # Gmail cuts a longer one off
TITLE_LENGTH_MAX = 200
PUSH_BODY_LENGTH_MAX = 2_000  # all of a push has 4,096 bytes
DATA_ENTRIES_MAX = 20


class SmsContent(Strict):
    """A text message. Long ones go out, and are paid for, in several segments."""

    body: Annotated[Text, Field(min_length=1, max_length=SMS_LENGTH_MAX)]


class EmailContent(Strict):
    """A mail: plain text always, HTML beside it if you like."""

    subject: Annotated[Line, Field(min_length=1, max_length=SUBJECT_LENGTH_MAX)]
    text: Annotated[Text, Field(min_length=1, max_length=TEXT_LENGTH_MAX)]
    html: Annotated[Text, Field(min_length=1, max_length=HTML_LENGTH_MAX)] | None = None


class PushContent(Strict):
    """A push: what is shown, and what only the app reads."""

    title: Annotated[Text, Field(min_length=1, max_length=TITLE_LENGTH_MAX)]
    body: Annotated[Text, Field(min_length=1, max_length=PUSH_BODY_LENGTH_MAX)]
    data: (
        Annotated[
            dict[Annotated[Text, Field(min_length=1, max_length=64)], Text],
            Field(max_length=DATA_ENTRIES_MAX),
        ]
        | None
    ) = None


class Content(Strict):
    """What to say, by channel."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [present(name) for name in ("sms", "email", "push")]}
    )

    sms: SmsContent | None = None
    email: EmailContent | None = None
    push: PushContent | None = None

    @model_validator(mode="after")
    def _something(self) -> "Content":
        if self.sms is None and self.email is None and self.push is None:
            rule = "says nothing: add sms, email or push"
            raise PydanticCustomError("no_content", "{rule}", {"rule": rule})
        return self

    def of(self, channel: Channel, collapse_key: str | None) -> content.Content | None:
        """Return what is said by a channel; None for nothing."""
        if channel is Channel.SMS and self.sms is not None:
            return content.SmsContent(self.sms.body)
        if channel is Channel.EMAIL and self.email is not None:
            return content.EmailContent(self.email.subject, self.email.text, self.email.html)
        if channel is Channel.PUSH and self.push is not None:
            data = dict(self.push.data or {})
            return content.PushContent(self.push.title, self.push.body, data, collapse_key)
        return None
