"""One-click unsubscribe (RFC 8058) at the sandbox: taken by vendors' rules, shown in the record.

Our clients, AWS' own and the standard library's meet the sandbox here over sockets.
"""

import asyncio
import contextlib
import json
import smtplib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import botocore.session  # type: ignore[import-untyped]
import httpx
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from notifyq.domain.content import EmailContent
from notifyq.domain.message import Message, Sender
from notifyq.domain.outcome import Accepted, InDoubt
from notifyq.domain.provider import Provider
from notifyq.providers.sendgrid.client import SendGrid
from notifyq.providers.ses.client import Ses
from notifyq.providers.smtp.client import Smtp
from notifyq.providers.wire import Wire
from notifyq.sandbox.app import PORTS, create_app, start
from notifyq.sandbox.record import Acceptance, Mail, Record, one_click
from notifyq.sandbox.sendgrid import rules as sendgrid_rules
from notifyq.sandbox.ses import rules as ses_rules
from notifyq.sandbox.smtp import rules as smtp_rules
from notifyq.sandbox.twilio.rules import ACCOUNT_SID, AUTH_TOKEN
from notifyq.sandbox.twilio.rules import SENDER as NUMBER

URL = "https://notify.example.com/u/00fjq2m8c0v6g.3q2-7w_x~?p=" + "A" * 200
POST = "List-Unsubscribe=One-Click"
PAIR = {"List-Unsubscribe": f"<{URL}>", "List-Unsubscribe-Post": POST}
TO, SENDER = "ann@example.org", ses_rules.SENDER
MESSAGE = Message(
    reference="0123456789abcdefghijklmnopqrstuv",
    collapse_id="dlv_1",
    to=TO,
    sender=Sender(SENDER, "Shop"),
    content=EmailContent("Order", "hello", "<p>hello</p>"),
    callback_url="http://127.0.0.1:9/x",
    validity_s=60,
    expires_at=datetime(2026, 11, 23, 12, tzinfo=UTC) + timedelta(minutes=1),
    unsubscribe_url=URL,
)
VENDORS = ("ses", "sendgrid", "smtp")


