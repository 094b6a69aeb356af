"""SES' answers, each error of the table, the request and its signature, and what others make of it.

The second opinions: botocore's signer and SES' service model, moto's server, and a signature worked
out again here from the very bytes that came over a socket.
"""

import asyncio
import gzip
import hashlib
import hmac
import json
import random
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import botocore.auth  # type: ignore[import-untyped]
import botocore.awsrequest  # type: ignore[import-untyped]
import botocore.credentials  # type: ignore[import-untyped]
import botocore.model  # type: ignore[import-untyped]
import botocore.validate  # type: ignore[import-untyped]
import httpx
import pytest

from notifyq.domain.content import EmailContent, SmsContent
from notifyq.domain.message import Message, Sender
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unavailable,
)
from notifyq.domain.provider import (
    BadSignature,
    Callback,
    Check,
    LookUpFailed,
    Provider,
    Reported,
    Sought,
)
from notifyq.providers.ses.account import NEEDED
from notifyq.providers.ses.answer import ANSWERS, DAILY_QUOTA_WAIT_S
from notifyq.providers.ses.client import Ses
from notifyq.providers.wire import Answer, Lost, NeverLeft, Wire
from tests.providers.fuzz import mutated

SPEC = Path(__file__).parents[3] / "shared" / "specs" / "sesv2-service-2.json.gz"
NOW = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)
KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-west-1"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
BASE = "https://email.eu-west-1.amazonaws.com"
MESSAGE_ID = "0102018f0a1b2c3d-7c191be4-e9ae-db9a-02f9-4d12a87ddd00-000000"
MESSAGE = Message(
    reference="0123456789abcdefghijklmnopqrstuv",
    collapse_id="c",
    to="ann@example.org",
    sender=Sender("shop@example.com", "Shop"),
    content=EmailContent("Größe 50 %", "Plain €", "<p>Rich 🙂</p>"),
    callback_url="https://notify.example.com/callbacks/ses?reference=ref",
    validity_s=600,
    expires_at=NOW + timedelta(minutes=10),
)
CONTENT = Refusal.CONTENT


class FakeWire(Wire):
    """Answers as told, one after the other, and keeps the requests."""

    def __init__(self, *results: Answer | NeverLeft | Lost) -> None:
        super().__init__(max_in_flight=1)
        self.results = list(results)
        self.requests: list[httpx.Request] = []

    async def exchange(
        self, request: httpx.Request, *, timeout_s: float
    ) -> Answer | NeverLeft | Lost:
        self.requests.append(request)
        return self.results.pop(0)


def ses(wire: Wire, **changes: Any) -> Ses:
    settings: dict[str, Any] = {
        "name": "mail",
        "base_url": BASE,
        "region": REGION,
        "access_key_id": KEY,
        "secret_access_key": SECRET,
        "configuration_set": "main",
        "topics": frozenset({TOPIC}),
        "now": lambda: NOW,
    }
    return Ses(wire=wire, **{**settings, **changes})


