"""Sinch's callbacks: what one reports that is known to be Sinch's."""

import base64
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sinch.domains.authentication.sinch_events.v1.authentication_validation import (  # type: ignore[import-untyped]
    calculate_sinch_event_signature,
    compute_signed_data,
)

from notifyq.domain.model import Bounce, Inbound, Receipt
from notifyq.domain.provider import BadCallback, Callback, Reading, Reported
from notifyq.providers.sinch.report import BOUNCES, BY_STATUS, RANKS
from notifyq.providers.wire import Lost
from tests.providers.test_sinch import BATCH, NOW, REFERENCE, SECRET, Script, sinch

URL = f"https://notify.example.com/callbacks/sinch?reference={REFERENCE}"
NONCE = "01FJA8B4A7BM43YGWSG9GBV067"
H = "x-sinch-webhook-signature"
SIGNED_AT = str(int(NOW.timestamp()))
AT = datetime(2026, 11, 23, 11, 59, 59, 210_000, tzinfo=UTC)
REPORT: dict[str, object] = {
    "type": "recipient_delivery_report_sms",
    "batch_id": BATCH,
    "recipient": "14155550100",
    "code": 0,
    "status": "Delivered",
    "at": "2026-11-23T11:59:59.210Z",
    "operator_status_at": "2026-11-23T11:59:00Z",
    "client_reference": REFERENCE,
}
SUMMARY: dict[str, object] = {
    "type": "delivery_report_sms",
    "batch_id": BATCH,
    "total_message_count": 1,
    "statuses": [{"code": 412, "status": "Aborted", "count": 1, "recipients": ["14155550100"]}],
    "client_reference": REFERENCE,
}
WRITTEN: dict[str, object] = {
    "type": "mo_text",
    "id": "01FC66621XXXXX119Z8PMV1QPA",
    "from": "14155550100",
    "to": "15005550006",
    "body": "STOP ü",
    "received_at": "2026-11-23T11:59:59.210Z",
}


def callback(
    body: object = REPORT,
    *,
    secret: str = SECRET,
    nonce: str = NONCE,
    timestamp: str = SIGNED_AT,
    **headers: str,
) -> Callback:
    """A callback as Sinch's own library would sign it."""
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    text = compute_signed_data(raw.decode("utf-8", "surrogateescape"), nonce, timestamp)
    try:
        signature = calculate_sinch_event_signature(text, secret)
    except UnicodeEncodeError:  # bytes that are no text, which the library cannot sign
        signed = raw + f".{nonce}.{timestamp}".encode()
        signature = base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
    given = {
        H: signature,
        f"{H}-nonce": nonce,
        f"{H}-timestamp": timestamp,
        f"{H}-algorithm": "HmacSHA256",
        "content-type": "application/json",
    }
    return Callback(URL, {**given, **headers}, raw)


async def read(what: Callback, **more: Any) -> Reading:
    return await sinch(Script(Lost("x")), **more).read_callback(what)


async def receipts(body: object) -> tuple[Receipt, ...]:
    found = await read(callback(body))
    assert isinstance(found, Reported), found
    assert (found.inbound, found.thanks) == ((), "")
    return found.receipts


# ------------------------------------------------------------------------- what is reported


async def test_a_recipients_report_is_a_receipt() -> None:
    assert await receipts(REPORT) == (Receipt(REFERENCE, BATCH, "Delivered", 5, None, None, AT),)
    failed = {**REPORT, "status": "Failed", "code": 153}
    assert await receipts(failed) == (
        Receipt(REFERENCE, BATCH, "Failed", 4, "153", Bounce.SOFT, AT),
    )


async def test_a_batchs_report_is_a_receipt_for_each_of_its_statuses() -> None:
    aborted = Receipt(REFERENCE, BATCH, "Aborted", 4, "412", Bounce.OURS)
    assert await receipts(SUMMARY) == (aborted,)
    queued = {"code": 400, "status": "Queued", "count": 1}
    both = {**SUMMARY, "statuses": [queued, {}, None, *SUMMARY["statuses"]]}  # type: ignore[misc]
    assert await receipts(both) == (Receipt(REFERENCE, BATCH, "Queued", 1, "400"), aborted)


