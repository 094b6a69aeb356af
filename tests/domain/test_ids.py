"""Ids: the layout of a uuidv7, a notification's family, and the text that goes outside."""

import base64
import struct
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyq.domain.ids import (
    DELIVERIES_MAX,
    BadId,
    delivery_id,
    floor_of,
    instant_of,
    new_notification_id,
    notification_of,
    public_id,
    read_public_id,
    read_reference,
    reference,
)

AT = datetime(2026, 11, 22, 10, 30, 0, 123_000, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
RANDOM_BITS = 58
ID = UUID("019abcde-f012-7345-8678-9abcdef00000")
DELIVERY = delivery_id(ID, 1)

few = settings(max_examples=40, deadline=None)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

instants = st.timedeltas(timedelta(0), timedelta(days=2_900_000)).map(lambda past: EPOCH + past)
random_bits = st.integers(0, 2**64 - 1)
uuids = st.integers(0, 2**128 - 1).map(lambda value: UUID(int=value))
cells = st.integers(0, 0x7FFF)
numbers = st.integers(1, DELIVERIES_MAX)
smallints = st.integers(0, 0x7FFF)


@few
@given(instants, random_bits)
def test_a_notification_id_is_a_uuidv7_with_sixteen_low_zeros(at: datetime, bits: int) -> None:
    made = new_notification_id(at, bits)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int & 0xFFFF == 0
    assert instant_of(made) == at.replace(microsecond=at.microsecond // 1000 * 1000)


def test_every_random_bit_has_a_place_of_its_own_and_no_other_counts() -> None:
    bare = new_notification_id(AT, 0).int
    places = [
        (new_notification_id(AT, 1 << n).int ^ bare).bit_length() - 1 for n in range(RANDOM_BITS)
    ]
    assert sorted(places) == [*range(16, 62), *range(64, 76)]
    assert new_notification_id(AT, 1 << RANDOM_BITS).int == bare
    every = new_notification_id(AT, 2**RANDOM_BITS - 1)
    assert new_notification_id(AT, 2**64 - 1) == every
    assert (every.int ^ bare).bit_count() == RANDOM_BITS


@few
@given(instants, random_bits, random_bits)
def test_a_later_millisecond_sorts_later_whatever_the_dice(
    at: datetime, one: int, other: int
) -> None:
    assert new_notification_id(at, one) < new_notification_id(at + MILLISECOND, other)


@few
@given(instants, st.integers(0, 2**58 - 1), st.integers(0, 2**58 - 1))
def test_two_ids_of_one_millisecond_differ_as_their_dice_do(
    at: datetime, one: int, other: int
) -> None:
    same = new_notification_id(at, one) == new_notification_id(at, other)
    assert same == (one == other)


def test_an_instant_that_a_uuidv7_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="128-bit"):
        new_notification_id(EPOCH - timedelta(microseconds=1), 0)
    with pytest.raises(TypeError):
        new_notification_id(AT.replace(tzinfo=None), 0)


@pytest.mark.parametrize("number", [-1, 0, DELIVERIES_MAX + 1])
def test_a_delivery_number_out_of_bounds_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=rf"{number} is outside 1\.\.65535"):
        delivery_id(ID, number)


@pytest.mark.parametrize("number", [1, 2, DELIVERIES_MAX - 1, DELIVERIES_MAX])
def test_a_delivery_number_within_bounds_is_the_low_sixteen_bits(number: int) -> None:
    assert delivery_id(ID, number).int - ID.int == number


@few
@given(instants, random_bits, numbers, numbers)
def test_deliveries_lie_in_order_behind_their_notification(
    at: datetime, bits: int, one: int, other: int
) -> None:
    notification = new_notification_id(at, bits)
    first, second = delivery_id(notification, one), delivery_id(notification, other)
    assert notification < first < UUID(int=notification.int + DELIVERIES_MAX + 1)
    assert (first < second) == (one < other)
    assert notification_of(first) == notification_of(second) == notification
    assert notification_of(notification) == notification
    assert instant_of(first) == instant_of(notification)


@few
@given(instants, random_bits)
def test_a_floor_parts_the_ids_of_its_instant_from_those_before(at: datetime, bits: int) -> None:
    floor = floor_of(at)
    assert floor < new_notification_id(at, bits)
    if at >= EPOCH + MILLISECOND:
        assert new_notification_id(at - MILLISECOND, bits) < floor
    assert floor.int & ((1 << 80) - 1) == 0


def test_public_forms_are_what_producers_and_providers_have_stored() -> None:
    assert public_id("ntf", 3, ID) == "ntf_001g36lsrro14sq5gps9lf6uu0000"
    assert reference(3, DELIVERY, 2) == "001g36lsrro14sq5gps9lf6uu0002002"


@few
@given(cells, uuids)
def test_a_public_id_reads_back(cell: int, uuid: UUID) -> None:
    text = public_id("dlv", cell, uuid)
    assert len(text) == len("dlv_") + 29
    assert read_public_id("dlv", text) == (cell, uuid)


