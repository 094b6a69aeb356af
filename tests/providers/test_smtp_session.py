"""Sessions: TLS and passwords, connections kept and dropped, checks, and an independent judge."""

import asyncio
import base64
import itertools
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP as Judge
from aiosmtpd.smtp import Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from notifyq.domain.content import EmailContent
from notifyq.domain.outcome import (
    Accepted,
    InDoubt,
    Misconfigured,
    NotSent,
    Outcome,
    Refusal,
    Refused,
    Unavailable,
)
from notifyq.domain.provider import (
    BadCallback,
    Callback,
    Check,
    LookUpFailed,
    Provider,
    Sought,
)
from notifyq.providers.smtp import pool as pool_module
from notifyq.providers.smtp.client import Smtp
from notifyq.providers.smtp.pool import Pool
from notifyq.providers.smtp.session import Relay as Where
from tests.providers.smtp_relay import (
    CUT,
    LARGE,
    MESSAGE,
    NOW,
    RESET,
    SILENT,
    Relay,
    client,
    relaying,
    sent,
    smtp,
    until,
)

OFFERS = b"250-relay\r\n250-STARTTLS\r\n250-AUTH LOGIN PLAIN\r\n250 SIZE 1000000\r\n"
SECRET = "pass wörd"
LOGIN: dict[str, Any] = {"username": "us\u00e9r", "password": SECRET}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The relay's side, and the side of a client that trusts it as `localhost` only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW.replace(year=2020))
        .not_valid_after(NOW.replace(year=2060))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder: Path = tmp_path_factory.mktemp("tls")
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return theirs, ssl.create_default_context(cadata=pem.decode())


Tls = tuple[ssl.SSLContext, ssl.SSLContext]
PLAIN = "AUTH PLAIN " + base64.b64encode("\0usér\0pass wörd".encode()).decode()


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_mail_goes_encrypted_and_logged_in(tls: Tls, security: str) -> None:
    first = security == "tls"
    ways: dict[str, Any] = {"host": "localhost", "security": security, "tls": tls[1], **LOGIN}
    async with (
        relaying({"EHLO": OFFERS}, tls=tls[0], tls_first=first) as relay,
        client(relay, **ways) as made,
    ):
        for _ in range(2):
            assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
    verbs = [line.split(" ")[0] for line in relay.commands]
    opening = ["EHLO", "AUTH"] if first else ["EHLO", "STARTTLS", "EHLO", "AUTH"]
    again = ["MAIL", "RCPT", "DATA"]
    assert verbs == [*opening, *again, "RSET", *again, "QUIT"] or verbs == [
        *opening,
        *again,
        "RSET",
        *again,
    ]
    assert PLAIN in relay.commands
    assert (len(relay.mails), relay.connections) == (2, 1)


@pytest.mark.parametrize(("verb", "expected"), [("BODY", Unavailable), ("END", InDoubt)])
async def test_a_cut_means_the_same_under_tls(tls: Tls, verb: str, expected: type[Outcome]) -> None:
    ways: dict[str, Any] = {"host": "localhost", "security": "starttls", "tls": tls[1]}
    async with (
        relaying({"EHLO": b"250-r\r\n250 STARTTLS\r\n", verb: RESET}, tls=tls[0]) as relay,
        client(relay, **ways) as made,
    ):
        outcome = await made.send(LARGE if verb == "BODY" else MESSAGE, timeout_s=10)
    assert isinstance(outcome, expected)
    assert len(relay.mails) == (verb == "END")


async def test_a_relay_that_hides_starttls_is_told_nothing() -> None:
    """Somebody between could take the word out of its reply."""
    says = {"EHLO": b"250-relay\r\n250 AUTH PLAIN\r\n"}
    outcome, relay = await sent(says, security="starttls", host="localhost", **LOGIN)
    assert outcome == Misconfigured("no_starttls")
    assert [line.split(" ")[0] for line in relay.commands] == ["EHLO"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"454 4.7.0 not now\r\n", Unavailable("454 4.7.0")),
        (b"502 no\r\n", Misconfigured("502")),
        (b"250 ok\r\n", Unavailable("250")),
        (CUT, NotSent("closed")),
    ],
)
async def test_a_refused_starttls_is_not_gone_without(said: Any, expected: Outcome) -> None:
    says = {"EHLO": OFFERS, "STARTTLS": said}
    outcome, relay = await sent(says, security="starttls", host="localhost", **LOGIN)
    assert outcome == expected
    assert [line.split(" ")[0] for line in relay.commands] == ["EHLO", "STARTTLS"]


