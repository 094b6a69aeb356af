"""The sandbox's relay is as strict as others, breaks what it is told to, and counts honestly."""

import asyncio
import base64
import smtplib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import aiosmtplib
import pytest

from notifyq.domain.content import EmailContent
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
from notifyq.providers.smtp.client import Smtp
from notifyq.sandbox.faults import FAULTS, OF_HTTP, OF_HTTP2, Phase
from notifyq.sandbox.holds import Holds
from notifyq.sandbox.magic import KINDS
from notifyq.sandbox.record import Record
from notifyq.sandbox.scripts import Faults
from notifyq.sandbox.smtp import rules, vendor
from notifyq.sandbox.smtp.rules import PASSWORD, SENDER, SIZE_BYTES_MAX, USERNAME
from notifyq.sandbox.smtp.vendor import Relay
from notifyq.sandbox.telling import Teller
from notifyq.sandbox.vendors import Floor
from notifyq.sandbox.webhooks import Webhooks

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TO = "anna@example.org"


def mail(body: str = "It was shipped.\n.\n", **headers: str) -> EmailMessage:
    made = EmailMessage()
    given = {
        "From": SENDER,
        "To": TO,
        "Subject": "Order",
        "Date": "Mon, 23 Nov 2026 12:00:00 +0000",
        "Message-ID": "<1@sandbox.example>",
    }
    for name, value in {**given, **headers}.items():
        if value:
            made[name] = value
    made.set_content(body)
    return made


@dataclass
class Ground:
    """A sandbox with a relay alone."""

    floor: Floor
    port: int

    def accepted(self) -> list[tuple[str, str, str, str | None]]:
        rows, _ = self.floor.record.page({"vendor": "smtp"}, start=0, limit=1_000)
        return [(row.to, row.sender, row.body, row.reference) for row in rows]

    def script(self, fault: str, **rest: object) -> None:
        self.floor.faults.add({"vendor": "smtp", "fault": fault, **rest})

    async def held(self) -> None:
        async with asyncio.timeout(5):
            while not list(self.floor.holds):  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    record = Record()
    floor = Floor(record, Faults(), Holds(), Teller(record), Webhooks())
    relay = Relay(floor.counter(vendor.VENDOR, vendor.magic_of))
    yield Ground(floor, await relay.start("127.0.0.1", 0))
    floor.holds.release()
    await relay.close()