def answer(status: int, body: object = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def error(status: int, name: str, message: str = "m") -> Answer:
    return answer(status, {"message": message}, x_amzn_ErrorType=name)


async def outcome_of(result: Answer | NeverLeft | Lost) -> Outcome:
    return await ses(FakeWire(result)).send(MESSAGE, timeout_s=1)


TABLE: dict[str, tuple[int, Callable[[str], Outcome]]] = {
    "TooManyRequests": (429, Throttled),
    "Throttling": (400, Throttled),
    "LimitExceeded": (400, Throttled),
    "MessageRejected": (400, lambda code: Refused(CONTENT, code)),
    "BadRequest": (400, lambda code: Refused(CONTENT, code)),
    "ValidationError": (400, lambda code: Refused(CONTENT, code)),
    "Validation": (400, lambda code: Refused(CONTENT, code)),
    "RequestEntityTooLarge": (413, lambda code: Refused(CONTENT, code)),
    "AccountSuspended": (400, Misconfigured),
    "SendingPaused": (400, Misconfigured),
    "MailFromDomainNotVerified": (400, Misconfigured),
    "NotFound": (404, Misconfigured),
    "InvalidClientTokenId": (403, Misconfigured),
    "UnrecognizedClient": (403, Misconfigured),
    "OptInRequired": (403, Misconfigured),
    "SignatureDoesNotMatch": (403, Misconfigured),
    "InvalidSignature": (403, Misconfigured),
    "IncompleteSignature": (403, Misconfigured),
    "MissingAuthenticationToken": (403, Misconfigured),
    "ExpiredToken": (403, Misconfigured),
    "RequestExpired": (400, Misconfigured),
    "AccessDenied": (403, Misconfigured),
    "NotAuthorized": (401, Misconfigured),
    "UnknownOperation": (404, Misconfigured),
    "MalformedHttpRequest": (400, Misconfigured),
    "RequestTimeout": (408, InDoubt),
    "RequestAborted": (400, InDoubt),
    "InternalFailure": (500, InDoubt),
    "InternalServer": (500, InDoubt),
    "InternalServerError": (500, InDoubt),
    "ServiceUnavailable": (503, InDoubt),
    "InternalServiceError": (500, InDoubt),
}


@pytest.mark.parametrize("ending", ["", "Exception"])
@pytest.mark.parametrize("name", TABLE)
async def test_each_error_means_what_the_table_says(name: str, ending: str) -> None:
    status, expected = TABLE[name]
    full = name + ending
    assert await outcome_of(error(status, full)) == expected(full)
    suffixed = error(status, f"{full}:http://internal.amazon.com/coral/com.amazon.coral.service/")
    assert await outcome_of(suffixed) == expected(full)
    typed = answer(status, {"__type": f"com.amazonaws.sesv2#{full}", "Message": "m"})
    assert await outcome_of(typed) == expected(full)


def test_the_table_here_and_the_clients_have_the_same_errors() -> None:
    assert TABLE.keys() == ANSWERS.keys()


@pytest.mark.parametrize("name", [*ANSWERS, "SomethingNew"])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
async def test_a_server_error_is_in_doubt_whatever_its_name(status: int, name: str) -> None:
    assert await outcome_of(error(status, name)) == InDoubt(name)


@pytest.mark.parametrize("status", [400, 403, 408, 429])
@pytest.mark.parametrize("name", [name for name, what in ANSWERS.items() if what is InDoubt])
async def test_an_error_of_transport_is_in_doubt_whatever_its_status(
    name: str, status: int
) -> None:
    assert await outcome_of(error(status, name, "Maximum sending rate exceeded")) == InDoubt(name)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (answer(200, {"MessageId": MESSAGE_ID}), Accepted(MESSAGE_ID)),
        (answer(200, {}), InDoubt("http_200")),
        (answer(200, {"MessageId": None}), InDoubt("http_200")),
        (answer(200, {"MessageId": ""}), InDoubt("http_200")),
        (answer(200, {"MessageId": MESSAGE_ID + "\n"}), InDoubt("http_200")),
        (answer(200, {"MessageId": 7}), InDoubt("http_200")),
        (answer(200, b"<html>"), InDoubt("http_200")),
        (answer(200, b"\xff"), InDoubt("http_200")),
        (answer(200, b"[" * 100_000), InDoubt("http_200")),
        (answer(200, [MESSAGE_ID]), InDoubt("http_200")),
        (answer(201, {"MessageId": MESSAGE_ID}), InDoubt("http_201")),
        (answer(101, b""), InDoubt("http_101")),
        (answer(204, b""), InDoubt("http_204")),
        (answer(301, b""), InDoubt("http_301")),
        (answer(307, b""), InDoubt("http_307")),
        (answer(500, b"<html>"), InDoubt("http_500")),
        (answer(408, b""), InDoubt("http_408")),
        (answer(429, b"", Retry_After="12"), Throttled("http_429", 12.0)),
        (error(429, "SomethingNew"), Throttled("SomethingNew")),
        (error(400, "SomethingNewException"), Refused(CONTENT, "SomethingNewException")),
        (error(403, "SomethingNew"), Misconfigured("SomethingNew")),
        (error(404, "SomethingNew"), Misconfigured("SomethingNew")),
        (error(415, "SomethingNew"), Misconfigured("SomethingNew")),
        (answer(400, b"<html>"), Misconfigured("http_400")),
        (answer(400, {"__type": 7}), Misconfigured("http_400")),
        (error(400, "ann@example.org is bad"), Misconfigured("http_400")),
        (answer(403, b""), Misconfigured("http_403")),
        (answer(413, b"<html>"), Misconfigured("http_413")),
        (NeverLeft("econnrefused"), NotSent("econnrefused")),
        (Lost("closed"), InDoubt("closed")),
    ],
)
async def test_other_answers(result: Answer | NeverLeft | Lost, expected: Outcome) -> None:
    assert await outcome_of(result) == expected