@dataclass
class World:
    """A whole sandbox."""

    record: Record
    http: httpx.AsyncClient
    base: str
    smtp_port: int

    async def rows(self, **query: str) -> list[dict[str, Any]]:
        answer = await self.http.get("/sandbox/messages", params=query)
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def script(self, vendor: str, fault: str, **rest: Any) -> None:
        answer = await self.http.post(
            "/sandbox/faults", json={"vendor": vendor, "fault": fault, **rest}
        )
        assert answer.status_code == 201, answer.text

    def client(self, vendor: str) -> Provider:
        """Return our client of a vendor."""
        wire, now = Wire(max_in_flight=1), _now
        if vendor == "ses":
            return Ses(
                name=vendor,
                base_url=f"{self.base}/ses",
                region=ses_rules.REGION,
                access_key_id=ses_rules.ACCESS_KEY_ID,
                secret_access_key=ses_rules.SECRET_ACCESS_KEY,
                wire=wire,
                now=now,
            )
        if vendor == "sendgrid":
            base, key = f"{self.base}/sendgrid", sendgrid_rules.API_KEY
            return SendGrid(name=vendor, base_url=base, api_key=key, wire=wire, now=now)
        return Smtp(
            name=vendor,
            host="127.0.0.1",
            port=self.smtp_port,
            security="none",
            username=None,
            password=None,
            hello=None,
            max_in_flight=1,
            now=now,
        )


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    record = Record()
    app = create_app(record, callback_delay_s=0.01, listen=("127.0.0.1", (0, 0)))
    runner = await start(app, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with httpx.AsyncClient(base_url=base, trust_env=False) as http:
        yield World(record, http, base, app[PORTS]["smtp"])
    await runner.cleanup()


# ------------------------------------------------------------------------------ the record


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_mail_of_ours_is_shown_with_the_url_that_was_sent(
    world: World, vendor: str
) -> None:
    client = world.client(vendor)
    loopback = "http://127.0.0.1:8180/u/x"
    for url in (URL, None, loopback):
        message = replace(MESSAGE, unsubscribe_url=url)
        assert isinstance(await client.send(message, timeout_s=5), Accepted)
    await client.close()
    rows = await world.rows(vendor=vendor)
    assert [row["unsubscribe"] for row in rows] == [URL, None, loopback]
    assert [row["body"] for row in rows] == ["hello"] * 3


async def test_what_is_no_mail_has_no_such_field(world: World) -> None:
    client = world.client("ses")
    assert isinstance(await client.send(MESSAGE, timeout_s=5), Accepted)
    await client.close()
    text = await world.http.post(
        f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
        data={"To": "+14155550100", "From": NUMBER, "Body": "hello"},
        auth=(ACCOUNT_SID, AUTH_TOKEN),
    )
    assert text.status_code == 201
    mail, sms = await world.rows()
    assert mail.keys() - sms.keys() == {"unsubscribe"}
    assert sms.keys() <= mail.keys()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_mail_whose_answer_is_lost_is_shown_with_it_too(world: World, vendor: str) -> None:
    client = world.client(vendor)
    await world.script(vendor, "drop_after_accept")
    assert isinstance(await client.send(MESSAGE, timeout_s=5), InDoubt)
    (row,) = await world.rows()
    assert row["unsubscribe"] == URL
    await world.script(vendor, "hold_after_accept")
    sending = asyncio.create_task(client.send(MESSAGE, timeout_s=5))
    async with asyncio.timeout(5):
        while len(rows := await world.rows()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert rows[1]["unsubscribe"] == URL
    await world.http.delete("/sandbox/held")
    assert isinstance(await sending, Accepted)
    await client.close()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_nothing_is_kept_of_a_mail_that_was_not_accepted(world: World, vendor: str) -> None:
    client = world.client(vendor)
    for fault in ("throttle", "drop_before_accept"):
        await world.script(vendor, fault)
        assert not isinstance(await client.send(MESSAGE, timeout_s=5), Accepted)
    await world.script(vendor, "hold_before_accept")
    assert isinstance(await client.send(MESSAGE, timeout_s=0.2), InDoubt)
    await client.close()
    async with asyncio.timeout(5):
        while world.record._offers:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await world.rows() == []


def test_the_url_outlives_the_process_and_an_old_store_is_read(tmp_path: Path) -> None:
    path = tmp_path / "store"
    old = {
        **{"vendor": "ses", "account": "a", "to": TO, "sender": SENDER, "reference": None},
        **{"body": "b", "accepted_at": "2026-01-01T00:00:00+00:00", "provider_id": "old"},
    }
    path.write_text(json.dumps({"accepted": old, "status": "Accepted"}) + "\n")
    entry = Acceptance(**old)  # type: ignore[arg-type]
    new, bare, text = (replace(entry, provider_id=name) for name in ("new", "bare", "text"))
    record = Record(path)
    with record.offering("new", {name.lower(): value for name, value in PAIR.items()}):
        record.add(new, "Accepted")
    with record.offering("bare", {}):
        record.add(bare, "Accepted")
    record.add(text, "queued")
    record.close()
    again = Record(path)
    rows, _ = again.page({"to": TO}, start=0, limit=9)
    again.close()
    fields = {name: getattr(entry, name) for name in old if name != "provider_id"}
    assert rows == [
        entry,
        Mail(**fields, provider_id="new", unsubscribe=URL),
        Mail(**fields, provider_id="bare", unsubscribe=None),
        text,
    ]


@pytest.mark.parametrize(
    ("value", "post", "found"),
    [
        (f"<{URL}>", POST, URL),
        (f" <{URL}>", f" {POST}", URL),
        (f"<mailto:u@example.com>, <{URL}>", POST, URL),
        ("<https://a.example/1>, <https://b.example/2>", POST, "https://a.example/1"),
        ("<http://localhost:8180/u>", POST, "http://localhost:8180/u"),
        ("<http://[::1]/u>", POST, "http://[::1]/u"),
        ("<http://notify.example.com/u>", POST, None),
        ("<http://localhost.example.com/u>", POST, None),
        ("<mailto:u@example.com>", POST, None),
        (URL, POST, None),
        ("<https://>", POST, None),
        ("<https://n.example.com/a b>", POST, None),
        ("=?utf-8?q?=3Chttps=3A//n=2Eexample=2Ecom/u=3E?=", POST, None),
        (None, POST, None),
        (f"<{URL}>", None, None),
        (f"<{URL}>", "list-unsubscribe", None),
        (f"<{URL}>", f"{POST}&x=1", None),
    ],
)
def test_one_click_needs_both_fields_in_their_one_form(
    value: str | None, post: str | None, found: str | None
) -> None:
    given = {"list-unsubscribe": value, "list-unsubscribe-post": post}
    assert one_click({name: text for name, text in given.items() if text is not None}) == found


# ------------------------------------------------------------------------------ SES


def ses_request(headers: object) -> dict[str, Any]:
    simple: dict[str, Any] = {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "hello"}}}
    if headers is not None:
        simple["Headers"] = headers
    return {
        "FromEmailAddress": SENDER,
        "Destination": {"ToAddresses": [TO]},
        "Content": {"Simple": simple},
    }