async def test_what_is_said_in_plain_text_after_starttls_is_not_believed(tls: Tls) -> None:
    """CVE-2011-0411: it would be read as if it had come encrypted."""
    says = {"EHLO": OFFERS, "STARTTLS": b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n"}
    async with (
        relaying(says, tls=tls[0]) as relay,
        client(relay, host="localhost", security="starttls", tls=tls[1]) as made,
    ):
        assert await made.send(MESSAGE, timeout_s=5) == NotSent("unasked_reply")
    assert relay.mails == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("why", ["unknown issuer", "another name"])
async def test_a_certificate_that_does_not_hold_gets_no_password(
    tls: Tls, security: str, why: str
) -> None:
    ways: dict[str, Any] = {"host": "localhost", "security": security, **LOGIN}
    if why == "another name":
        ways |= {"host": "127.0.0.1", "tls": tls[1]}
    async with (
        relaying({"EHLO": OFFERS}, tls=tls[0], tls_first=security == "tls") as relay,
        client(relay, **ways) as made,
    ):
        assert await made.send(MESSAGE, timeout_s=5) == NotSent("tls")
    assert not any(line.startswith("AUTH") for line in relay.commands)


async def test_what_was_offered_before_tls_does_not_count(tls: Tls) -> None:
    says = {"EHLO": [OFFERS, b"250 relay\r\n"]}
    async with relaying(says, tls=tls[0]) as relay:
        ways: dict[str, Any] = {"host": "localhost", "security": "starttls", "tls": tls[1], **LOGIN}
        async with client(relay, **ways) as made:
            outcome = await made.send(MESSAGE, timeout_s=5)
    assert outcome == Misconfigured("no_auth_plain_or_login")


async def test_login_is_spoken_where_plain_is_not() -> None:
    texts = [base64.b64encode(each.encode()).decode() for each in ("usér", SECRET)]
    says: dict[str, Any] = {
        "EHLO": b"250-relay\r\n250 AUTH=LOGIN\r\n",  # the old spelling
        "AUTH": b"334 VXNlcm5hbWU6\r\n",
        texts[0]: b"334 UGFzc3dvcmQ6\r\n",
        texts[1]: b"235 ok\r\n",
    }
    outcome, relay = await sent(says, **LOGIN)
    assert isinstance(outcome, Accepted)
    assert relay.commands[1:4] == ["AUTH LOGIN", *texts]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"535 5.7.8 no\r\n", Misconfigured("535 5.7.8")),
        (b"550 5.1.1 who?\r\n", Misconfigured("550 5.1.1")),
        (b"454 4.7.0 later\r\n", Unavailable("454 4.7.0")),
        (b"250 ok\r\n", Unavailable("250")),
        (b"334 more\r\n", Unavailable("334")),
    ],
)
async def test_a_refused_login_is_definite_and_nothing_else_is_said(
    said: bytes, expected: Outcome
) -> None:
    outcome, relay = await sent({"EHLO": OFFERS, "AUTH": said}, **LOGIN)
    assert outcome == expected
    assert [line.split(" ")[0] for line in relay.commands] == ["EHLO", "AUTH"]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("relay.example.com", False),
    ],
)
def test_a_password_in_plain_text_goes_to_this_machine_only(host: str, allowed: bool) -> None:
    if allowed:
        smtp(25, host=host, **LOGIN)
    else:
        with pytest.raises(ValueError, match="TLS only"):
            smtp(25, host=host, **LOGIN)
    smtp(25, host=host)
    smtp(25, host=host, security="starttls", **LOGIN)


def test_no_password_shows_and_no_lane_is_without_places() -> None:
    where = Where("h", 25, "tls", "user", SECRET, None, ssl.create_default_context())
    assert SECRET not in repr(where)
    assert "user" not in repr(where)
    with pytest.raises(ValueError, match="below 1"):
        Pool(where, max_in_flight=0)
    for hello in ("a b", "a\r\nMAIL", "", "[::1", "ä"):
        with pytest.raises(ValueError, match="host name"):
            smtp(25, hello=hello)


