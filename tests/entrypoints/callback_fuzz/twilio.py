"""Twilio, as it signs: HMAC of the URL and the sorted form, by the account's token or a shared key.

The genuine ones by the account's token are signed by Twilio's own library.
"""

import base64
import hmac
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, quote_plus, unquote_to_bytes, urlencode, urlsplit

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from tests.entrypoints.callback_fuzz import odd
from tests.entrypoints.callback_fuzz.changes import respelt_base64
from tests.entrypoints.callback_fuzz.shots import (
    NOTHING,
    PUBLIC_URL,
    Claim,
    Judgement,
    Shot,
    Stage,
    Written,
    url_of,
)

SIGNATURE = "X-Twilio-Signature"
SETTINGS = "X-Twilio-Webhooks-Signature-Settings"
FORM = "application/x-www-form-urlencoded"
OUR_NUMBER = "+14155550110"
STAGES = {
    **dict.fromkeys(("accepted", "queued", "sending", "sent"), Stage.SENT),
    **dict.fromkeys(("undelivered", "failed"), Stage.UNDELIVERED),
    **dict.fromkeys(("delivered", "read"), Stage.DELIVERED),
}
_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
_NUMBER = re.compile(r"\+?[0-9]{3,15}")
_FIELDS_MAX = 100  # of what is read; more are no callback
_NAMES = (
    *("ErrorCode", "RawDlrDoneDate", "Body") * 3, "MessageStatus", "SmsStatus", "MessageSid",
    "SmsSid", "To", "From", "ErrorMessage", "NumMedia", "AccountSid", "reference", "",
)  # fmt: skip
_LIKELY = (
    "30003", "30005", "2611230200", "9913319999", "0000000000", *STAGES, "SM" + "a" * 32, "SM",
    "+14155550123", "12345",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Twilio:
    """One account, whose callbacks are signed by its token or by a shared key."""

    name: str
    secret: str
    others: tuple[str, ...]  # secrets that are not this account's
    key: str | None = None  # the shared key's name
    channel: str = "sms"

    def genuine(self, dice: random.Random, reference: str) -> Shot:
        """Return a status, or now and then a message to us."""
        sid = f"SM{dice.getrandbits(128):032x}"
        form = {
            "ApiVersion": "2010-04-01",
            "AccountSid": "AC" + "1" * 32,
            "From": OUR_NUMBER,
            "To": "+14155550123",
            "MessageSid": sid,
            "SmsSid": sid,
        }
        if dice.random() < 0.15:
            form |= {"From": "+14155550199", "To": OUR_NUMBER, "SmsStatus": "received"}
            form |= {"Body": dice.choice(["STOP", "Stop \u00fc", ""]), "NumMedia": "0"}
        else:
            status = dice.choice([*STAGES])
            form |= {"MessageStatus": status, "SmsStatus": status}
            if STAGES[status] is Stage.UNDELIVERED:
                form["ErrorCode"] = dice.choice(["30003", "30005", "30007"])
        query = f"reference={reference}"
        return self.signed(query.encode(), urlencode(form).encode(), form)

    def weird(self, dice: random.Random, reference: str) -> Shot:
        """Return a form with odd fields, or an odd query, signed."""
        base = self.genuine(dice, reference)
        fields = parse_qsl(base.body.decode(), keep_blank_values=True)
        for _ in range(dice.randint(1, 4)):
            name, value = dice.choice(_NAMES), odd.text(dice, _LIKELY)
            at = dice.randrange(len(fields) + 1)
            match dice.randrange(5):
                case 0:
                    fields = [one for one in fields if one[0] != name]
                case 1:
                    fields.insert(at, (name, value))
                case 2:
                    fields += [(name, value)] * dice.choice([2, 95, 300])
                case _:
                    fields = [(n, value if n == name else v) for n, v in fields]
                    fields += [] if any(n == name for n, _ in fields) else [(name, value)]
        raw = "&".join(f"{_escaped(n)}={_escaped(v)}" for n, v in fields).encode()
        if dice.random() < 0.15:
            at = dice.randrange(len(raw) + 1)
            raw = raw[:at] + dice.choice(odd.PIECES) + raw[at:]
        query = base.query
        if dice.random() < 0.2:
            odd_one = _escaped(odd.text(dice)).encode()
            query = dice.choice([b"", b"reference=" + odd_one, query + odd_one, query + b"&x=1"])
        return self.signed(query, raw)

    def own_change(self, dice: random.Random, shot: Shot) -> Shot:
        """Return it with another signature, another key, or a field changed."""
        given = shot.header(SIGNATURE).decode("latin-1")
        match dice.randrange(6):
            case 0 | 1:
                new = respelt_base64(dice, given).encode("latin-1", "replace")
                return shot.but("signature", headers=shot.with_header(SIGNATURE, new))
            case 2:
                secret, how = dice.choice([*self.others, ""]), dice.choice(["sha1", "sha256"])
                new = _mac(secret, how, _text(shot)).encode()
                return shot.but("other key", headers=shot.with_header(SIGNATURE, new))
            case 3:
                named = dice.choice(
                    [None, b"", b"key=,algorithm=", b"key=other,algorithm=HMAC_SHA256"]
                    + [f"key={self.key},algorithm={how}".encode() for how in ("HMAC_SHA1", "none")]
                    + [f"algorithm=HMAC_SHA256, key={self.key}".encode()]
                )
                return shot.but("settings", headers=shot.with_header(SETTINGS, named))
            case 4:
                how = "sha256" if self.key is None else "sha1"
                new = _mac(self.secret, how, _text(shot)).encode()
                return shot.but("other hash", headers=shot.with_header(SIGNATURE, new))
        fields = parse_qsl(shot.body.decode("latin-1"), keep_blank_values=True) or [("", "")]
        at = dice.randrange(len(fields))
        fields[at] = (fields[at][0], odd.text(dice, _LIKELY))
        raw = "&".join(f"{_escaped(n)}={_escaped(v)}" for n, v in fields).encode()
        return shot.but("field", body=raw)

    def judge(self, shot: Shot, headers: Mapping[str, str], now: datetime) -> Judgement:
        """Say whether this account signed it, and what it holds."""
        url, fields = url_of(shot), _fields(shot.body)
        media_type = headers.get("content-type", FORM).partition(";")[0].strip().lower()
        if url is None or fields is None or media_type != FORM:
            return NOTHING
        if headers.get(SIGNATURE.lower()) not in self._expected(url, fields):
            return NOTHING
        named = headers.get(SETTINGS.lower())
        if (self.key is None) != (named is None) or (named and not self._is_ours(named)):
            return NOTHING
        return _held(url, dict(fields))

    def signed(self, query: bytes, body: bytes, form: Mapping[str, str] | None = None) -> Shot:
        """Return a callback, signed by Twilio's library where it knows how. form: the body."""
        path = f"/callbacks/{self.name}"
        headers = [(b"Content-Type", FORM.encode() + b"; charset=UTF-8"), (b"Host", b"10.0.0.7")]
        shot = Shot(self.name, path, query, tuple(headers), body)
        url = url_of(shot) or ""
        if self.key is None and form is not None:
            signature = RequestValidator(self.secret).compute_signature(url, dict(form))
        else:
            signature = _mac(self.secret, "sha256" if self.key else "sha1", _text(shot))
        headers.append((SIGNATURE.encode(), signature.encode()))
        if self.key is not None:
            named = f"key={self.key},algorithm=HMAC_SHA256"
            headers.append((SETTINGS.encode(), named.encode()))
        return Shot(self.name, path, query, tuple(headers), body)

    def _expected(self, url: str, fields: list[tuple[str, str]]) -> set[str]:
        tail = "".join(name + value for name, value in sorted(set(fields)))
        host = urlsplit(PUBLIC_URL).netloc
        urls = (url, url.replace(host, f"{host}:443", 1))
        return {_mac(self.secret, "sha256" if self.key else "sha1", one + tail) for one in urls}

    def _is_ours(self, named: str) -> bool:
        parts = dict(part.strip().partition("=")[::2] for part in named.split(","))
        return {n.strip(): v.strip() for n, v in parts.items()} == {
            "key": self.key,
            "algorithm": "HMAC_SHA256",
        }


def _held(url: str, fields: Mapping[str, str]) -> Judgement:
    sid, status = fields.get("MessageSid", ""), fields.get("MessageStatus")
    if not _SID.fullmatch(sid):
        return Judgement(signed=True)
    wrote = fields.get("SmsStatus") == "received" or "Body" in fields
    if status == "received" or (status is None and wrote):
        sender, to = fields.get("From", ""), fields.get("To", "")
        if not _NUMBER.fullmatch(sender) or not _NUMBER.fullmatch(to):
            return Judgement(signed=True)
        text = fields.get("Body", "").replace("\0", "\ufffd")
        return Judgement(signed=True, written=(Written(sid, sender, to, text),))
    references = [v for n, v in parse_qsl(urlsplit(url).query) if n == "reference"]
    if len(references) != 1 or status not in STAGES:
        return Judgement(signed=True)
    return Judgement(True, (Claim(references[0], sid, status or "", STAGES[status or ""]),))


def _fields(body: bytes) -> list[tuple[str, str]] | None:
    """Return the fields of a form; None if it is not strictly one."""
    parts = body.split(b"&") if body else []
    if len(parts) > _FIELDS_MAX or not all(b"=" in part for part in parts) or not body.isascii():
        return None
    if re.search(rb"%(?![0-9a-fA-F]{2})", body):
        return None
    try:
        return [
            (_unescaped(name), _unescaped(value))
            for name, _, value in (part.partition(b"=") for part in parts)
        ]
    except UnicodeDecodeError:
        return None


def _unescaped(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode()


def _escaped(text: str) -> str:
    return quote_plus(text.encode(errors="surrogatepass"))


def _text(shot: Shot) -> str:
    """Return what is signed of a request, as far as it is a form at all."""
    fields = parse_qsl(shot.body.decode("latin-1"), keep_blank_values=True)
    fields = _fields(shot.body) or fields
    return (url_of(shot) or "") + "".join(name + value for name, value in sorted(set(fields)))


def _mac(secret: str, how: str, text: str) -> str:
    digest = hmac.digest(secret.encode(), text.encode(errors="surrogatepass"), how)
    return base64.b64encode(digest).decode()