def named(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in pairs]


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        named(*PAIR.items()),
        named(*((f"X-{number}", "x") for number in range(15))),
        named(("X" * 126, "x" * 870)),
        named(("X", "x" * 995)),
        named(("!-9;~", " ~")),
    ],
)
def test_ses_takes_headers_up_to_its_limits(headers: object) -> None:
    asked = ses_rules.judge(ses_request(headers), ses_rules.Account())
    assert isinstance(asked, ses_rules.Asked)
    given = headers if isinstance(headers, list) else []
    assert asked.headers == {each["Name"].lower(): each["Value"] for each in given}


@pytest.mark.parametrize(
    "headers",
    [
        PAIR,
        {},
        "",
        "List-Unsubscribe: x",
        ["List-Unsubscribe"],
        [{"Name": "X"}],
        [{"Value": "x"}],
        [{"Name": "X", "Value": "x", "Charset": "UTF-8"}],
        [{"name": "X", "value": "x"}],
        [{"Name": 1, "Value": "x"}],
        [{"Name": "X", "Value": None}],
        named(*((f"X-{number}", "x") for number in range(16))),
        named(("", "x")),
        named(("X", "")),
        named(("X" * 127, "x")),
        named(("X", "x" * 996)),
        named(("X" * 126, "x" * 871)),
        named(("X:", "x")),
        named(("X Y", "x")),
        named(("X\n", "x")),
        named(("X", "a\r\nBcc: eve@example.org")),
        named(("X", "a\n b")),
        named(("X", "größe")),
        named(*PAIR.items(), ("list-unsubscribe", "<https://b.example>")),
        *(
            named((name, "x"))
            for name in (
                *("BCC", "CC", "Content-Disposition", "Content-Type", "Date", "From"),
                *("Message-ID", "MIME-Version", "Reply-To", "Return-Path", "Subject", "to"),
            )
        ),
    ],
)
def test_ses_refuses_headers_of_another_shape(headers: object) -> None:
    refused = ses_rules.judge(ses_request(headers), ses_rules.Account())
    assert isinstance(refused, ses_rules.Refused)
    assert (refused.name, refused.status) == ("BadRequestException", 400)


async def test_awss_own_client_has_its_headers_taken_and_broken_ones_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    def by_awss_client() -> str:
        client = botocore.session.Session().create_client(
            "sesv2",
            region_name=ses_rules.REGION,
            endpoint_url=f"{world.base}/ses",
            aws_access_key_id=ses_rules.ACCESS_KEY_ID,
            aws_secret_access_key=ses_rules.SECRET_ACCESS_KEY,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        with contextlib.closing(client):
            found = client.send_email(**ses_request(named(*PAIR.items())))
            with pytest.raises(ClientError, match="disallowed") as error:
                client.send_email(**ses_request(named(("To", TO))))
        assert error.value.response["Error"]["Code"] == "BadRequestException"
        return str(found["MessageId"])

    name = await asyncio.to_thread(by_awss_client)
    (row,) = await world.rows()
    assert (row["provider_id"], row["unsubscribe"]) == (name, URL)


# ------------------------------------------------------------------------------ SendGrid


def sendgrid_request(headers: object) -> dict[str, Any]:
    return {
        "personalizations": [{"to": [{"email": TO}]}],
        "from": {"email": SENDER},
        "subject": "s",
        "content": [{"type": "text/plain", "value": "hello"}],
        "headers": headers,
    }


@pytest.mark.parametrize("headers", [{}, PAIR, {"X-Empty": ""}, {"X" * 999: "größe"}])
def test_sendgrid_takes_an_object_of_strings(headers: dict[str, str]) -> None:
    asked = sendgrid_rules.judge(sendgrid_request(headers), sendgrid_rules.Account())
    assert isinstance(asked, sendgrid_rules.Asked)
    assert asked.headers == {name.lower(): value for name, value in headers.items()}


RESERVED = [
    *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "Content-Type", "BCC"),
    *("Content-Transfer-Encoding", "To", "From", "Subject", "Reply-To", "CC"),
]


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (named(*PAIR.items()), "must be an object"),
        (None, "must be an object"),
        ("List-Unsubscribe: x", "must be an object"),
        ({"X": 1}, "values must be strings"),
        ({"X": ["x"]}, "values must be strings"),
        ({"X": None}, "values must be strings"),
        ({"X Y": "x"}, "non-ASCII characters and empty spaces"),
        ({"": "x"}, "non-ASCII characters and empty spaces"),
        ({"Größe": "x"}, "non-ASCII characters and empty spaces"),
        ({"X:": "x"}, "non-ASCII characters and empty spaces"),
        ({"X\r\nY": "x"}, "non-ASCII characters and empty spaces"),
        ({"X": "a\r\nBcc: eve@example.org"}, "one line"),
        ({**PAIR, "list-unsubscribe": "x"}, "duplicate keys"),
        *(({name: "x"}, "reserved keys") for name in RESERVED),
    ],
)
def test_sendgrid_refuses_other_headers_in_its_own_words(headers: object, said: str) -> None:
    refused = sendgrid_rules.judge(sendgrid_request(headers), sendgrid_rules.Account())
    assert isinstance(refused, sendgrid_rules.Refused)
    assert (refused.field, refused.status) == ("headers", 400)
    assert said in refused.message