def test_a_later_stage_has_the_higher_rank() -> None:
    order = ["queued", "dispatched", "failed", "delivered"]
    assert [RANKS[status] for status in order] == [1, 3, 4, 5]
    ends = {"aborted", "cancelled", "canceled", "rejected", "deleted", "failed", "expired"}
    assert {word for word, rank in RANKS.items() if rank == 4} == ends
    assert RANKS["unknown"] == 3


@pytest.mark.parametrize("word", RANKS)
async def test_each_status_counts_in_whatever_case(word: str) -> None:
    for status in (word, word.upper(), word.capitalize()):
        (found,) = await receipts({**REPORT, "status": status})
        assert (found.status, found.rank) == (status, RANKS[word])


REASONS: dict[int, Bounce | None] = {
    **{402: Bounce.SOFT, 403: None, 404: Bounce.SOFT, 405: Bounce.CONTENT, 406: None, 407: None},
    **{408: Bounce.CONTENT, 410: Bounce.OURS, 411: Bounce.CONTENT, 412: Bounce.OURS},
    413: Bounce.OURS,
    **{9: Bounce.DEAD, 10: Bounce.DEAD, 150: Bounce.DEAD},
    **{300: Bounce.DEAD, 301: Bounce.DEAD, 302: Bounce.DEAD},
    **{151: Bounce.SOFT, 152: Bounce.SOFT, 153: Bounce.SOFT, 154: Bounce.SOFT, 158: Bounce.SOFT},
    **{159: Bounce.SOFT, 200: Bounce.SOFT, 201: Bounce.SOFT, 202: Bounce.SOFT, 203: Bounce.SOFT},
    **{204: Bounce.SOFT, 205: Bounce.SOFT, 206: Bounce.SOFT, 210: Bounce.SOFT, 212: Bounce.SOFT},
}


@pytest.mark.parametrize("code", REASONS)
async def test_each_code_of_a_message_that_did_not_arrive_has_its_reason(code: int) -> None:
    for status in ("Aborted", "Failed", "Deleted"):  # a code says more than a status
        (found,) = await receipts({**REPORT, "status": status, "code": code})
        assert (found.rank, found.code, found.bounce) == (4, str(code), REASONS[code])


def test_the_reasons_here_and_the_clients_have_the_same_codes() -> None:
    assert REASONS.keys() == BOUNCES.keys()


STATUSES: dict[str, Bounce | None] = {
    **{"Deleted": Bounce.DEAD, "Failed": Bounce.SOFT, "Expired": Bounce.SOFT},
    **dict.fromkeys(("Aborted", "Cancelled", "Canceled", "Rejected"), None),
    **dict.fromkeys(("Queued", "Dispatched", "Unknown", "Delivered"), None),
}


@pytest.mark.parametrize("status", STATUSES)
async def test_without_a_code_that_we_know_the_status_is_the_reason(status: str) -> None:
    for code in (0, 9_999, None, "x"):
        (found,) = await receipts({**REPORT, "status": status, "code": code})
        assert found.bounce == STATUSES[status]
    assert {status.lower() for status in STATUSES} == RANKS.keys()
    assert {word.lower() for word, bounce in STATUSES.items() if bounce} == BY_STATUS.keys()


@pytest.mark.parametrize("status", ["Queued", "Dispatched", "Unknown", "Delivered"])
async def test_a_message_that_is_on_its_way_or_arrived_has_no_reason(status: str) -> None:
    (found,) = await receipts({**REPORT, "status": status, "code": 300})
    assert found.bounce is None


@pytest.mark.parametrize(
    ("code", "name"),
    [
        *[(401, "401"), ("401", "401"), (0, None), ("0", None), (True, None), (-1, None)],
        *[("40 1", None), ("٤٠١", None), (1.5, None), (10**30, None), ([], None)],
    ],
)
async def test_a_code_is_a_number_or_its_digits(code: object, name: str | None) -> None:
    (found,) = await receipts({**REPORT, "status": "Dispatched", "code": code})
    assert found.code == name


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-23T11:59:59.210Z", AT),
        ("2026-11-23T11:59:59.2100001+00:00", AT),
        ("2026-11-23T13:59:59.210+02:00", AT),
        ("2026-11-23T11:59:59.210", AT),
        ("yesterday", None),
        ("", None),
        (1_795_435_199, None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2026-11-23T11:59:59.210Z" + " " * 50, None),
    ],
)
async def test_a_time_is_read_where_it_is_one(text: object, at: datetime | None) -> None:
    (found,) = await receipts({**REPORT, "at": text})
    assert found.at == at


