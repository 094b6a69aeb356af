"""Names of things: uuidv7 inside, text with cell and kind outside.

A notification's id ends in sixteen zero bits; its deliveries are that id plus 1, 2, 3 …
So one range of the primary key holds a notification's deliveries, and no second index is needed.
The time in the id picks the leaf of every partitioned table, so an id alone finds its row.
"""

import base64
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

SMALLINT_MAX = 0x7FFF  # of PostgreSQL: cells and attempt numbers
DELIVERIES_MAX = 0xFFFF  # per notification: the sixteen low bits, zero being the notification

_RANDOM_MASK = (1 << 62) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PUBLIC = struct.Struct(">H16s")
_REFERENCE = struct.Struct(">H16sH")


class BadId(ValueError):
    """The text is no id of the kind asked for."""


def new_notification_id(at: datetime, random_bits: int) -> UUID:
    """Return a uuidv7 (RFC 9562) of the instant `at` whose low sixteen bits are zero.

    random_bits: at least 58 random bits; the rest is ignored. `at` is the database's time, to
    the millisecond. 12 of the bits fill rand_a, 46 the upper part of rand_b.
    """
    at_ms = (at - _EPOCH) // timedelta(milliseconds=1)
    rand_a = random_bits & 0xFFF
    rand_b = (random_bits >> 12 << 16) & _RANDOM_MASK
    return UUID(int=at_ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)


def delivery_id(notification_id: UUID, number: int) -> UUID:
    """Return the id of the notification's delivery `number`, 1 to DELIVERIES_MAX."""
    if not 1 <= number <= DELIVERIES_MAX:
        raise ValueError(f"delivery number {number} is outside 1..{DELIVERIES_MAX}")
    if notification_id.int & DELIVERIES_MAX:
        raise ValueError(f"{notification_id} is a delivery's id, not a notification's")
    return UUID(int=notification_id.int | number)


def notification_of(delivery: UUID) -> UUID:
    """Return the id of the notification that a delivery belongs to."""
    return UUID(int=delivery.int >> 16 << 16)


def instant_of(uuid7: UUID) -> datetime:
    """Return the millisecond, aware UTC, that a uuidv7 was made for."""
    return _EPOCH + timedelta(milliseconds=uuid7.int >> 80)


def floor_of(at: datetime) -> UUID:
    """Return the lowest uuidv7-shaped value of an instant: a partition's bound."""
    return UUID(int=(at - _EPOCH) // timedelta(milliseconds=1) << 80)


def public_id(kind: str, cell: int, uuid: UUID) -> str:
    """Return `<kind>_<29 characters>`: cell and id in base32hex, which sorts as the id does."""
    return f"{kind}_{_encode(_PUBLIC.pack(cell, uuid.bytes))}"


def read_public_id(kind: str, text: str) -> tuple[int, UUID]:
    """Return (cell, id) of a public id of this kind.

    BadId: another kind, another length, or characters that are not base32hex.
    """
    found, _, encoded = text.partition("_")
    if found != kind:
        raise BadId(f"not an id of kind {kind}")
    cell, raw = _PUBLIC.unpack(_decode(encoded, _PUBLIC.size))
    return _small(cell), UUID(bytes=raw)


def reference(cell: int, delivery: UUID, number: int) -> str:
    """Return the 32 characters planted at the provider for attempt `number` of a delivery."""
    return _encode(_REFERENCE.pack(cell, delivery.bytes, number))


def read_reference(text: str) -> tuple[int, UUID, int]:
    """Return (cell, delivery, attempt number) of a planted reference; BadId if it is none."""
    cell, raw, number = _REFERENCE.unpack(_decode(text, _REFERENCE.size))
    return _small(cell), UUID(bytes=raw), _small(number)


def _small(number: int) -> int:
    if number > SMALLINT_MAX:
        raise BadId(f"names a number above {SMALLINT_MAX}, which no row has")
    return number


def _encode(raw: bytes) -> str:
    return base64.b32hexencode(raw).decode().rstrip("=").lower()


def _decode(text: str, size_bytes: int) -> bytes:
    padded = text.upper() + "=" * (-len(text) % 8)
    try:
        raw = base64.b32hexdecode(padded.encode())
    except ValueError as error:  # binascii.Error and non-ASCII text are both ValueErrors
        raise BadId("not base32hex") from error
    if len(raw) != size_bytes or _encode(raw) != text:
        raise BadId("wrong length or not in canonical form")
    return raw
