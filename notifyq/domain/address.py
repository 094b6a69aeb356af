"""Addresses in the one form in which they are compared, hashed and sent to.

The only rule module that leans on outside packages: numbering plans are data that somebody must
keep current, and libphonenumber's are kept; so are email-validator's rules for mail. No I/O is
done, nobody's DNS is asked.
"""

import re
from dataclasses import dataclass
from typing import assert_never

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from notifyq.domain.model import Channel

# What people put between the digits. Extensions, letters and other scripts' digits are refused:
# libphonenumber drops or rewrites them, and somebody else would get the message.
_PLAIN = re.compile(r"\+[0-9 ().-]+")
_TOLL_FREE = phonenumbers.PhoneNumberType.TOLL_FREE
EMAIL_LENGTH_MAX = 254  # RFC 5321 4.5.3.1.3: 256 with the angle brackets
PLATFORMS = ("ios", "android", "web")
APP_LENGTH_MAX = 155  # Apple's limit on a bundle id; Google's package names are shorter
# Apple: "don't assume a length"; today's are 64 digits. Google says nothing; they are about 160.
TOKEN_LENGTH_MAX = 4_096
_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_APPLE_TOKEN = re.compile(r"([0-9a-f]{2}){16,}")
_TOKEN = re.compile(r"[!-~]+")


class BadAddress(ValueError):
    """The text is no address that could be sent to; the message says the mend."""


def normal_phone(text: str) -> str:
    """Return an international phone number as E.164 (`+14155550123`).

    BadAddress: no country code, not a number, or a number that its country does not give out.
    """
    if not text.startswith("+"):
        raise BadAddress("must be in international form: + and country code, like +14155550123")
    if not _PLAIN.fullmatch(text):
        raise BadAddress("must have digits only (and spaces, dots, hyphens), like +14155550123")
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as error:
        raise BadAddress("is not a phone number; write it like +14155550123") from error
    if not phonenumbers.is_valid_number(number):
        raise BadAddress("is not a number that its country gives out; check the digits")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def sends_in_us(phone: str) -> bool:
    """Whether a number, in its normal form, is one of the United States or toll-free there."""
    number = phonenumbers.parse(phone)
    return number.country_code == 1 and (
        is_toll_free(phone) or phonenumbers.region_code_for_number(number) in (None, "US")
    )


def is_toll_free(phone: str) -> bool:
    """Whether a number, in its normal form, costs its callers nothing."""
    return phonenumbers.number_type(phonenumbers.parse(phone)) == _TOLL_FREE


def normal_email(text: str) -> str:
    """Return a mail address in lower case, its domain in ASCII (`ann@xn--exmple-cua.org`).

    Case counts for no mailbox that people use, and two spellings must not be two people to an
    opt-out. BadAddress: not an address, one for special use, or a local part that is not ASCII
    (SES and SendGrid take none).
    """
    try:
        found = validate_email(
            text, check_deliverability=False, allow_smtputf8=False, allow_quoted_local=False
        )
    except EmailNotValidError as error:
        raise BadAddress(f"is no mail address: {error}") from error
    if found.ascii_email is None or len(found.ascii_email) > EMAIL_LENGTH_MAX:
        raise BadAddress(f"is longer than {EMAIL_LENGTH_MAX} characters; check it")
    return found.ascii_email.lower()


@dataclass(frozen=True, slots=True)
class Device:
    """Where a push goes: one app on one device."""

    platform: str
    app: str  # the bundle id or package name
    token: str

    @property
    def address(self) -> str:
        """The one form in which it is compared and hashed: `ios:org.example.app:0a1b…`."""
        return f"{self.platform}:{self.app}:{self.token}"


def normal_device(platform: str, app: str, token: str) -> Device:
    """Return a device; BadAddress names what is wrong with its platform, app or token."""
    if platform not in PLATFORMS:
        raise BadAddress(f"platform must be one of {', '.join(PLATFORMS)}")
    if len(app) > APP_LENGTH_MAX or not _APP.fullmatch(app):
        raise BadAddress("app must be a bundle id or package name, like org.example.app")
    if len(token) > TOKEN_LENGTH_MAX:
        raise BadAddress(f"token must have at most {TOKEN_LENGTH_MAX} characters")
    if platform == "ios":
        token = token.lower()
        if not _APPLE_TOKEN.fullmatch(token):
            raise BadAddress("token must be the hexadecimal digits that APNs gave the app")
    elif not _TOKEN.fullmatch(token):
        raise BadAddress("token must be what FCM gave the app: printable ASCII without spaces")
    return Device(platform, app, token)


def read_device(address: str) -> Device:
    """Return the device of an address; BadAddress if it is none. Tokens may hold a colon."""
    parts = address.split(":", 2)
    if len(parts) != 3:
        raise BadAddress("must be platform:app:token, like ios:org.example.app:0a1b…")
    return normal_device(*parts)


def normal(channel: Channel, text: str) -> str:
    """Return an address of a channel in its one form; BadAddress."""
    match channel:
        case Channel.SMS:
            return normal_phone(text)
        case Channel.EMAIL:
            return normal_email(text)
        case Channel.PUSH:
            return read_device(text).address
        case Channel.WEBHOOK:
            raise BadAddress("a webhook endpoint has an id, and no address of this kind")
        case never:
            assert_never(never)


def channel_of(text: str) -> Channel:
    """Say what kind of address somebody typed: a mail address, a device, or else a number."""
    if "@" in text:
        return Channel.EMAIL
    return Channel.PUSH if text.count(":") >= 2 else Channel.SMS
