"""One-click unsubscribe (RFC 8058) as each mail client sends it, and what others read of it.

The second opinions: SES' service model, SendGrid's own OpenAPI document, and for SMTP aiosmtpd and
the standard library's parsers. One parser decodes encoded words, which no mailbox may do in this
field, so both are asked.
"""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import botocore.loaders  # type: ignore[import-untyped]
import botocore.model  # type: ignore[import-untyped]
import botocore.validate  # type: ignore[import-untyped]
import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest

from notifyq.domain.content import EmailContent
from notifyq.domain.message import ONE_CLICK, UNSUBSCRIBE_URL_CHARS_MAX, Message, Sender
from notifyq.domain.outcome import Accepted, InDoubt, Misconfigured, Outcome, Refusal, Refused
from notifyq.domain.provider import Provider
from notifyq.providers.sendgrid import answer as sendgrid_answer
from notifyq.providers.sendgrid.client import SendGrid
from notifyq.providers.ses.client import Ses
from notifyq.providers.smtp.client import Smtp
from notifyq.providers.smtp.compose import Mail, compose
from notifyq.providers.wire import Answer, Wire

SPECS = Path(__file__).parents[3] / "shared" / "specs"
SES_SPEC, SENDGRID_SPEC = SPECS / "sesv2-service-2.json.gz", SPECS / "tsg_mail_v3.json"
NOW = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)
URL = "https://notify.example.com/u/00fjq2m8c0v6g.3q2-7w_x~"
LONGEST = "https://notify.example.com/u?t=" + "A" * (UNSUBSCRIBE_URL_CHARS_MAX - 31)
MESSAGE = Message(
    reference="0123456789abcdefghijklmnopqrstuv",
    collapse_id="c",
    to="ann@example.org",
    sender=Sender("shop@example.com", "Shop"),
    content=EmailContent("Your order", "It was shipped.", "<p>It was shipped.</p>"),
    callback_url="https://notify.example.com/callbacks/mail?reference=ref",
    validity_s=600,
    expires_at=NOW + timedelta(minutes=10),
    unsubscribe_url=URL,
)
WITHOUT = replace(MESSAGE, unsubscribe_url=None)
PAIR = {"List-Unsubscribe": f"<{URL}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


class FakeWire(Wire):
    """Accepts for SES and SendGrid alike, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__(max_in_flight=1)
        self.requests: list[httpx.Request] = []

    async def exchange(self, request: httpx.Request, *, timeout_s: float) -> Answer:
        self.requests.append(request)
        if request.url.path.startswith("/v3"):
            return Answer(202, {"X-Message-Id": "LB8TzB4nQtOXm6dxnzOqug"}, b"")
        return Answer(200, {}, b'{"MessageId":"0102018f0a1b2c3d-000000"}')


def ses(wire: Wire) -> Provider:
    return Ses(
        name="mail",
        base_url="https://email.eu-west-1.amazonaws.com",
        region="eu-west-1",
        access_key_id="AKIDEXAMPLE",
        secret_access_key="secret",
        wire=wire,
        now=lambda: NOW,
    )


def sendgrid(wire: Wire) -> Provider:
    return SendGrid(
        name="mail",
        base_url="https://api.sendgrid.com",
        api_key="SG.key",
        wire=wire,
        now=lambda: NOW,
    )


def smtp(port: int) -> Smtp:
    return Smtp(
        name="relay",
        host="127.0.0.1",
        port=port,
        security="none",
        username=None,
        password=None,
        hello=None,
        max_in_flight=1,
        now=lambda: NOW,
    )


async def posted(
    make: Callable[[Wire], Provider], message: Message
) -> tuple[Outcome, dict[str, Any] | None]:
    """Send and return the body of the request, None if there was none."""
    wire = FakeWire()
    outcome = await make(wire).send(message, timeout_s=1)
    bodies = [json.loads(request.read()) for request in wire.requests]
    return outcome, bodies[0] if bodies else None


async def ses_body(message: Message = MESSAGE) -> dict[str, Any]:
    outcome, body = await posted(ses, message)
    assert isinstance(outcome, Accepted)
    assert body
    return body


async def sendgrid_body(message: Message = MESSAGE) -> dict[str, Any]:
    outcome, body = await posted(sendgrid, message)
    assert isinstance(outcome, Accepted)
    assert body
    return body


def raw_mail(message: Message = MESSAGE) -> bytes:
    mail = compose(message, NOW)
    assert isinstance(mail, Mail)
    return mail.raw


# --------------------------------------------------------------------------- the two fields


async def test_each_client_sends_the_pair_when_there_is_a_url() -> None:
    headers = (await ses_body())["Content"]["Simple"]["Headers"]
    assert {each["Name"]: each["Value"] for each in headers} == PAIR
    assert len(headers) == len(PAIR)
    assert (await sendgrid_body())["headers"] == PAIR
    assert read_both(raw_mail()) == PAIR
    assert PAIR["List-Unsubscribe-Post"] == ONE_CLICK


async def test_each_client_sends_no_such_header_without_one() -> None:
    assert (await ses_body(WITHOUT))["Content"]["Simple"].keys() == {"Subject", "Body"}
    assert "headers" not in await sendgrid_body(WITHOUT)
    assert b"List-" not in raw_mail(WITHOUT)


async def test_nothing_else_of_a_mail_changes_by_it() -> None:
    body = await ses_body()
    del body["Content"]["Simple"]["Headers"]
    assert body == await ses_body(WITHOUT)
    body = await sendgrid_body()
    del body["headers"]
    assert body == await sendgrid_body(WITHOUT)
    plain = EmailContent("Your order", "It was shipped.")  # two parts have a boundary by chance
    raw, without = (raw_mail(replace(each, content=plain)) for each in (MESSAGE, WITHOUT))
    assert raw.endswith(without)
    lines = [f"{name}: {value}\r\n" for name, value in PAIR.items()]
    assert raw.replace(b"\r\n ", b" ").removesuffix(without) == "".join(lines).encode()


# --------------------------------------------------------------------------- the URL

GOOD_URLS = [
    "https://notify.example.com",
    "https://notify.example.com/",
    "https://notify.example.com?t=1",
    "https://notify.example.com:8443/u/a%20b;c=d,e@f!$&'()*+?x=/?:~",
    "https://192.0.2.1/u",
    "https://[2001:db8::1]:443/u",
    "http://127.0.0.1:8180/u/x",
    "http://127.1.2.3/u/x",
    "http://localhost:8180/u/x",
    "http://[::1]:8180/u/x",
    LONGEST,
]
BAD_URLS = [
    "",
    "notify.example.com/u",
    "//notify.example.com/u",
    "https:/notify.example.com/u",
    "https:///u",
    "https://?t=1",
    "mailto:leave@example.com",
    "ftp://notify.example.com/u",
    "http://notify.example.com/u",
    "http://10.0.0.1/u",
    "http://127.0.0.1.example.com/u",
    "http://localhost.example.com/u",
    "http://127.0.0.1@example.com/u",
    "https://user:secret@example.com/u",
    "https://notify.example.com:port/u",
    "https://notify.example.com/u#t",
    "https://notify.example.com/größe",
    "https://größe.example.com/u",
    "https://notify.example.com/a b",
    " https://notify.example.com/u",
    "https://notify.example.com/u ",
    "https://notify.example.com/<u",
    "https://notify.example.com/u>",
    "https://a.example/u>,<https://b.example/u",
    "https://notify.example.com/u\n",
    "https://notify.example.com/u\r\nBcc: eve@example.org",
    "https://notify.example.com/\x00",
    "https://notify.example.com/\x7f",
    "https://notify.example.com/\x85",
    "https://notify.example.com/\u2028",
    "https://notify.example.com/\ud800",
    'https://notify.example.com/"u"',
    "https://notify.example.com/\\u",
    LONGEST + "A",
]


@pytest.mark.parametrize("url", GOOD_URLS)
async def test_a_usable_url_is_sent_as_it_is(url: str) -> None:
    message = replace(MESSAGE, unsubscribe_url=url)
    (first, _) = (await ses_body(message))["Content"]["Simple"]["Headers"]
    assert first == {"Name": "List-Unsubscribe", "Value": f"<{url}>"}
    assert (await sendgrid_body(message))["headers"]["List-Unsubscribe"] == f"<{url}>"
    assert read_both(raw_mail(message))["List-Unsubscribe"] == f"<{url}>"


@pytest.mark.parametrize("url", BAD_URLS)
async def test_an_unusable_url_is_our_fault_and_nothing_is_sent(url: str) -> None:
    message, misconfigured = replace(MESSAGE, unsubscribe_url=url), Misconfigured("unsubscribe_url")
    assert await posted(ses, message) == (misconfigured, None)
    assert await posted(sendgrid, message) == (misconfigured, None)
    async with judging() as (port, taken):
        client = smtp(port)
        assert await client.send(message, timeout_s=5) == misconfigured
        await client.close()
    assert taken == []


# --------------------------------------------------------------------------- SES


def model() -> Any:
    """SendEmail as the installed botocore has it."""
    found = botocore.loaders.Loader().load_service_model("sesv2", "service-2")
    return botocore.model.ServiceModel(found, "sesv2").operation_model("SendEmail").input_shape


def fault_by(shape: Any, body: dict[str, Any]) -> object:
    """None, or what the model has against a request.

    botocore judges names and types; patterns and longest lengths, which it leaves to SES, are
    judged here.
    """
    if botocore.validate.ParamValidator().validate(body, shape).has_errors():
        return "shape"
    list_shape = shape.members["Content"].members["Simple"].members["Headers"]
    headers = body["Content"]["Simple"]["Headers"]
    if len(headers) > list_shape.metadata["max"]:
        return "count"
    for header in headers:
        for name, member in list_shape.member.members.items():
            limits = member.metadata
            pattern = model_pattern(member)
            if len(header[name]) > limits["max"] or not re.fullmatch(pattern, header[name]):
                return name
    return None


def model_pattern(member: Any) -> str:
    """botocore does not read patterns, so it is taken out of the model's source."""
    source: str = member._shape_model["pattern"]
    return source


async def test_ses_model_takes_the_headers_and_refuses_broken_ones() -> None:
    shape = model()
    for url in (URL, LONGEST):
        assert fault_by(shape, await ses_body(replace(MESSAGE, unsubscribe_url=url))) is None
    body = await ses_body()
    good = body["Content"]["Simple"]["Headers"]

    def with_headers(headers: object, name: str = "Headers") -> dict[str, Any]:
        simple = {**body["Content"]["Simple"], name: headers}
        return {**body, "Content": {"Simple": simple}}

    assert fault_by(shape, with_headers(PAIR)) == "shape"
    assert fault_by(shape, with_headers([{"Name": "List-Unsubscribe"}])) == "shape"
    assert fault_by(shape, with_headers(good, "headers")) == "shape"
    assert fault_by(shape, with_headers(good * 8)) == "count"
    assert fault_by(shape, with_headers([{"Name": "List Unsubscribe", "Value": "x"}])) == "Name"
    assert fault_by(shape, with_headers([{"Name": "X", "Value": "x" * 996}])) == "Value"
    assert fault_by(shape, with_headers([{"Name": "X", "Value": "a\r\nBcc: x"}])) == "Value"


@pytest.mark.skipif(not SES_SPEC.exists(), reason="no ../shared/specs")
def test_the_stored_model_has_the_limits_that_the_headers_keep() -> None:
    shapes = json.loads(gzip.decompress(SES_SPEC.read_bytes()))["shapes"]
    assert shapes["MessageHeaderList"]["max"] == 15
    assert shapes["MessageHeaderName"]["max"] == 126
    value = shapes["MessageHeaderValue"]
    assert value["max"] == 995
    name_chars = len("List-Unsubscribe")
    assert "must not exceed 996" in shapes["MessageHeader"]["members"]["Value"]["documentation"]
    assert name_chars + len(f"<{LONGEST}>") <= 996
    assert len(f"<{LONGEST}>") == 870  # what SES' API reference has instead


# --------------------------------------------------------------------------- SendGrid


@pytest.mark.skipif(not SENDGRID_SPEC.exists(), reason="no ../shared/specs")
async def test_sendgrids_own_document_takes_the_headers_and_refuses_a_list() -> None:
    given = json.loads(SENDGRID_SPEC.read_bytes())
    document = OpenAPI.from_dict(given)

    def verdict(body: Mapping[str, object]) -> str | None:
        asked = MockRequest(
            "https://api.sendgrid.com",
            "post",
            "/v3/mail/send",
            data=json.dumps(body).encode(),
            content_type="application/json",
            headers={"Authorization": "Bearer SG.key"},
        )
        try:
            document.validate_request(asked)
        except OpenAPIError as error:
            return type(error).__name__
        return None

    body = await sendgrid_body()
    assert verdict(body) is None
    listed = [{"Name": name, "Value": value} for name, value in PAIR.items()]
    assert verdict({**body, "headers": listed}) == "InvalidRequestBody"
    assert verdict({**body, "headers": "List-Unsubscribe: x"}) == "InvalidRequestBody"
    schema = given["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]
    described = schema["schema"]["properties"]["headers"]["description"]
    reserved = {name.lower() for name in re.findall(r"`([^`]+)`", described)}
    assert {"to", "bcc", "dkim-signature"} <= reserved
    assert reserved.isdisjoint(name.lower() for name in PAIR)


async def test_a_success_of_sendgrids_has_no_body_to_read_and_a_refusal_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[bytes] = []

    def counting(body: bytes) -> dict[str, object]:
        reads.append(body)
        return dict(json.loads(body)) if body else {}

    monkeypatch.setattr(sendgrid_answer, "read_object", counting)
    named = {"X-Message-Id": "LB8TzB4nQtOXm6dxnzOqug"}
    read = sendgrid_answer.read_answer
    assert read(Answer(202, named, b""), NOW) == Accepted("LB8TzB4nQtOXm6dxnzOqug")
    assert reads == []
    body = b'{"errors":[{"message":"no","field":"subject","help":null}]}'
    assert read(Answer(400, {}, body), NOW) == Refused(Refusal.CONTENT, "http_400.subject")
    assert reads == [body]
    assert read(Answer(202, {}, b""), NOW) == InDoubt("http_202")
    assert reads == [body, b""]


# --------------------------------------------------------------------------- SMTP


def read_both(raw: bytes) -> dict[str, str]:
    """Read the pair by both parsers of the standard library, which must agree.

    policy.default unfolds and decodes encoded words; compat32 does neither.
    """
    decoded = message_from_bytes(raw, policy=policy.default)
    plain = message_from_bytes(raw, policy=policy.compat32)
    found = {name: str(decoded[name]).strip() for name in PAIR}
    assert not decoded.defects
    for name, value in found.items():
        assert [str(each).replace("\r\n", "").strip() for each in plain.get_all(name, [])] == [
            value
        ]
    return found


@asynccontextmanager
async def judging() -> AsyncIterator[tuple[int, list[Envelope]]]:
    taken: list[Envelope] = []

    class Takes:
        async def handle_DATA(self, server: SMTP, session: object, envelope: Envelope) -> str:
            taken.append(envelope)
            return "250 2.0.0 Ok: queued as ABCDEF123"

    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Takes()), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], taken
    finally:
        server.close()


