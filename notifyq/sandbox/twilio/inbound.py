"""What Twilio tells of a text message that somebody wrote to one of an account's numbers."""

import secrets

from notifyq.sandbox.segments import segments
from notifyq.sandbox.telling import Call
from notifyq.sandbox.twilio.callbacks import form_call
from notifyq.sandbox.twilio.rules import Account

# Advanced Opt-Out names these; twilio.com/docs/messaging/tutorials/advanced-opt-out.
_OPT_OUTS = {"STOP": "STOP", "START": "START", "HELP": "HELP"}


def heard(url: str, *, sender: str, to: str, body: str, account: Account | None = None) -> Call:
    """Return the callback, signed with the account's token; without one, the built-in account's."""
    whose = account or Account()
    sid = "SM" + secrets.token_hex(16)
    form = {
        "ToCountry": "US",
        "ApiVersion": "2010-04-01",
        "AccountSid": whose.sid,
        "MessageSid": sid,
        "SmsMessageSid": sid,
        "SmsSid": sid,
        "SmsStatus": "received",
        "From": sender,
        "To": to,
        "Body": body,
        "NumMedia": "0",
        "NumSegments": str(segments(body)),
    }
    opt_out = _OPT_OUTS.get(body.strip().upper())
    return form_call(url, whose.token, form if opt_out is None else {**form, "OptOutType": opt_out})