async def test_we_call_ourselves_what_we_are_told_or_by_our_address() -> None:
    for hello, said in [(None, "[127.0.0.1]"), ("mx.example.com", "mx.example.com")]:
        _, relay = await sent({}, hello=hello)
        assert relay.commands[0] == f"EHLO {said}"


# Connections that are kept.


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (b"421 4.4.2 idle too long\r\n", Unavailable("421 4.4.2")),
        (CUT, NotSent("closed")),
        (RESET, NotSent("econnreset")),
        (SILENT, NotSent("timeout")),
    ],
)
@pytest.mark.parametrize("verb", ["RSET", "MAIL"])
async def test_a_kept_connection_that_fails_is_definite_and_is_not_used_again(
    verb: str, second: Any, expected: Outcome
) -> None:
    good = b"250 ok\r\n"
    says = {verb: [second, good] if verb == "RSET" else [good, second, good]}
    async with relaying(says) as relay, client(relay) as made:
        assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
        assert await made.send(MESSAGE, timeout_s=0.3) == expected
        assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
    assert (len(relay.mails), relay.connections) == (2, 2)


async def test_a_connection_that_closed_while_idle_is_not_used_again() -> None:
    class Impatient(Relay):
        async def _read_mail(
            self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await super()._read_mail(reader, writer)
            writer.close()

    async with relaying({}, Impatient) as relay, client(relay) as made:
        for _ in range(3):
            assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
            await until(lambda: not any(s.is_fit for s in made._pool._idle))
    assert (len(relay.mails), relay.connections) == (3, 3)


async def test_a_connection_on_which_somebody_speaks_unasked_is_not_used_again() -> None:
    said = b"250 ok\r\n421 4.4.2 goodbye\r\n"
    async with relaying({"END": said}) as relay, client(relay) as made:
        assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
        assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
    assert (len(relay.mails), relay.connections) == (2, 2)


async def test_a_refused_recipient_costs_no_connection() -> None:
    says = {"RCPT": [b"550 5.1.1 no\r\n", b"250 ok\r\n"]}
    async with relaying(says) as relay, client(relay) as made:
        assert await made.send(MESSAGE, timeout_s=5) == Refused(Refusal.ADDRESS, "550 5.1.1")
        assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
    assert (len(relay.mails), relay.connections) == (1, 1)
    assert relay.commands[3] == "RSET"


@pytest.mark.parametrize("verb", ["MAIL", "END"])
async def test_after_421_a_connection_is_left(verb: str) -> None:
    says = {verb: [b"421 4.3.2 bye\r\n", b"250 ok\r\n"]}
    async with relaying(says) as relay, client(relay) as made:
        assert await made.send(MESSAGE, timeout_s=5) == Unavailable("421 4.3.2")
        assert made._pool._idle == []
        assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
    assert relay.connections == 2


async def test_an_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_S", 0.05)
    async with relaying({}) as relay, client(relay) as made:
        assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
        assert len(made._pool._idle) == 1
        await until(lambda: not made._pool._idle)
        assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
    assert relay.connections == 2


async def test_a_used_connection_is_not_closed_by_an_older_clock() -> None:
    async with relaying({}) as relay, client(relay) as made:
        await made.send(MESSAGE, timeout_s=5)
        session = made._pool._idle[0]
        await made.send(MESSAGE, timeout_s=5)
        made._pool._expire(session, mails=1)
        assert made._pool._idle == [session]
        made._pool._expire(session, mails=2)
        assert made._pool._idle == []


async def test_a_connection_is_left_after_so_many_mails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAILS_MAX", 2)
    async with relaying({}) as relay, client(relay) as made:
        for _ in range(5):
            assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
    assert relay.connections == 3


async def test_at_most_max_in_flight_connections_are_open() -> None:
    async with relaying({}) as relay, client(relay, max_in_flight=3) as made:
        found = await asyncio.gather(*(made.send(MESSAGE, timeout_s=10) for _ in range(30)))
    assert {type(each) for each in found} == {Accepted}
    assert (len(relay.mails), relay.connections) == (30, 3)


async def test_no_free_place_within_the_time_means_not_sent() -> None:
    async with relaying({"END": SILENT}) as relay, client(relay, max_in_flight=1) as made:
        first = asyncio.create_task(made.send(MESSAGE, timeout_s=30))
        await asyncio.wait_for(relay.reached.wait(), 5)
        assert await made.send(MESSAGE, timeout_s=0.1) == NotSent("timeout")
        await made.close()
        assert await first == InDoubt("closed")


async def test_sockets_close_hard_and_do_not_wait() -> None:
    async with relaying({}) as relay, client(relay) as made:
        await made.send(MESSAGE, timeout_s=10)
        transport = made._pool._idle[0].line._transport
        assert transport
        sock = transport.get_extra_info("socket")
        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", linger) == (1, 0)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        silence_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert 8_000 < silence_ms < 10_000


# What the server offers is used, and nothing else.


async def test_size_and_envid_go_where_they_are_offered() -> None:
    says = {"EHLO": b"250-relay\r\n250-size 100000\r\n250 DSN\r\n"}
    _, relay = await sent(says)
    size = len(relay.mails[0])
    sender, reference = MESSAGE.sender.address, MESSAGE.reference
    assert relay.commands[1] == f"MAIL FROM:<{sender}> SIZE={size} RET=HDRS ENVID={reference}"
    assert relay.commands[2] == f"RCPT TO:<{MESSAGE.to}>"  # no NOTIFY
    _, relay = await sent({"EHLO": b"250 relay\r\n"})
    assert relay.commands[1] == f"MAIL FROM:<{sender}>"


async def test_a_mail_above_the_offered_size_is_not_begun() -> None:
    outcome, relay = await sent({"EHLO": b"250-relay\r\n250 SIZE 100\r\n"})
    assert outcome == Refused(Refusal.CONTENT, "too_large")
    assert len(relay.commands) == 1
    for no_limit in (b"SIZE 0", b"SIZE", b"SIZE x"):
        outcome, _ = await sent({"EHLO": b"250-relay\r\n250 " + no_limit + b"\r\n"})
        assert isinstance(outcome, Accepted)


async def test_an_address_that_is_not_ascii_goes_where_smtputf8_is_offered() -> None:
    to = "jürgen@bücher.example"
    offered = {"EHLO": b"250-relay\r\n250 SMTPUTF8\r\n"}
    outcome, relay = await sent(offered, replace(MESSAGE, to=to))
    assert isinstance(outcome, Accepted)
    assert relay.commands[1].endswith("> BODY=8BITMIME SMTPUTF8")
    assert relay.commands[2] == f"RCPT TO:<{to}>"
    assert f"To: {to}".encode() in relay.mails[0]
    outcome, relay = await sent({}, replace(MESSAGE, to=to))
    assert outcome == Refused(Refusal.ADDRESS, "address_needs_smtputf8")
    assert len(relay.commands) == 1
    sender = replace(MESSAGE.sender, address="bestellung@bücher.example")
    outcome, _ = await sent({}, replace(MESSAGE, sender=sender))
    assert outcome == Misconfigured("sender_needs_smtputf8")


# Checks.


def steps(found: list[Check]) -> list[tuple[str, bool]]:
    return [(each.name, each.ok) for each in found]


async def test_a_check_goes_as_far_as_a_sender_and_sends_nothing(tls: Tls) -> None:
    ways: dict[str, Any] = {"host": "localhost", "security": "starttls", "tls": tls[1], **LOGIN}
    async with (
        relaying({"EHLO": OFFERS}, tls=tls[0]) as relay,
        client(relay, check_sender="a@shop.example.com", **ways) as made,
    ):
        found = await made.check(timeout_s=5)
        await until(lambda: relay.commands[-1] in ("RSET", "QUIT"))
    names = ["reach", "greeting", "hello", "tls", "credentials", "sender"]
    assert steps(found) == [(name, True) for name in names]
    assert "MAIL FROM:<a@shop.example.com>" in relay.commands
    assert not any(line.startswith(("RCPT", "DATA")) for line in relay.commands)
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    ("says", "failed"),
    [
        ({"GREETING": b"554 no\r\n"}, "greeting"),
        ({"GREETING": CUT}, "greeting"),
        ({"EHLO": b"550 no\r\n"}, "hello"),
        ({"EHLO": b"250 relay\r\n"}, "credentials"),
        ({"EHLO": OFFERS, "AUTH": b"535 no\r\n"}, "credentials"),
        ({"EHLO": OFFERS, "AUTH": SILENT}, "credentials"),
        ({"EHLO": OFFERS, "MAIL": b"553 not yours\r\n"}, "sender"),
        ({"EHLO": OFFERS, "MAIL": CUT}, "sender"),
    ],
)
async def test_a_check_ends_with_the_first_step_that_fails(
    says: dict[str, Any], failed: str
) -> None:
    async with (
        relaying(says) as relay,
        client(relay, check_sender="a@shop.example.com", **LOGIN) as made,
    ):
        found = await made.check(timeout_s=0.5)
    names = ["reach", "greeting", "hello", "credentials", "sender"]
    expected = [(name, True) for name in itertools.takewhile(lambda n: n != failed, names)]
    assert steps(found) == [*expected, (failed, False)]
    assert SECRET not in str(found)


