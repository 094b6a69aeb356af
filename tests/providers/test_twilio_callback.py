"""Twilio's callbacks: what one reports that is known to be Twilio's."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifyq.domain.model import Bounce, Inbound, Receipt
from notifyq.domain.provider import BadCallback, Callback, Reading, Reported
from notifyq.providers.twilio.callback import BOUNCES, RANKS
from notifyq.providers.twilio.client import Twilio
from notifyq.providers.wire import Lost
from notifyq.sandbox.twilio import inbound
from notifyq.sandbox.twilio.rules import AUTH_TOKEN
from tests.providers.test_twilio import NOW, SID, FakeWire, twilio

FORM = {
    "MessageSid": SID,
    "MessageStatus": "delivered",
    "To": "+14155550100",
    "Empty": "",
    "Ünï": "çödé +&=%",
}
URL = "https://notify.example.com/callbacks/sms?a=b%2Fc&reference=ref"


def callback(
    url: str = URL, form: dict[str, str] | None = None, *, signed: str | None = None
) -> Callback:
    fields = FORM if form is None else form
    signature = RequestValidator(AUTH_TOKEN).compute_signature(signed or url, fields)
    headers = {
        "x-twilio-signature": signature,
        "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
    }
    return Callback(url, headers, urlencode(fields).encode())


def client(**more: Any) -> Twilio:
    return twilio(FakeWire(Lost("x")), **more)


async def read(what: Callback, **more: Any) -> Reading:
    return await client(**more).read_callback(what)


async def receipt(**changes: str) -> Receipt:
    found = await read(callback(form={**FORM, **changes}))
    assert isinstance(found, Reported), found
    assert (found.inbound, found.thanks) == ((), "<Response/>")
    (one,) = found.receipts
    return one


# ------------------------------------------------------------------------- what is reported


async def test_a_signed_callback_is_a_receipt() -> None:
    assert await receipt() == Receipt("ref", SID, "delivered", 5, None)
    failed = await receipt(MessageStatus="undelivered", ErrorCode="30003")
    assert failed == Receipt("ref", SID, "undelivered", 4, "30003", Bounce.SOFT)


async def test_a_later_stage_has_the_higher_rank() -> None:
    order = ["queued", "sending", "sent", "failed", "delivered", "read"]
    assert [RANKS[status] for status in order] == [1, 2, 3, 4, 5, 6]
    assert (RANKS["accepted"], RANKS["undelivered"]) == (1, 4)
    for status, rank in RANKS.items():
        assert await receipt(MessageStatus=status) == Receipt("ref", SID, status, rank, None)


REASONS: dict[str, Bounce | None] = {
    "30001": Bounce.OURS,
    "30002": Bounce.OURS,
    "30003": Bounce.SOFT,
    "30004": Bounce.OPTED_OUT,
    "30005": Bounce.DEAD,
    "30006": Bounce.DEAD,
    "30007": Bounce.CONTENT,
    "30008": Bounce.SOFT,
    "30017": None,
    "30023": Bounce.OURS,
    "30032": Bounce.OURS,
    "30034": Bounce.OURS,
    "30036": None,
    "30500": None,
}


@pytest.mark.parametrize("status", ["failed", "undelivered"])
@pytest.mark.parametrize("code", REASONS)
async def test_each_code_of_a_message_that_did_not_arrive_has_its_reason(
    code: str, status: str
) -> None:
    found = await receipt(MessageStatus=status, ErrorCode=code)
    assert (found.rank, found.code, found.bounce) == (4, code, REASONS[code])


def test_the_reasons_here_and_the_clients_have_the_same_codes() -> None:
    assert REASONS.keys() == BOUNCES.keys()


@pytest.mark.parametrize(
    ("status", "code", "zone"),
    [
        ("undelivered", "30023", "America/Los_Angeles"),
        ("failed", "30023", "America/Los_Angeles"),
        ("failed", "30022", None),
        ("failed", "", None),
        ("sent", "30023", None),
        ("delivered", "30023", None),
    ],
)
async def test_a_days_cap_is_told_with_where_its_day_ends(
    status: str, code: str, zone: str | None
) -> None:
    assert (await receipt(MessageStatus=status, ErrorCode=code)).cap_zone == zone


@pytest.mark.parametrize("code", ["", "30003x", "99999"])
async def test_an_unknown_code_says_nothing_about_the_number(code: str) -> None:
    found = await receipt(MessageStatus="failed", ErrorCode=code)
    assert (found.code, found.bounce) == (code or None, None)


async def test_a_message_that_is_on_its_way_has_no_reason_whatever_its_code() -> None:
    assert (await receipt(MessageStatus="sent", ErrorCode="30005")).bounce is None
    assert (await receipt(ErrorCode="30005")).bounce is None


@pytest.mark.parametrize(
    ("off", "known"),
    [
        (timedelta(minutes=0), True),
        (timedelta(minutes=1), True),
        (timedelta(minutes=-10), True),
        (timedelta(minutes=2), False),
        (timedelta(minutes=-11), False),
        # The nearest zones there are.
        (timedelta(minutes=15), False),
        (timedelta(minutes=-15), False),
        (timedelta(hours=1), False),
        (timedelta(hours=-8), False),
        (timedelta(hours=14), False),
    ],
)
async def test_the_carriers_time_counts_where_it_can_only_be_utc(
    off: timedelta, known: bool
) -> None:
    then = NOW + off
    found = await receipt(RawDlrDoneDate=then.strftime("%y%m%d%H%M"))
    assert found.at == (then if known else None)


@pytest.mark.parametrize("text", ["", "2611231200Z", "26112312", "2611321200", "\uff12" * 10])
async def test_a_time_that_is_unreadable_is_left_out(text: str) -> None:
    assert await receipt(RawDlrDoneDate=text) == Receipt("ref", SID, "delivered", 5, None)


INBOUND = {
    "ToCountry": "US",
    "MessageSid": SID,
    "AccountSid": "AC" + "0" * 32,
    "SmsStatus": "received",
    "From": "+14155550100",
    "To": "+15005550006",
    "Body": "STOP \x00 ü",
    "NumMedia": "0",
    "OptOutType": "STOP",
}
HOOK = "https://notify.example.com/callbacks/sms"


@pytest.mark.parametrize(
    "form",
    [
        INBOUND,
        {**INBOUND, "MessageStatus": "received"},
        {name: text for name, text in INBOUND.items() if name != "SmsStatus"},
    ],
)
async def test_a_message_to_us_comes_by_the_same_url(form: dict[str, str]) -> None:
    said = Inbound(SID, "+14155550100", "+15005550006", "STOP \ufffd ü")
    for url in (HOOK, URL):
        found = await read(callback(url, form))
        assert found == Reported(inbound=(said,), thanks="<Response/>")


async def test_a_picture_without_a_text_is_a_message_too() -> None:
    form = {name: text for name, text in INBOUND.items() if name != "Body"}
    found = await read(callback(HOOK, form))
    assert isinstance(found, Reported)
    assert [message.body for message in found.inbound] == [""]


async def test_short_codes_write_and_are_written_to() -> None:
    found = await read(callback(HOOK, {**INBOUND, "From": "12345", "To": "54321"}))
    assert isinstance(found, Reported)
    assert [(message.sender, message.to) for message in found.inbound] == [("12345", "54321")]


async def test_what_somebody_wrote_in_the_sandbox_is_heard() -> None:
    call = inbound.heard(HOOK, sender="+14155550100", to="+15005550006", body="START ü")
    headers = {name.lower(): text for name, text in call.headers.items()}
    found = await read(Callback(call.url, headers, call.body))
    assert isinstance(found, Reported)
    (said,) = found.inbound
    assert (said.sender, said.to, said.body) == ("+14155550100", "+15005550006", "START ü")


@pytest.mark.parametrize(
    ("url", "form", "reason"),
    [
        (URL.replace("reference", "ref"), FORM, "no reference"),
        (URL + "&reference=two", FORM, "no reference"),
        (URL, {**FORM, "MessageSid": "CA1"}, "no message sid"),
        (URL, {"MessageStatus": "sent"}, "no message sid"),
        (URL, {"MessageSid": SID}, "no status that we know"),
        (URL, {**FORM, "MessageStatus": "canceled"}, "no status that we know"),
        (HOOK, {**INBOUND, "From": "whatsapp:+14155550100"}, "not from a number to a number"),
        (HOOK, {**INBOUND, "To": ""}, "not from a number to a number"),
        (HOOK, {**INBOUND, "MessageSid": "SM1"}, "no message sid"),
    ],
)
async def test_a_signed_callback_that_cannot_be_placed_is_a_bad_one(
    url: str, form: dict[str, str], reason: str
) -> None:
    assert await read(callback(url, form)) == BadCallback(reason)