@pytest.mark.parametrize("name", ["TooManyRequestsException", "Throttling", "LimitExceeded", "New"])
@pytest.mark.parametrize("status", [400, 429])
async def test_a_rate_and_a_days_quota_are_told_apart_by_their_text(status: int, name: str) -> None:
    rate = error(status, name, "Maximum sending rate exceeded.")
    assert await outcome_of(rate) == Throttled("sending_rate_exceeded")
    quota = error(status, name, "Daily message quota exceeded.")
    assert await outcome_of(quota) == Throttled("daily_quota_exceeded", DAILY_QUOTA_WAIT_S)


async def test_a_sender_that_is_not_verified_is_ours_to_mend() -> None:
    text = (
        "Email address is not verified. The following identities failed the check in region "
        "EU-WEST-1: shop@example.com"
    )
    expected = Misconfigured("email_address_not_verified")
    assert await outcome_of(error(400, "MessageRejected", text)) == expected


async def test_a_text_message_is_no_mail() -> None:
    message = replace(MESSAGE, content=SmsContent("hello"))
    assert await ses(FakeWire()).send(message, timeout_s=1) == Misconfigured("not_a_mail")


@pytest.mark.parametrize("subject", ["a\nb", "a\r\nBcc: x@example.org", "\0", "\u2028", "\ud800"])
async def test_a_subject_that_could_begin_a_header_is_refused_before_it_is_sent(
    subject: str,
) -> None:
    content = EmailContent(subject, "b")
    wire = FakeWire()
    assert "line break" in str(ses(wire).refusal(content))
    found = await ses(wire).send(replace(MESSAGE, content=content), timeout_s=1)
    assert found == Refused(CONTENT, "control_character")
    assert wire.requests == []


def test_other_content_is_not_refused() -> None:
    assert ses(FakeWire()).refusal(MESSAGE.content) is None
    assert ses(FakeWire()).refusal(SmsContent("\n")) is None


async def test_text_that_is_no_unicode_does_not_raise() -> None:
    _, body = await sent(replace(MESSAGE, content=EmailContent("s", "b\0\ud800")))
    assert body["Content"]["Simple"]["Body"]["Text"]["Data"] == "b\0\ud800"


async def sent(message: Message = MESSAGE, **changes: Any) -> tuple[httpx.Request, dict[str, Any]]:
    wire = FakeWire(Lost("x"))
    await ses(wire, **changes).send(message, timeout_s=1)
    (request,) = wire.requests
    return request, json.loads(request.read())


async def test_the_request_is_the_one_that_ses_documents() -> None:
    request, body = await sent(base_url=BASE + "/")
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/v2/email/outbound-emails")
    assert request.headers["content-type"] == "application/json"
    assert body == {
        "FromEmailAddress": '"Shop" <shop@example.com>',
        "Destination": {"ToAddresses": ["ann@example.org"]},
        "Content": {
            "Simple": {
                "Subject": {"Data": "Größe 50 %", "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": "Plain €", "Charset": "UTF-8"},
                    "Html": {"Data": "<p>Rich 🙂</p>", "Charset": "UTF-8"},
                },
            }
        },
        "EmailTags": [{"Name": "reference", "Value": MESSAGE.reference}],
        "ConfigurationSetName": "main",
    }