@few
@given(cells, uuids, st.integers(0, 0x7FFF))
def test_a_reference_reads_back(cell: int, delivery: UUID, number: int) -> None:
    text = reference(cell, delivery, number)
    assert len(text) == 32
    assert text.isalnum()
    assert read_reference(text) == (cell, delivery, number)


@few
@given(st.tuples(cells, uuids), st.tuples(cells, uuids))
def test_public_ids_sort_as_cell_and_id_do(one: tuple[int, UUID], other: tuple[int, UUID]) -> None:
    assert (public_id("ntf", *one) < public_id("ntf", *other)) == (one < other)


@few
@given(st.tuples(cells, uuids, smallints), st.tuples(cells, uuids, smallints))
def test_references_sort_as_cell_delivery_and_number_do(
    one: tuple[int, UUID, int], other: tuple[int, UUID, int]
) -> None:
    assert (reference(*one) < reference(*other)) == (one < other)


@pytest.mark.parametrize(
    ("cell", "number"), [(-1, 1), (0x10000, 1), (0, -1), (0, 0x10000)], ids=str
)
def test_what_a_reference_has_no_room_for_is_a_bug(cell: int, number: int) -> None:
    with pytest.raises(struct.error):
        reference(cell, DELIVERY, number)


GOOD = public_id("ntf", 3, ID)
NOT_AN_ID = {
    "empty": "",
    "kind alone": "ntf",
    "nothing behind the kind": "ntf_",
    "other kind": public_id("dlv", 3, ID),
    "kind in upper case": "NTF" + GOOD[3:],
    "upper case": "ntf_" + GOOD[4:].upper(),
    "one letter in upper case": GOOD.replace("f", "F").replace("ntF", "ntf"),
    "one character short": GOOD[:-1],
    "one character more": GOOD + "0",
    "bits set in the padding": GOOD[:-1] + "1",
    "padding written out": GOOD + "===",
    "line end": GOOD + "\n",
    "space in front": " " + GOOD,
    "second underscore": "ntf__" + GOOD[4:],
    "no letter of base32hex": GOOD[:-1] + "w",
    "no digit of base32hex": GOOD[:-1] + "-",
    "not ASCII": GOOD[:-1] + "é",
    "upper case is ASCII, this is not": GOOD[:-3] + "\u0131" + GOOD[-2:],
    "digits of another script": GOOD[:-1] + "\u0660",
    "lone surrogate": GOOD[:-1] + "\ud800",
    "NUL": GOOD[:-1] + "\0",
}


@pytest.mark.parametrize("text", NOT_AN_ID.values(), ids=NOT_AN_ID)
def test_what_is_no_canonical_public_id_is_refused(text: str) -> None:
    with pytest.raises(BadId):
        read_public_id("ntf", text)


REFERENCE = reference(3, DELIVERY, 2)


@pytest.mark.parametrize(
    "text",
    ["", REFERENCE[:-1], REFERENCE + "0", REFERENCE.upper(), REFERENCE[:-1] + "z", GOOD],
    ids=["empty", "short", "long", "upper case", "letter", "public id"],
)
def test_what_is_no_canonical_reference_is_refused(text: str) -> None:
    with pytest.raises(BadId):
        read_reference(text)


any_text = st.binary().map(lambda raw: raw.decode("latin-1"))
near_ids = st.text("0123456789abcdefghijklmnopqrstuvwxyzABV=_\u0131ß\n", min_size=28, max_size=33)


@few
@given(near_ids | any_text)
def test_only_the_one_text_that_public_id_makes_is_read(text: str) -> None:
    try:
        cell, uuid = read_public_id("ntf", "ntf_" + text)
    except BadId:
        return
    assert public_id("ntf", cell, uuid) == "ntf_" + text


@few
@given(near_ids | any_text)
def test_only_the_one_text_that_reference_makes_is_read(text: str) -> None:
    try:
        cell, delivery, number = read_reference(text)
    except BadId:
        return
    assert reference(cell, delivery, number) == text


def test_numbers_that_no_row_can_have_are_no_ids() -> None:
    uuid = UUID(int=5)
    for cell in (0x7FFF, 0x8000):
        encoded = base64.b32hexencode(cell.to_bytes(2, "big") + uuid.bytes)
        text = "ntf_" + encoded.decode().rstrip("=").lower()
        if cell <= 0x7FFF:
            assert read_public_id("ntf", text) == (cell, uuid)
        else:
            with pytest.raises(BadId, match="which no row has"):
                read_public_id("ntf", text)
    over = base64.b32hexencode(bytes(2) + uuid.bytes + b"\x80\x00").decode().rstrip("=").lower()
    with pytest.raises(BadId, match="which no row has"):
        read_reference(over)


def test_a_delivery_has_no_deliveries() -> None:
    with pytest.raises(ValueError, match="not a notification's"):
        delivery_id(UUID(int=1), 1)