async def test_sendgrid_refuses_over_the_wire_and_accepts_nothing(world: World) -> None:
    key = {"Authorization": f"Bearer {sendgrid_rules.API_KEY}"}
    bad = sendgrid_request({"To": "eve@example.org"})
    answer = await world.http.post("/sendgrid/v3/mail/send", json=bad, headers=key)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "headers"
    assert await world.rows() == []


# ------------------------------------------------------------------------------ SMTP


def raw_mail(*lines: str) -> bytes:
    head = (
        *(f"From: {SENDER}", f"To: {TO}", "Subject: s", "Message-ID: <1@sandbox.example>"),
        "Date: Mon, 23 Nov 2026 12:00:00 +0000",
        *lines,
    )
    return "\r\n".join((*head, "", "hello", "")).encode()


ENVELOPE = smtp_rules.Envelope(SENDER, TO, None, is_8bit=False, is_utf8=False)


@pytest.mark.parametrize("blank", ["", " ", "\r\n ", " \r\n\t"])
def test_the_relay_reads_a_field_folded_or_not(blank: str) -> None:
    raw = raw_mail(*(f"{name}:{blank}{value}" for name, value in PAIR.items()))
    mail = smtp_rules.read_mail(raw, ENVELOPE)
    assert isinstance(mail, EmailMessage)
    headers = smtp_rules.headers_of(mail)
    assert {name: headers[name.lower()].strip() for name in PAIR} == PAIR
    assert "\n" not in "".join(headers.values())
    assert one_click(headers) == URL


@pytest.mark.parametrize("twice", PAIR)
def test_the_relay_takes_each_field_once(twice: str) -> None:
    lines = [f"{name}: {value}" for name, value in PAIR.items()]
    refused = smtp_rules.read_mail(raw_mail(*lines, f"{twice.lower()}: x"), ENVELOPE)
    assert isinstance(refused, smtp_rules.Reply)
    assert (refused.code, refused.detail) == (550, "6.0")
    assert twice in refused.text


def cut(url: str) -> bytes:
    """A URL with a fold in its middle."""
    return raw_mail(
        f"List-Unsubscribe: <{url[:60]}\r\n {url[60:]}>", f"List-Unsubscribe-Post: {POST}"
    )


def encoded(url: str) -> bytes:
    """A URL as the standard library writes a long one: in encoded words."""
    mail = EmailMessage(policy.SMTP)
    fields = {"From": SENDER, "To": TO, "Subject": "s", "Message-ID": "<1@sandbox.example>"}
    date = {"Date": "Mon, 23 Nov 2026 12:00:00 +0000"}
    for name, value in {**fields, **date, **PAIR, "List-Unsubscribe": f"<{url}>"}.items():
        mail[name] = value
    mail.set_content("hello")
    return mail.as_bytes()


@pytest.mark.parametrize("make", [cut, encoded])
async def test_a_url_that_is_not_intact_offers_nothing(
    world: World, make: Callable[[str], bytes]
) -> None:
    def by_standard_library() -> None:
        with smtplib.SMTP("127.0.0.1", world.smtp_port) as client:
            assert client.sendmail(SENDER, [TO], make(URL)) == {}

    await asyncio.to_thread(by_standard_library)
    (row,) = await world.rows(vendor="smtp")
    assert row["unsubscribe"] is None