class Talk:
    """A client that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, line: str | bytes) -> str:
        raw = line if isinstance(line, bytes) else line.encode() + b"\r\n"
        self.writer.write(raw)
        return await self.hear()

    async def hear(self) -> str:
        async with asyncio.timeout(5):
            while True:
                line = (await self.reader.readline()).decode()
                if line[3:4] != "-":
                    return line.strip()


@pytest.fixture
async def talk(ground: Ground) -> AsyncIterator[Talk]:
    made = Talk(*await asyncio.open_connection("127.0.0.1", ground.port))
    assert (await made.hear()).startswith("220 ")
    yield made
    made.writer.close()


HELLO, FROM, RCPT = "EHLO me", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{TO}>"
GOOD = mail("It was shipped.\n").as_bytes().replace(b"\n", b"\r\n")


async def test_independent_clients_hand_over_mails_that_are_recorded_once(ground: Ground) -> None:
    def by_standard_library() -> None:
        with smtplib.SMTP("127.0.0.1", ground.port) as client:
            client.login(USERNAME, PASSWORD)
            assert client.send_message(mail(), mail_options=["ENVID=ref1"]) == {}

    await asyncio.to_thread(by_standard_library)
    errors, said = await aiosmtplib.send(
        mail(Subject="Größe"), hostname="127.0.0.1", port=ground.port, start_tls=False
    )
    rows, _ = ground.floor.record.page({}, start=0, limit=9)
    assert (errors, said) == ({}, f"2.0.0 Ok: queued as {rows[1].provider_id}")
    body = "It was shipped.\n."
    assert ground.accepted() == [(TO, SENDER, body, "ref1"), (TO, SENDER, body, None)]


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ([HELLO, "QUIT"], "221 "),
        ([HELLO, "NOOP"], "250 "),
        ([HELLO, "VRFY x"], "252 "),
        (["HELO me"], "250 sandbox.example"),
        (["EHLO"], "501 5.5.4"),
        (["EHLO a b"], "501 5.5.4"),
        ([HELLO, "HELP"], "500 5.5.1"),
        ([HELLO, "STARTTLS"], "500 5.5.1"),
        ([HELLO, "DATA x"], "500 5.5.1"),
        ([FROM], "503 5.5.1"),
        ([HELLO, RCPT], "503 5.5.1"),
        ([HELLO, "DATA"], "503 5.5.1"),
        ([HELLO, FROM, "DATA"], "503 5.5.1"),
        ([HELLO, FROM, FROM], "503 5.5.1"),
        ([HELLO, FROM, "RSET", RCPT], "503 5.5.1"),
        ([HELLO, FROM, RCPT, RCPT], "452 4.5.3"),
        ([HELLO, "MAIL TO:<a@b>"], "501 5.5.4"),
        ([HELLO, f"MAIL FROM: <{SENDER}>"], "501 5.5.4"),
        ([HELLO, f"MAIL FROM:{SENDER}"], "501 5.5.4"),
        ([HELLO, "MAIL FROM:<>"], "501 5.5.4"),
        ([HELLO, "MAIL FROM:<nobody>"], "501 5.1.3"),
        ([HELLO, "MAIL FROM:<a@another.example>"], "553 5.7.1"),
        ([HELLO, f"{FROM} X=1"], "555 5.5.4"),
        ([HELLO, f"{FROM} NOTIFY=NEVER"], "555 5.5.4"),
        ([HELLO, f"{FROM} SIZE=x"], "501 5.5.4"),
        ([HELLO, f"{FROM} SIZE=1 SIZE=1"], "501 5.5.4"),
        ([HELLO, f"{FROM} SIZE={SIZE_BYTES_MAX + 1}"], "552 5.3.4"),
        ([HELLO, f"{FROM} BODY=9BIT"], "501 5.5.4"),
        ([HELLO, f"{FROM} SMTPUTF8=1"], "501 5.5.4"),
        ([HELLO, f"{FROM} RET=ALL"], "501 5.5.4"),
        ([HELLO, f"{FROM} ENVID=a+b"], "501 5.5.4"),
        ([HELLO, f"{FROM} SIZE=9 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=ref"], "250 2.1.0"),
        ([HELLO, "MAIL FROM:<ä@sandbox.example>"], "553 5.6.7"),
        ([HELLO, "MAIL FROM:<ä@sandbox.example> SMTPUTF8"], "250 2.1.0"),
        ([HELLO, FROM, "RCPT TO:<ä@example.org>"], "553 5.6.7"),
        ([HELLO, f"{FROM} SMTPUTF8", "RCPT TO:<ä@example.org>"], "250 2.1.5"),
        ([HELLO, FROM, f"{RCPT} SIZE=1"], "555 5.5.4"),
        ([HELLO, FROM, f"{RCPT} NOTIFY=NEVER"], "250 2.1.5"),
        ([HELLO, FROM, "RCPT TO:<dead@example.org>"], "550 5.1.1"),
        ([HELLO, FROM, "RCPT TO:<opted-out+x@example.org>"], "550 5.7.1"),
        ([HELLO, FROM, "RCPT TO:<wrong-kind@example.org>"], "553 5.1.3"),
        ([HELLO, FROM, "RCPT TO:<config@example.org>"], "554 5.7.1"),
        ([HELLO, FROM, RCPT, "DATA"], "354 "),
        (["x" * 3_000], "500 5.5.2"),
        (["\udcff"], "501 5.5.4"),
    ],
)
async def test_commands_are_answered_as_relays_do(talk: Talk, said: list[str], reply: str) -> None:
    *before, last = said
    for line in before:
        assert (await talk.say(line))[0] in "23"
    raw = last.encode(errors="surrogateescape") + b"\r\n"
    assert (await talk.say(raw)).startswith(reply)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ([f"AUTH PLAIN {encoded(f'{chr(0)}{USERNAME}{chr(0)}{PASSWORD}')}"], "503 "),
        ([HELLO, f"AUTH PLAIN {encoded(f'{chr(0)}{USERNAME}{chr(0)}{PASSWORD}')}"], "235 "),
        ([HELLO, "AUTH PLAIN", encoded(f"{chr(0)}{USERNAME}{chr(0)}{PASSWORD}")], "235 "),
        ([HELLO, "AUTH LOGIN", encoded(USERNAME), encoded(PASSWORD)], "235 "),
        ([HELLO, f"AUTH LOGIN {encoded(USERNAME)}", encoded(PASSWORD)], "235 "),
        ([HELLO, f"AUTH PLAIN {encoded('x')}"], "535 5.7.8"),
        ([HELLO, "AUTH PLAIN ="], "535 5.7.8"),
        ([HELLO, "AUTH LOGIN", encoded(USERNAME), encoded("wrong")], "535 5.7.8"),
        ([HELLO, "AUTH CRAM-MD5"], "504 5.5.4"),
        ([HELLO, FROM, "AUTH LOGIN"], "503 "),
    ],
)
async def test_logging_in_is_offered_and_checked(talk: Talk, said: list[str], reply: str) -> None:
    *before, last = said
    for line in before:
        assert (await talk.say(line))[0] in "23"
    assert (await talk.say(last)).startswith(reply)


async def begun(talk: Talk, parameters: str = "") -> None:
    for line in (HELLO, FROM + parameters, RCPT, "DATA"):
        assert (await talk.say(line))[0] in "23"


def with_header(line: bytes) -> bytes:
    return line + b"\r\n" + GOOD


@pytest.mark.parametrize(
    ("raw", "parameters", "reply"),
    [
        (GOOD, "", "250 2.0.0"),
        (GOOD.replace(b"Order", b"Or\xc3\xa4"), " BODY=8BITMIME SMTPUTF8", "250 2.0.0"),
        (GOOD.replace(b"Order", b"Or\xc3\xa4"), " BODY=8BITMIME", "550 5.6.7"),
        (GOOD.replace(b"shipped", b"\xc3\xa4"), "", "550 5.6.1"),
        (GOOD.replace(b"shipped", b"a\nb"), "", "550 5.6.11"),
        (GOOD.replace(b"shipped", b"a\rb"), "", "550 5.6.11"),
        (GOOD.replace(b"shipped", b"x" * 991), "", "550 5.6.11"),
        (GOOD.replace(b"shipped", b"x" * 100_000), "", "550 5.6.11"),
        (with_header(b"From: x@sandbox.example"), "", "550 5.6.0"),
        (with_header(b"Subject: another"), "", "550 5.6.0"),
        (GOOD.replace(b"Date:", b"Dato:"), "", "550 5.6.0"),
        (GOOD.replace(b"Message-ID:", b"X:"), "", "550 5.6.0"),
        (b"no header at all\r\n", "", "550 5.6.0"),
        (b"", "", "550 5.6.0"),
        (b"x" * 998 + b"\r\n", "", "550 5.6.0"),
        ((b"x" * 900 + b"\r\n") * 12_000, "", "552 5.3.4"),
    ],
)
async def test_mails_are_judged_at_their_end(
    ground: Ground, talk: Talk, raw: bytes, parameters: str, reply: str
) -> None:
    await begun(talk, parameters)
    stuffed = b"\r\n".join(b"." + x if x.startswith(b".") else x for x in raw.split(b"\r\n"))
    assert (await talk.say(stuffed + b".\r\n")).startswith(reply)
    assert len(ground.accepted()) == reply.startswith("250")
    assert (await talk.say("NOOP")).startswith("250 ")  # the next command is read as one


async def test_a_mail_that_is_cut_is_not_accepted(ground: Ground, talk: Talk) -> None:
    await begun(talk)
    talk.writer.write(GOOD + b".\r")
    await talk.writer.drain()
    talk.writer.close()
    await asyncio.sleep(0.05)
    assert ground.accepted() == []


async def test_a_client_that_leaves_while_its_mail_is_held_has_handed_over_nothing(
    ground: Ground, talk: Talk
) -> None:
    ground.script("hold_before_accept")
    await begun(talk)
    talk.writer.write(GOOD + b".\r\n")
    await ground.held()
    talk.writer.close()
    async with asyncio.timeout(5):
        while list(ground.floor.holds):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert ground.accepted() == []


async def test_a_held_mail_goes_on_when_it_is_let_go(ground: Ground, talk: Talk) -> None:
    ground.script("hold_before_accept")
    await begun(talk)
    sending = asyncio.create_task(talk.say(GOOD + b".\r\n"))
    await ground.held()
    assert ground.accepted() == []
    ground.floor.holds.release()
    assert (await sending).startswith("250 2.0.0")
    assert len(ground.accepted()) == 1


@pytest.mark.parametrize("code", [400, 421, 450, 499, 550, 554, 571, 599])
async def test_a_script_refuses_with_its_code(ground: Ground, talk: Talk, code: int) -> None:
    ground.script("refuse", code=code, match={"body_contains": "shipped"})
    await begun(talk)
    assert (await talk.say(GOOD + b".\r\n")).startswith(f"{code} {code // 100}.")
    assert ground.accepted() == []
    assert (await talk.reader.read(1) == b"") if code == 421 else True


# The client and the relay know nothing of each other: they meet here.

MESSAGE = Message(
    reference="ref1",
    collapse_id="dlv_1",
    to=TO,
    sender=Sender(SENDER, "notifyq"),
    content=EmailContent("Größe", "50 % off €\n.\n", "<p>50 %</p>"),
    callback_url="",
    validity_s=600,
    expires_at=NOW + timedelta(seconds=600),
)


def client(port: int) -> Smtp:
    return Smtp(
        name="mail",
        host="127.0.0.1",
        port=port,
        security="none",
        username=USERNAME,
        password=PASSWORD,
        hello=None,
        max_in_flight=2,
        now=lambda: NOW,
        check_sender=SENDER,
    )


ADDRESS, CONTENT = Refusal.ADDRESS, Refusal.CONTENT
MAGIC: dict[str, tuple[Outcome | type[Accepted], int]] = {
    "anna": (Accepted, 1),
    "dead": (Refused(ADDRESS, "550 5.1.1"), 0),
    "opted-out": (Refused(CONTENT, "550 5.7.1"), 0),
    "wrong-kind": (Refused(ADDRESS, "553 5.1.3"), 0),
    "throttled": (Throttled("454"), 0),
    "error": (Unavailable("451 4.3.0"), 0),
    "lost": (InDoubt("closed"), 1),
    "undelivered": (Accepted, 1),
    "silent": (Accepted, 1),
    "slow": (Accepted, 1),
    "content": (Refused(CONTENT, "554 5.7.1"), 0),
    "config": (Misconfigured("554 5.7.1"), 0),
    "dropped": (InDoubt("closed"), 0),
}


def test_every_magic_recipient_is_tried() -> None:
    assert MAGIC.keys() - {"anna"} == KINDS.keys() == rules.AT_RCPT.keys() | rules.MAGIC.keys()


@pytest.mark.parametrize("local", MAGIC)
async def test_a_send_ends_as_its_recipient_says(ground: Ground, local: str) -> None:
    expected, count = MAGIC[local]
    made, to = client(ground.port), f"{local}+x@example.org"
    found = await made.send(replace(MESSAGE, to=to), timeout_s=10)
    await made.close()
    assert found == expected or type(found) is expected
    assert ground.accepted() == [(to, SENDER, "50 % off €\n.", "ref1")] * count
    if isinstance(found, Accepted):
        rows, _ = ground.floor.record.page({}, start=0, limit=1)
        assert found.provider_id == rows[0].provider_id


FAULTS_TRIED: dict[str, tuple[dict[str, object], Outcome | type[Outcome], int]] = {
    "refuse": ({"code": 552}, Refused(CONTENT, "552 5.3.4"), 0),
    "throttle": ({}, Throttled("454"), 0),
    "error_before_accept": ({}, Unavailable("451 4.3.0"), 0),
    "error_after_accept": ({}, InDoubt("closed"), 1),
    "hold_before_accept": ({}, InDoubt("timeout"), 0),
    "hold_after_accept": ({}, InDoubt("timeout"), 1),
    "drop_before_accept": ({}, InDoubt("closed"), 0),
    "drop_after_accept": ({}, InDoubt("closed"), 1),
    "slow": ({"delay_s": 0.05}, Accepted, 1),
}


def test_every_fault_of_an_answer_is_tried() -> None:
    of_answers = {name for name, kind in FAULTS.items() if kind.phase is Phase.ANSWER}
    assert FAULTS_TRIED.keys() == of_answers - OF_HTTP - OF_HTTP2


@pytest.mark.parametrize("fault", FAULTS_TRIED)
async def test_a_fault_is_read_for_what_it_is_and_the_next_mail_goes_well(
    ground: Ground, fault: str
) -> None:
    rest, expected, count = FAULTS_TRIED[fault]
    ground.script(fault, **rest)
    made = client(ground.port)
    found = await made.send(MESSAGE, timeout_s=0.5 if fault.startswith("hold") else 10)
    assert found == expected or type(found) is expected
    async with asyncio.timeout(5):
        while list(ground.floor.holds):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert len(ground.accepted()) == count
    assert isinstance(await made.send(MESSAGE, timeout_s=10), Accepted)
    await made.close()


async def test_a_check_finds_all_well_and_sends_nothing(ground: Ground) -> None:
    made = client(ground.port)
    found = await made.check(timeout_s=5)
    await made.close()
    names = ["reach", "greeting", "hello", "credentials", "sender"]
    assert [(each.name, each.ok) for each in found] == [(name, True) for name in names]
    assert ground.accepted() == []


async def test_a_relay_that_was_closed_is_not_there(ground: Ground) -> None:
    record = Record()
    floor = Floor(record, Faults(), Holds(), Teller(record), Webhooks())
    relay = Relay(floor.counter(vendor.VENDOR, vendor.magic_of))
    port = await relay.start("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await Relay(floor.counter(vendor.VENDOR, vendor.magic_of)).start("127.0.0.1", port)
    made = client(port)
    assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
    began = time.monotonic()
    await relay.close()
    assert time.monotonic() - began < 2
    assert await made.send(MESSAGE, timeout_s=5) in (NotSent("econnrefused"), NotSent("closed"))
    await made.close()