async def test_what_there_is_not_is_not_sent() -> None:
    message = replace(MESSAGE, content=EmailContent("s", "b"), sender=Sender("shop@example.com"))
    _, body = await sent(message, configuration_set=None)
    assert body["FromEmailAddress"] == "shop@example.com"
    assert list(body["Content"]["Simple"]["Body"]) == ["Text"]
    assert "ConfigurationSetName" not in body


@pytest.mark.parametrize(
    "name", ["Shop", 'The "Shop" \\ Co., Ltd; <x@y.z>', "Größe", "あ" * 60, "🙂 Ann", "É" * 200]
)
async def test_a_senders_name_survives_as_a_header_of_rfc_5322(name: str) -> None:
    _, body = await sent(replace(MESSAGE, sender=Sender("shop@example.com", name)))
    mailbox = body["FromEmailAddress"]
    assert mailbox.isascii()
    assert all(len(word) <= 75 for word in mailbox.split(" "))  # RFC 2047, of encoded words
    shown, address = parseaddr(mailbox)
    assert (str(make_header(decode_header(shown))), address) == (name, "shop@example.com")


@pytest.mark.parametrize("name", ["a\r\nBcc: x@example.org", "a\nb", "a\0b", "\ud800"])
async def test_a_senders_name_begins_no_other_header(name: str) -> None:
    _, body = await sent(replace(MESSAGE, sender=Sender("shop@example.com", name)))
    assert body["FromEmailAddress"].isprintable()


# ------------------------------------------------------------------------------- signature