@pytest.mark.parametrize(
    "strange",
    [None, "", "client-ref", REFERENCE.upper(), REFERENCE + "0", "\ud800", 7, [REFERENCE]],
)
async def test_a_report_of_another_systems_batch_is_taken_and_left_out(strange: object) -> None:
    body = {**REPORT, "client_reference": strange}
    raw = json.dumps(body).encode()
    assert await read(callback(raw)) == Reported()
    without = {name: value for name, value in REPORT.items() if name != "client_reference"}
    assert await read(callback(without)) == Reported()  # the URL has one, and is not signed


async def test_somebody_writes_to_us() -> None:
    said = Inbound(str(WRITTEN["id"]), "+14155550100", "+15005550006", "STOP ü", AT)
    assert await read(callback(WRITTEN)) == Reported(inbound=(said,))


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("14155550100", "+14155550100"),
        ("+14155550100", "+14155550100"),
        ("2904001", "+2904001"),
        ("12345", "12345"),
        ("123456", "123456"),
    ],
)
async def test_numbers_get_their_plus_and_short_codes_none(given: str, number: str) -> None:
    found = await read(callback({**WRITTEN, "from": given, "to": given}))
    assert isinstance(found, Reported)
    assert [(one.sender, one.to) for one in found.inbound] == [(number, number)]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"message": "STOP", "subject": "s", "media": []}, "STOP"),
        ({"subject": "STOP"}, "STOP"),
        ({"message": "", "subject": "STOP"}, "STOP"),
        ({"media": []}, ""),
    ],
)
async def test_a_message_with_pictures_says_what_text_it_has(
    body: dict[str, object], text: str
) -> None:
    found = await read(callback({**WRITTEN, "type": "mo_media", "body": body}))
    assert isinstance(found, Reported)
    assert [one.body for one in found.inbound] == [text]


async def test_what_no_text_column_takes_is_replaced() -> None:
    raw = json.dumps({**WRITTEN, "body": "a\x00b\ud800c😀"}).encode()
    found = await read(callback(raw))
    assert isinstance(found, Reported)
    assert [one.body for one in found.inbound] == ["a\ufffdb\ufffdc😀"]


@pytest.mark.parametrize(
    "kind", ["mo_binary", "recipient_delivery_report_mms", "delivery_report_mms"]
)
async def test_what_has_no_text_and_what_we_do_not_send_is_taken_and_left_out(kind: str) -> None:
    for body in (WRITTEN, REPORT, SUMMARY):
        assert await read(callback({**body, "type": kind})) == Reported()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"a":' + b"9" * 5_000 + b"}", "not a JSON object"),
        ({"a": 1}, "no type that we know"),
        ({**REPORT, "type": "inbound"}, "no type that we know"),
        ({**REPORT, "type": ["mo_text"]}, "no type that we know"),
        ({**REPORT, "batch_id": None}, "no batch id"),
        ({**REPORT, "batch_id": "a b"}, "no batch id"),
        ({**REPORT, "status": "New word"}, "no status that we know"),
        ({**REPORT, "status": None}, "no status that we know"),
        ({**SUMMARY, "statuses": []}, "no status that we know"),
        ({**SUMMARY, "statuses": None}, "no statuses"),
        ({**SUMMARY, "statuses": {"status": "Delivered"}}, "no statuses"),
        ({**WRITTEN, "id": None}, "no message id"),
        ({**WRITTEN, "from": "Acme"}, "not from a number to a number"),
        ({**WRITTEN, "from": 14155550100}, "not from a number to a number"),
        ({**WRITTEN, "to": ""}, "not from a number to a number"),
        ({**WRITTEN, "body": None}, "no text"),
        ({**WRITTEN, "type": "mo_media", "body": {"message": 1}}, "no text"),
    ],
)
async def test_a_signed_callback_that_cannot_be_placed_is_a_bad_one(
    body: object, reason: str
) -> None:
    assert await read(callback(body)) == BadCallback(reason)
