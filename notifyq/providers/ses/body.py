"""The mail as SES takes it: the body of SendEmail.

Owns its fields. The reference is a tag, which SES gives back in every event. Refuses control
characters in the subject and encodes them in a sender's name: a line break would begin a header.
"""

import json
import re
from collections.abc import Mapping
from email.header import Header

from notifyq.domain.content import EmailContent
from notifyq.domain.message import Message, Sender
from notifyq.providers.ses.events import TAG

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def refusal(content: EmailContent) -> str | None:
    """Return why SES is not asked to take it, with the mend; None if it is."""
    if _CONTROL.search(content.subject):
        return "must have no line break or control character in the subject"
    return None


def body(
    message: Message,
    content: EmailContent,
    configuration_set: str | None,
    headers: Mapping[str, str],
) -> bytes:
    """Return the JSON to be posted, in ASCII. headers: more of the mail, at most 15."""
    parts = {"Text": _text(content.body)}
    if content.html is not None:
        parts["Html"] = _text(content.html)
    simple: dict[str, object] = {"Subject": _text(content.subject), "Body": parts}
    if headers:
        simple["Headers"] = [{"Name": name, "Value": value} for name, value in headers.items()]
    email: dict[str, object] = {
        "FromEmailAddress": _mailbox(message.sender),
        "Destination": {"ToAddresses": [message.to]},
        "Content": {"Simple": simple},
        "EmailTags": [{"Name": TAG, "Value": message.reference}],
    }
    if configuration_set is not None:
        email["ConfigurationSetName"] = configuration_set
    return json.dumps(email, separators=(",", ":")).encode()


def _text(data: str) -> dict[str, str]:
    return {"Data": data, "Charset": "UTF-8"}


def _mailbox(sender: Sender) -> str:
    """Return a From of RFC 5322; a name that is not plain ASCII becomes encoded words (RFC 2047).

    Its local part must be ASCII and its domain punycode: SES takes no other address.
    """
    if not sender.name:
        return sender.address
    if sender.name.isascii() and sender.name.isprintable():
        quoted = sender.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{sender.address}>'
    name = sender.name.encode("utf-8", "replace").decode()
    words = Header(name, "utf-8", maxlinelen=75).encode(linesep="")
    return f"{words} <{sender.address}>"
