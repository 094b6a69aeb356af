"""What a vendor answers to a request that it takes: the status, the field and the body that its
documents name, and a server's usual fields beside them."""

import json

_TOKEN = {"access_token": "x" * 160, "expires_in": 3_599, "token_type": "Bearer"}
_TWILIO = {
    "sid": "SM5a9d0b0c5a9d0b0c5a9d0b0c5a9d0b0c",
    "account_sid": "AC5a9d0b0c5a9d0b0c5a9d0b0c5a9d0b0c",
    "status": "queued",
    "direction": "outbound-api",
    "from": "+15005550006",
    "to": "+14155550123",
    "body": "Your order 8123 has shipped and arrives tomorrow between 9 and 12.",
    "num_segments": "1",
    "num_media": "0",
    "price": None,
    "price_unit": "USD",
    "error_code": None,
    "error_message": None,
    "api_version": "2010-04-01",
    "messaging_service_sid": None,
    "date_created": "Sun, 22 Nov 2026 16:00:00 +0000",
    "date_updated": "Sun, 22 Nov 2026 16:00:00 +0000",
    "date_sent": None,
    "uri": "/2010-04-01/Accounts/AC5a9d0b0c/Messages/SM5a9d0b0c.json",
}
_SINCH = {
    "id": "01FC66621VHDBN119Z8PMV1QPQ",
    "to": ["14155550123"],
    "from": "15005550006",
    "canceled": False,
    "body": "Your order 8123 has shipped and arrives tomorrow between 9 and 12.",
    "type": "mt_text",
    "created_at": "2026-11-22T16:00:00.000Z",
    "modified_at": "2026-11-22T16:00:00.000Z",
    "delivery_report": "per_recipient",
    "expire_at": "2026-11-22T17:00:00.000Z",
    "flash_message": False,
}
_SES = {"MessageId": "010001932b5e9d1a-5a9d0b0c-5a9d-4b0c-9d0b-0c5a9d0b0c5a-000000"}
_FCM = {"name": "projects/bench-project/messages/0:1732291200000000%5a9d0b0c5a9d0b0c"}


def token() -> bytes:
    """Return the answer of whoever gives out tokens."""
    return _answer(b"200 OK", _TOKEN)


def accepted(vendor: str) -> bytes:
    """Return a vendor's."""
    match vendor:
        case "twilio":
            return _answer(b"201 Created", _TWILIO, b"Twilio-Request-Id: RQ5a9d0b0c5a9d0b0c")
        case "sinch":
            return _answer(b"201 Created", _SINCH, b"X-Request-Id: 5a9d0b0c5a9d0b0c")
        case "ses":
            return _answer(b"200 OK", _SES, b"x-amzn-RequestId: 5a9d0b0c-5a9d-4b0c-9d0b-0c5a9d0b")
        case "sendgrid":
            return _answer(b"202 Accepted", None, b"X-Message-Id: 5a9d0b0c5a9d0b0c5a9d0b")
        case "fcm":
            return _answer(b"200 OK", _FCM, b"X-Content-Type-Options: nosniff")
    raise ValueError(f"no answer of {vendor}")


def _answer(status: bytes, body: object, *fields: bytes) -> bytes:
    written = b"" if body is None else json.dumps(body).encode()
    head = [
        b"HTTP/1.1 " + status,
        b"Date: Sun, 22 Nov 2026 16:00:00 GMT",
        b"Content-Type: application/json; charset=UTF-8",
        b"Content-Length: %d" % len(written),
        b"Connection: keep-alive",
        *fields,
    ]
    return b"\r\n".join([*head, b"", written])
