"""Addresses in the one form in which they are compared, hashed and sent to.

The only rule module that leans on an outside package: numbering plans are data that somebody
must keep current, and libphonenumber's are kept. It does no I/O.
"""

import re

import phonenumbers

# What people put between the digits. Extensions, letters and other scripts' digits are refused:
# libphonenumber drops or rewrites them, and somebody else would get the message.
_PLAIN = re.compile(r"\+[0-9 ().-]+")


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