async def test_aiosmtpd_and_both_parsers_have_the_url_intact() -> None:
    urls = [URL, LONGEST, *(f"https://n.example.com/{'a' * size}" for size in range(30, 60))]
    async with judging() as (port, taken):
        client = smtp(port)
        for url in urls:
            message = replace(MESSAGE, unsubscribe_url=url)
            assert await client.send(message, timeout_s=5) == Accepted("ABCDEF123")
        await client.close()
    for envelope, url in zip(taken, urls, strict=True):
        assert isinstance(envelope.content, bytes)
        assert read_both(envelope.content) == {**PAIR, "List-Unsubscribe": f"<{url}>"}
        assert f" <{url}>\r\n".encode() in envelope.content
        assert max(map(len, envelope.content.split(b"\r\n"))) <= 998
        assert b"\r\n\r\n" not in envelope.content.partition(b"List-Unsubscribe-Post")[0]


def test_a_field_is_folded_only_before_its_url_and_only_when_it_is_long() -> None:
    def first_lines(size: int) -> list[bytes]:
        url = "https://n.example.com/" + "a" * (size - 22)
        return raw_mail(replace(MESSAGE, unsubscribe_url=url)).split(b"\r\n")[:2]

    whole, _ = first_lines(58)  # 18 before it, 2 brackets: 78 in all
    assert whole.startswith(b"List-Unsubscribe: <https://")
    assert len(whole) == 78
    name, value = first_lines(59)
    assert (name, value[:10]) == (b"List-Unsubscribe:", b" <https://")


def test_the_judge_sees_what_the_library_would_have_made_of_a_long_url() -> None:
    mail = EmailMessage(policy.SMTP)
    for name, value in {**PAIR, "List-Unsubscribe": f"<{LONGEST}>"}.items():
        mail[name] = value
    mail.set_content("x")
    assert b"=?utf-8?q?" in mail.as_bytes()
    with pytest.raises(AssertionError):
        read_both(mail.as_bytes())


URL_CHARACTERS = "ABCabc019-._~%!$&'()*+,;=:@/?"


@given(st.text(URL_CHARACTERS, max_size=UNSUBSCRIBE_URL_CHARS_MAX - 22))
@settings(max_examples=200, deadline=None)
def test_any_url_of_its_characters_comes_through_the_header_intact(rest: str) -> None:
    url = f"https://n.example.com/{rest}"
    raw = raw_mail(replace(MESSAGE, unsubscribe_url=url))
    assert read_both(raw) == {**PAIR, "List-Unsubscribe": f"<{url}>"}
    assert max(map(len, raw.split(b"\r\n"))) <= 998
