"""Twilio's callbacks: what one reports of a message of ours, or the message that somebody sent us.

Owns the form, the ranks and the reasons. Refuses what is not strictly a form before it is signed
for, and believes nothing before the signature holds. JSON with `bodySHA256` in the query is
refused: messaging calls back with forms only, so its fields would be guesses.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Bounce, Inbound, Receipt
from notifyq.domain.provider import BadCallback, Callback, Reading, Reported
from notifyq.providers.twilio.answer import CAP_ZONE, CAPPED
from notifyq.providers.twilio.signing import Keys, refusal_of

FORM = "application/x-www-form-urlencoded"
SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
THANKS = "<Response/>"  # TwiML that says: nothing to do

# Callbacks arrive in any order; a later stage wins.
RANKS: Mapping[str, int] = {
    **dict.fromkeys(("accepted", "queued"), 1),
    **{"sending": 2, "sent": 3},
    **dict.fromkeys(("undelivered", "failed"), RANK_UNDELIVERED),
    **{"delivered": RANK_DELIVERED, "read": RANK_DELIVERED + 1},
}

# Why a message did not arrive; twilio.com/docs/api/errors. None: it was about this message only.
# A code without a row says nothing about the number either.
BOUNCES: Mapping[str, Bounce | None] = {
    "30001": Bounce.OURS,  # our sender's queue overflowed: too much for its throughput
    "30002": Bounce.OURS,  # the account is suspended
    "30003": Bounce.SOFT,  # the handset is off or away; at times a landline
    "30004": Bounce.OPTED_OUT,  # blocked by the recipient or the carrier
    "30005": Bounce.DEAD,  # nobody has the number
    "30006": Bounce.DEAD,  # a landline, or a carrier that is not reached
    "30007": Bounce.CONTENT,  # a carrier's filter
    "30008": Bounce.SOFT,  # the carrier gives no reason: a number that never works looks so
    "30017": None,  # the carrier's network is congested
    "30023": Bounce.OURS,  # the brand's day at T-Mobile is full: see cap_zone_of()
    "30032": Bounce.OURS,  # the toll-free number is not verified
    "30034": Bounce.OURS,  # the number is in no registered campaign
    "30036": None,  # it expired in Twilio's own queue: the number was not tried
    "30500": None,  # Twilio's internal error
}

# RawDlrDoneDate is passed on from the carrier, to the minute and without a zone, and zones differ
# (twilio.com/en-us/changelog, 14 Feb 2023). Zones are quarters of an hour apart: read as UTC and
# this close to our clock, it is UTC.
DONE_S_AGO_MAX = 600
DONE_S_AHEAD_MAX = 60

_NO_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")
_FIELDS_MAX = 100  # a callback has about a dozen, an inbound message with pictures three
_CODE = re.compile(r"[!-~]{1,32}")  # theirs have five digits
_DONE = re.compile(r"[0-9]{10}")
_NUMBER = re.compile(r"\+?[0-9]{3,15}")  # E.164, or a short code


def read_callback(keys: Keys, callback: Callback, now: datetime) -> Reading:
    """Verify a callback and return what it reports. now: aware; the carrier's time is near it."""
    fields = _read_form(callback)
    if fields is None:
        return BadCallback("not a form")
    refusal = refusal_of(keys, callback, fields)
    if refusal is not None:
        return refusal
    named = dict(fields)
    sid, status = named.get("MessageSid", ""), named.get("MessageStatus")
    if not SID.fullmatch(sid):
        return BadCallback("no message sid")
    if status is None and (named.get("SmsStatus") == "received" or "Body" in named):
        status = "received"
    if status == "received":
        return _read_inbound(sid, named)
    return _read_receipt(callback.url, sid, status or "", named, now)


def _read_form(callback: Callback) -> list[tuple[str, str]] | None:
    if callback.headers.get("content-type", FORM).partition(";")[0].strip().lower() != FORM:
        return None
    if _NO_ESCAPE.search(callback.body):
        return None
    try:
        return parse_qsl(
            callback.body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_FIELDS_MAX,
        )
    except ValueError:  # also UnicodeDecodeError, for bytes outside ASCII or UTF-8
        return None


def _read_receipt(
    url: str, sid: str, status: str, fields: Mapping[str, str], now: datetime
) -> Reported | BadCallback:
    references = parse_qs(urlsplit(url).query).get("reference", [])
    if len(references) != 1:
        return BadCallback("no reference")
    if status not in RANKS:
        return BadCallback("no status that we know")
    rank, named = RANKS[status], fields.get("ErrorCode", "")
    code = named if _CODE.fullmatch(named) else None  # what is none is kept nowhere
    bounce = BOUNCES.get(code) if code and rank == RANK_UNDELIVERED else None
    at = _done_at(fields.get("RawDlrDoneDate", ""), now)
    zone = cap_zone_of(rank, code)
    receipt = Receipt(references[0], sid, status, rank, code, bounce, at, zone)
    return Reported(receipts=(receipt,), thanks=THANKS)


def cap_zone_of(rank: int, code: str | None) -> str | None:
    """Return where the day is full of a message that did not arrive; None: that was not why."""
    return CAP_ZONE if rank == RANK_UNDELIVERED and code == str(CAPPED) else None


def _done_at(text: str, now: datetime) -> datetime | None:
    """Return the carrier's YYMMDDhhmm as an instant; None where it cannot be known to be UTC."""
    if not _DONE.fullmatch(text):
        return None
    try:
        found = datetime.strptime(text, "%y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None
    ago = now - found
    near = timedelta(seconds=-DONE_S_AHEAD_MAX) <= ago <= timedelta(seconds=DONE_S_AGO_MAX)
    return found if near else None


def _read_inbound(sid: str, fields: Mapping[str, str]) -> Reported | BadCallback:
    sender, to = fields.get("From", ""), fields.get("To", "")
    if not _NUMBER.fullmatch(sender) or not _NUMBER.fullmatch(to):
        return BadCallback("not from a number to a number")
    body = fields.get("Body", "").replace("\0", "\ufffd")  # no text column takes a NUL
    return Reported(inbound=(Inbound(sid, sender, to, body),), thanks=THANKS)