async def test_a_check_says_what_is_not_there_and_leaves_out_what_is_not_asked(tls: Tls) -> None:
    assert steps(await smtp(1).check(timeout_s=5)) == [("reach", False)]
    async with relaying({}) as relay, client(relay) as made:
        found = await made.check(timeout_s=5)
    assert steps(found) == [("reach", True), ("greeting", True), ("hello", True)]
    async with (
        relaying({"EHLO": OFFERS}, tls=tls[0]) as relay,
        client(relay, host="localhost", security="starttls") as made,
    ):
        found = await made.check(timeout_s=5)
    assert steps(found)[-1] == ("tls", False)


async def test_the_client_is_a_provider_that_learns_nothing_later() -> None:
    provider: Provider = smtp(25)
    sought = Sought("a@b.c", "d@e.f", "", "ref", NOW, NOW)
    assert provider.name == "relay"
    assert await provider.look_up(sought, timeout_s=1) == LookUpFailed("no_list")
    for body in (b"", b"\xff"):
        assert isinstance(await provider.read_callback(Callback("", {}, body)), BadCallback)
    await provider.close()


# aiosmtpd judges: what it takes is a mail by its reading, not by ours.


@asynccontextmanager
async def judging() -> AsyncIterator[tuple[int, list[Envelope]]]:
    taken: list[Envelope] = []

    class Takes:
        async def handle_DATA(self, server: Judge, session: object, envelope: Envelope) -> str:
            taken.append(envelope)
            return "250 2.0.0 Ok: queued as ABCDEF123"

    server = await asyncio.get_running_loop().create_server(
        lambda: Judge(Takes(), enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1], taken
    finally:
        server.close()


BODIES = [
    "plain",
    ".\n..\n.x\n\n.",
    "Größe\n.",
    "x" * 5_000,
    "a\r\nb\rc\n",
    "\n" * 5,
    "\u2013" * 900,
]


async def test_an_independent_server_takes_what_we_send_as_it_was_meant() -> None:
    async with judging() as (port, taken):
        made: Smtp = smtp(port)
        for body in BODIES:
            message = replace(MESSAGE, content=EmailContent("s", body))
            assert await made.send(message, timeout_s=5) == Accepted("ABCDEF123")
        await made.close()
    assert [each.rcpt_tos for each in taken] == [[MESSAGE.to]] * len(BODIES)
    for envelope, body in zip(taken, BODIES, strict=True):
        assert isinstance(envelope.content, bytes)
        read = email_text(envelope.content)
        assert read.splitlines() == body.splitlines()
        assert max(map(len, envelope.content.split(b"\r\n"))) <= 998


def email_text(raw: bytes) -> str:
    part = message_from_bytes(raw, policy=policy.default).get_body(("plain",))
    assert part
    return str(part.get_content())


@pytest.mark.parametrize(
    "break_it",
    [
        b"MAIL FROM:<a@shop.example.com> NOTIFY=NEVER\r\n",
        b"MAIL FROM:<a@shop.example.com> SIZE=big\r\n",
        b"RCPT TO:<anna@example.org>\r\n",
    ],
)
async def test_the_judge_does_not_take_everything(break_it: bytes) -> None:
    async with judging() as (port, taken):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        writer.write(b"EHLO x\r\n")
        while not (await reader.readline()).startswith(b"250 "):
            pass
        writer.write(break_it)
        assert (await reader.readline()).startswith(b"5")
        writer.close()
        await writer.wait_closed()
    assert taken == []