@pytest.mark.parametrize("token", [None, "session/token+="])
async def test_botocores_own_signing_gives_the_same_header(
    monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    request, _ = await sent(session_token=token)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    credentials = botocore.credentials.Credentials(KEY, SECRET, token)
    given = {
        name: value
        for name, value in request.headers.items()
        if name not in ("authorization", "x-amz-date", "x-amz-security-token")
    }
    oracle = botocore.awsrequest.AWSRequest(
        "POST", str(request.url), data=request.read(), headers=given
    )
    botocore.auth.SigV4Auth(credentials, "ses", REGION).add_auth(oracle)
    assert request.headers["authorization"] == oracle.headers["Authorization"]
    assert request.headers["x-amz-date"] == "20261123T020000Z"
    assert request.headers.get("x-amz-security-token") == token


def refuted(raw: bytes) -> str | None:
    """Say what is wrong with the signature of a request, worked out from its bytes; None: right.

    docs.aws.amazon.com/general/latest/gr/sigv4-signed-request-examples, without botocore.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, value in (x.split(":", 1) for x in lines)}
    path, _, query = target.partition("?")
    pattern = r"AWS4-HMAC-SHA256 Credential=(.+?)/(.+), SignedHeaders=(.+), Signature=(.+)"
    found = re.fullmatch(pattern, headers["authorization"])
    if found is None:
        return "no signature"
    _, scope, names, signature = found.groups()
    if not {"host", "x-amz-date", "content-type"} <= set(names.split(";")):
        return "too little is signed"
    canonical = "\n".join(
        [
            method,
            path,
            query,
            *(f"{name}:{headers[name]}" for name in names.split(";")),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashed])
    key = b"AWS4" + SECRET.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return None if hmac.digest(key, text.encode(), "sha256").hex() == signature else "differs"


@asynccontextmanager
async def listening(reply: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        seen.append(head + body)
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


async def test_the_signature_covers_the_very_bytes_that_are_sent() -> None:
    body = json.dumps({"MessageId": MESSAGE_ID}).encode()
    reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with listening(reply + body) as (url, seen):
        client = ses(Wire(max_in_flight=1), base_url=f"{url}/ses", session_token="t")
        assert await client.send(MESSAGE, timeout_s=5) == Accepted(MESSAGE_ID)
        await client.close()
    (raw,) = seen
    assert refuted(raw) is None
    assert b"POST /ses/v2/email/outbound-emails HTTP/1.1\r\n" in raw
    for changed in (
        raw.replace(b"ann@", b"eve@"),
        raw.replace(b"/outbound-emails", b"/outbound-bulk-emails"),
        raw.replace(b"\r\nHost: 127", b"\r\nHost: 128"),
        raw.replace(b"\r\nContent-Type: application/json", b"\r\nContent-Type: text/plain"),
        raw.replace(b"20261123T", b"20261124T", 1),
    ):
        assert changed != raw
        assert refuted(changed) == "differs"


async def test_secrets_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await sent(session_token="sessiontokensecret")
    assert "sessiontokensecret" not in caplog.text
    assert SECRET not in caplog.text


# ------------------------------------------------------------------------- second opinions


@pytest.mark.skipif(not SPEC.exists(), reason="no ../shared/specs")
async def test_the_request_is_valid_by_ses_service_model() -> None:
    model = botocore.model.ServiceModel(json.loads(gzip.decompress(SPEC.read_bytes())), "sesv2")
    shape = model.operation_model("SendEmail").input_shape
    validator = botocore.validate.ParamValidator()
    _, body = await sent()
    assert not validator.validate(body, shape).has_errors()
    # botocore takes unknown names for granted, so the names are compared here.
    unknown(body, shape)
    broken = {**body, "EmailTags": [{"Name": "reference"}]}
    assert validator.validate(broken, shape).has_errors()
    with pytest.raises(KeyError):
        unknown({**body, "Tags": []}, shape)


def unknown(value: Any, shape: Any) -> None:
    """KeyError for a name that the model does not have."""
    if shape.type_name == "structure":
        for name, member in value.items():
            unknown(member, shape.members[name])
    elif shape.type_name == "list":
        for member in value:
            unknown(member, shape.member)


@pytest.fixture
async def moto() -> AsyncIterator[str]:
    """The URL of moto's server, in a process of its own."""
    command = (sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            said = await process.stderr.readuntil(b"Press CTRL+C")
        found = re.search(rb"http://127\.0\.0\.1:\d+", said)
        assert found is not None
        yield found[0].decode()
    finally:
        process.terminate()
        await process.communicate()


async def test_moto_takes_the_request_and_refuses_a_broken_one(moto: str) -> None:
    client = ses(Wire(max_in_flight=1), base_url=moto)
    broken = await client.send(MESSAGE, timeout_s=30)  # from an address that nobody verified
    assert broken == Refused(CONTENT, "MessageRejected")
    async with httpx.AsyncClient(base_url=moto, trust_env=False) as http:
        headers = aws_headers("ses", REGION)
        identity = {"EmailIdentity": "shop@example.com"}
        made = await http.post("/v2/email/identities", json=identity, headers=headers)
        assert made.status_code == 200
        accepted = await client.send(MESSAGE, timeout_s=30)
        assert isinstance(accepted, Accepted)
        data = (await http.get("/moto-api/data.json")).json()
    await client.close()
    (kept,) = data["ses"]["Message"]
    assert kept["id"] == accepted.provider_id
    assert kept["subject"] == "Größe 50 %"


def aws_headers(service: str, region: str = "us-east-1", **more: str) -> dict[str, str]:
    """What moto tells services apart by; it checks no signature."""
    scope = f"Credential=a/20261123/{region}/{service}/aws4_request"
    return {
        "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=a",
        **more,
    }


async def test_what_motos_sns_signed_is_believed_and_its_copy_with_a_change_is_not(
    moto: str,
) -> None:
    event = {
        "eventType": "Send",
        "mail": {"messageId": MESSAGE_ID, "tags": {"reference": [MESSAGE.reference]}},
    }
    reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with (
        listening(reply) as (inbox, seen),
        httpx.AsyncClient(base_url=moto, trust_env=False) as http,
    ):

        async def call(**form: str) -> str:
            answer = await http.post("/", data=form, headers=aws_headers("sns"))
            assert answer.status_code == 200, answer.text
            return answer.text

        made = await call(Action="CreateTopic", Name="mail")
        topic = made.partition("<TopicArn>")[2].partition("</TopicArn>")[0]
        await call(Action="Subscribe", TopicArn=topic, Protocol="http", Endpoint=inbox)
        await call(Action="Publish", TopicArn=topic, Message=json.dumps(event))
        body = seen[0].partition(b"\r\n\r\n")[2]
        url = json.loads(body)["SigningCertURL"]
        host = aws_headers("sns", Host="sns.us-east-1.amazonaws.com")
        pem = await http.get(httpx.URL(url).path, headers=host)
    client = ses(
        FakeWire(Answer(pem.status_code, {}, pem.content)),
        region="us-east-1",
        topics=frozenset({topic}),
        now=lambda: datetime.now(UTC),
    )
    found = await client.read_callback(Callback("https://x", {}, body))
    assert isinstance(found, Reported)
    assert [receipt.reference for receipt in found.receipts] == [MESSAGE.reference]
    changed = body.replace(b"Send", b"Open")
    assert isinstance(await client.read_callback(Callback("https://x", {}, changed)), BadSignature)


# ----------------------------------------------------------------------- look-up and check


async def test_there_is_no_list() -> None:
    provider: Provider = ses(FakeWire())
    sought = Sought("ann@example.org", "shop@example.com", "b", "r", NOW, NOW)
    assert await provider.look_up(sought, timeout_s=1) == LookUpFailed("no_list")


ACCOUNT = {
    "SendingEnabled": True,
    "ProductionAccessEnabled": True,
    "EnforcementStatus": "HEALTHY",
    "SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": 20.0},
}
EVENTS = {
    "EventDestinations": [
        {
            "Name": "sns",
            "Enabled": True,
            "MatchingEventTypes": sorted(NEEDED),
            "SnsDestination": {"TopicArn": TOPIC},
        }
    ]
}


async def checked(*results: Answer | NeverLeft | Lost, **changes: Any) -> list[Check]:
    return await ses(FakeWire(*results), **changes).check(timeout_s=1)


async def test_a_good_account_passes_every_step() -> None:
    date = "Mon, 23 Nov 2026 02:00:10 GMT"
    wire = FakeWire(answer(200, ACCOUNT, Date=date), answer(200, EVENTS))
    checks = await ses(wire).check(timeout_s=1)
    names = "reach clock credentials permission account production quota events"
    assert [(check.name, check.ok) for check in checks] == [(n, True) for n in names.split()]
    assert [(request.method, str(request.url)) for request in wire.requests] == [
        ("GET", f"{BASE}/v2/email/account"),
        ("GET", f"{BASE}/v2/email/configuration-sets/main/event-destinations"),
    ]


def changed(**changes: object) -> Answer:
    return answer(200, {**ACCOUNT, **changes})


def destination(**changes: object) -> Answer:
    return answer(200, {"EventDestinations": [{**EVENTS["EventDestinations"][0], **changes}]})


@pytest.mark.parametrize(
    ("results", "step", "words"),
    [
        ((NeverLeft("econnrefused"),), "reach", "nobody listens"),
        ((Lost("timeout"),), "reach", "no answer in time"),
        ((answer(200, ACCOUNT, Date="Mon, 23 Nov 2026 02:10:00 GMT"),), "clock", "NTP"),
        ((error(403, "InvalidClientTokenId"),), "credentials", "access_key_id"),
        ((error(403, "UnrecognizedClientException"),), "credentials", "access_key_id"),
        ((error(403, "SignatureDoesNotMatch"),), "credentials", "secret_access_key"),
        ((error(403, "InvalidSignatureException"),), "credentials", "secret_access_key"),
        ((error(403, "ExpiredTokenException"),), "credentials", "session_token"),
        ((error(400, "RequestExpired"),), "credentials", "clock"),
        ((answer(403, b"<html>"),), "credentials", "base_url"),
        ((answer(500, b""),), "credentials", "try again"),
        ((error(403, "AccessDeniedException"),), "permission", "ses:GetAccount"),
        ((changed(SendingEnabled=False),), "account", "paused"),
        ((answer(200, b"[]"),), "account", "paused"),
        ((changed(EnforcementStatus="SHUTDOWN"),), "account", "AWS Support"),
        (
            (changed(SendQuota={"Max24HourSend": 200, "SentLast24Hours": 200}),),
            "quota",
            "0 of 200 left",
        ),
        ((changed(), error(404, "NotFoundException")), "events", "configuration_set"),
        ((changed(), error(403, "AccessDeniedException")), "events", "EventDestinations"),
        ((changed(), Lost("closed")), "events", "closed"),
        ((changed(), answer(200, {"EventDestinations": []})), "events", "BOUNCE"),
        ((changed(), answer(200, {"EventDestinations": 7})), "events", "SEND"),
        ((changed(), destination(Enabled=False)), "events", "SEND"),
        ((changed(), destination(MatchingEventTypes=["SEND", "DELIVERY"])), "events", "REJECT"),
        ((changed(), destination(SnsDestination=None)), "events", "SNS"),
        ((changed(), destination(SnsDestination={"TopicArn": [TOPIC]})), "events", "SNS"),
        ((changed(), destination(SnsDestination={"TopicArn": "arn:other"})), "events", "SNS"),
    ],
)
async def test_a_check_ends_at_the_first_fault_and_names_the_mend(
    results: tuple[Answer | NeverLeft | Lost, ...], step: str, words: str
) -> None:
    *before, last = await checked(*results)
    assert all(check.ok for check in before)
    assert (last.name, last.ok) == (step, False)
    assert words in last.detail


async def test_what_is_no_fault_is_said_all_the_same() -> None:
    checks = await checked(
        changed(
            ProductionAccessEnabled=False,
            EnforcementStatus="PROBATION",
            SendQuota={"Max24HourSend": -1, "SentLast24Hours": 5},
        ),
        configuration_set=None,
    )
    found = {check.name: check.detail for check in checks if check.ok}
    assert "verified recipients only" in found["production"]
    assert "under review" in found["account"]
    assert "without a limit" in found["quota"]
    assert "never told" in found["events"]
    assert {check.name for check in await checked(changed(SendQuota=7), answer(200, EVENTS))}


# --------------------------------------------------------------------------------- garbage

DEFINITE = (Refused, Throttled, Misconfigured, Unavailable, NotSent)


async def test_two_thousand_mutated_answers_are_read_without_a_false_no() -> None:
    dice = random.Random(20261123)
    seeds = [
        json.dumps({"MessageId": MESSAGE_ID}).encode(),
        b'{"message":"Email address is not verified."}',
        b'{"__type":"com.amazonaws.ses#MessageRejected","Message":"no"}',
        b"<html><body>502</body></html>",
    ]
    accepted = 0
    for _ in range(2_000):
        body = mutated(dice, dice.choice(seeds))
        status = dice.choice([200, 200, 202, 302, 400, 403, 408, 413, 429, 500, 503, 599])
        headers = {"x-amzn-ErrorType": mutated(dice, b"MessageRejected:http://x").decode("latin-1")}
        found = await outcome_of(Answer(status, dice.choice([{}, headers]), body))
        if status < 400 or status >= 500 or status == 408:
            assert not isinstance(found, DEFINITE), (status, body)
        accepted += isinstance(found, Accepted)
        code = getattr(found, "code", "")
        assert re.fullmatch(r"[A-Za-z0-9_.]{0,64}", code)
    assert accepted > 20
