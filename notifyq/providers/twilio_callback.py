"""Twilio's status callbacks: whether one is Twilio's, and what it reports.

Owns the form, the signature and the ranks. Refuses what is not strictly a form before it is signed
for, and believes nothing before the signature holds. Signatures by a shared key (SHA-256) are not
read: such a callback counts as unsigned.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, parse_qsl, urlsplit

from notifyq.domain.model import RANK_DELIVERED, RANK_UNDELIVERED, Receipt
from notifyq.domain.provider import BadCallback, BadSignature, Callback

FORM = "application/x-www-form-urlencoded"
SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")

# Callbacks arrive in any order; a later stage wins.
RANKS: Mapping[str, int] = {
    **dict.fromkeys(("accepted", "queued"), 1),
    **{"sending": 2, "sent": 3},
    **dict.fromkeys(("undelivered", "failed"), RANK_UNDELIVERED),
    **{"delivered": RANK_DELIVERED, "read": RANK_DELIVERED + 1},
}

_NO_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")
_FIELDS_MAX = 100  # a status callback has about a dozen


def read_status(token: bytes, callback: Callback) -> Receipt | BadSignature | BadCallback:
    """Verify a callback with the account's token and return the receipt in it."""
    given = callback.headers.get("x-twilio-signature")
    if given is None:
        return BadSignature("no signature")
    fields = _read_form(callback)
    if fields is None:
        return BadCallback("not a form")
    expected = _signatures(token, callback.url, fields)
    if not any([hmac.compare_digest(given.encode(), each) for each in expected]):
        return BadSignature("signature differs")
    return _read_receipt(callback.url, dict(fields))


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


def _signatures(token: bytes, url: str, fields: list[tuple[str, str]]) -> list[bytes]:
    """Return base64(HMAC-SHA1(token, url + each distinct name + value, sorted)), per spelling.

    Twilio signs the URL that it called, but with and without the port by turns.
    """
    tail = "".join(name + value for name, value in sorted(set(fields)))
    texts = [(each + tail).encode(errors="surrogatepass") for each in _spellings(url)]
    return [base64.b64encode(hmac.new(token, text, hashlib.sha1).digest()) for text in texts]


def _spellings(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443}.get(parts.scheme, 80)
    except ValueError:  # from a Host header that is none: no signature can be right
        return (url,)
    bare = re.sub(r":\d*$", "", parts.netloc)
    hosts = (bare, f"{bare}:{port}")
    return (url, *(parts._replace(netloc=host).geturl() for host in hosts))


def _read_receipt(url: str, fields: Mapping[str, str]) -> Receipt | BadCallback:
    references = parse_qs(urlsplit(url).query).get("reference", [])
    if len(references) != 1:
        return BadCallback("no reference")
    sid, status = fields.get("MessageSid", ""), fields.get("MessageStatus", "")
    if not SID.fullmatch(sid):
        return BadCallback("no message sid")
    if status not in RANKS:
        return BadCallback("no status that we know")
    return Receipt(references[0], sid, status, RANKS[status], fields.get("ErrorCode") or None)
