"""What every way in which a hand-over can fail means, against relays that do as they are told.

Every case asserts the outcome *and* how many whole mails the relay read.
"""

import asyncio
import re
import socket

import aiosmtplib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyq import boottime
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
from notifyq.providers.smtp.answer import (
    ABOUT_US,
    AT_RCPT,
    DETAILS,
    GREYLISTED_S,
    TOO_LARGE,
    WORDS,
    read_answer,
)
from notifyq.providers.smtp.line import Line
from notifyq.providers.smtp.progress import Progress, Stage
from notifyq.providers.smtp.reply import LINE_BYTES_MAX, LINES_MAX, NotSmtp, Reply, take_reply
from tests.providers.smtp_relay import (
    CUT,
    LARGE,
    MESSAGE,
    RESET,
    SILENT,
    Act,
    Left,
    Relay,
    Said,
    client,
    relaying,
    sent,
    smtp,
    until,
)

TCP_CLOSED = b"\x07"  # TCP_CLOSE in the first byte of Linux's tcp_info
ADDRESS, CONTENT = Refusal.ADDRESS, Refusal.CONTENT

# What a cut means, by where it is.

BEFORE_THE_MAIL = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA")


@pytest.mark.parametrize("verb", BEFORE_THE_MAIL)
@pytest.mark.parametrize(("act", "code"), [(CUT, "closed"), (RESET, "econnreset")])
async def test_a_cut_before_the_mail_means_not_sent(verb: str, act: Act, code: str) -> None:
    outcome, relay = await sent({verb: act})
    assert (outcome, relay.mails) == (NotSent(code), [])


@pytest.mark.parametrize("verb", BEFORE_THE_MAIL)
async def test_silence_before_the_mail_means_not_sent(verb: str) -> None:
    outcome, relay = await sent({verb: SILENT}, timeout_s=0.2)
    assert (outcome, relay.mails) == (NotSent("timeout"), [])


@pytest.mark.parametrize("act", [CUT, RESET])
async def test_a_cut_in_the_middle_of_the_mail_is_definite(act: Act) -> None:
    outcome, relay = await sent({"BODY": act}, LARGE)
    assert isinstance(outcome, Unavailable)
    assert outcome.code.startswith("cut_before_end ")
    assert relay.mails == []


async def test_a_mail_that_is_not_read_in_time_never_ended_and_no_more_of_it_leaves() -> None:
    """Nobody reads it: most of it still waits in this process, and its end was not written.

    A mere close would go on offering it for as long as the relay lives.
    """
    states: list[bytes] = []

    class Deaf(Relay):
        async def _read_mail(
            self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            sock = writer.get_extra_info("socket")
            while states[-1:] != [TCP_CLOSED]:
                await asyncio.sleep(0.01)
                states.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))

    async with relaying({}, Deaf) as relay, client(relay) as made:
        outcome = await made.send(LARGE, timeout_s=0.5)
        await until(lambda: states[-1] == TCP_CLOSED)
    assert outcome == Unavailable("cut_before_end timeout")


@pytest.mark.parametrize(
    ("says", "code"),
    [(CUT, "closed"), (RESET, "econnreset"), (b"250 2.0.", "closed"), (b"250-2.0.0\r\n", "closed")],
)
async def test_a_lost_reply_to_the_end_is_in_doubt(says: Said, code: str) -> None:
    """The relay read the whole mail: whatever it did then, it may have taken it."""
    end = [says, CUT] if isinstance(says, bytes) else says

    class Cutting(Relay):
        async def _read_mail(
            self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await super()._read_mail(reader, writer)
            raise Left

    async with relaying({"END": end}, Cutting) as relay, client(relay) as made:
        assert await made.send(MESSAGE, timeout_s=5) == InDoubt(code)
    assert len(relay.mails) == 1


async def test_silence_after_the_end_is_in_doubt_and_resets_the_connection() -> None:
    async with relaying({"END": SILENT}) as relay, client(relay) as made:
        assert await made.send(MESSAGE, timeout_s=0.3) == InDoubt("timeout")
        await asyncio.wait_for(relay.gone.wait(), 5)
    assert len(relay.mails) == 1


GARBAGE = [
    b"what?\r\n",
    b"25\r\n",
    b" 25 ok\r\n",
    b"+25 ok\r\n",
    b"2_5 ok\r\n",
    b"2500 ok\r\n",
    b"150 ok\r\n",
    b"650 ok\r\n",
    "٢٥٠ ok\r\n".encode(),
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"250-queued\r\n451 or not\r\n",
    b"451-no\r\n250 or yes\r\n",
    b"\r\n",
    b"\x00\xff\r\n",
    b"5" * (LINE_BYTES_MAX + 1),
    b"451 " + b"x" * LINE_BYTES_MAX + b"\r\n",
    b"451-x\r\n" * (LINES_MAX + 1),
]


@pytest.mark.parametrize("raw", GARBAGE)
async def test_garbage_after_the_end_is_in_doubt(raw: bytes) -> None:
    outcome, relay = await sent({"END": raw})
    assert (outcome, len(relay.mails)) == (InDoubt("not_smtp"), 1)


@pytest.mark.parametrize("verb", BEFORE_THE_MAIL)
@pytest.mark.parametrize("raw", GARBAGE[:3])
async def test_garbage_before_the_mail_means_not_sent(verb: str, raw: bytes) -> None:
    outcome, relay = await sent({verb: raw})
    assert (outcome, relay.mails) == (NotSent("not_smtp"), [])


async def test_a_flood_of_replies_ends_the_connection() -> None:
    outcome, relay = await sent({"EHLO": b"250-x\r\n" * 100_000})
    assert (outcome, relay.mails) == (NotSent("not_smtp"), [])


@pytest.mark.parametrize("raw", [b"200 ok\r\n", b"251 ok\r\n", b"354 go\r\n", b"334 \r\n"])
async def test_only_250_to_the_end_is_a_success_and_the_rest_below_400_is_in_doubt(
    raw: bytes,
) -> None:
    outcome, relay = await sent({"END": raw})
    assert (outcome, len(relay.mails)) == (InDoubt(raw[:3].decode()), 1)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_an_odd_reply_before_the_mail_is_definite(verb: str) -> None:
    outcome, relay = await sent({verb: b"334 more\r\n" if verb == "DATA" else b"354 go\r\n"})
    assert isinstance(outcome, Unavailable)
    assert relay.mails == []


async def test_a_relay_that_takes_the_word_data_for_a_mail_was_given_none() -> None:
    async with relaying({"DATA": [b"250 ok\r\n", b"354 go\r\n"]}) as relay, client(relay) as made:
        assert await made.send(MESSAGE, timeout_s=5) == Unavailable("250")
        assert isinstance(await made.send(MESSAGE, timeout_s=5), Accepted)
    assert (len(relay.mails), relay.connections) == (1, 2)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"552 5.3.4 too big\r\n", Refused(CONTENT, "552 5.3.4")),
        (b"451 4.3.0 disk\r\n", Unavailable("451 4.3.0")),
        (b"421 4.4.2 too slow\r\n", Unavailable("421 4.4.2")),
        (b"250 ok\r\n", InDoubt("250")),
    ],
)
@pytest.mark.parametrize("glued", [False, True])
async def test_a_reply_in_the_middle_of_the_mail_is_read_and_the_mail_is_not_ended(
    raw: bytes, expected: Outcome, glued: bool
) -> None:
    """Glued: it comes in one piece with the relay's 354, before any of the mail."""
    says = {"DATA": b"354 go\r\n" + raw} if glued else {"BODY": raw}
    async with relaying({**says, "END": SILENT}) as relay, client(relay) as made:
        assert await made.send(LARGE, timeout_s=5) == expected
        assert made._pool._idle == []  # what came next on it would be read as more of the mail
        await until(lambda: relay.connections == relay.ended)
    assert relay.mails == []
    assert relay.unended[:1] in (b"", b"F")  # of From: nothing else was said, no QUIT either


async def test_a_reply_that_nobody_asked_for_is_not_taken_for_the_next_commands() -> None:
    """A second 250 after MAIL would make a refused recipient look taken."""
    outcome, relay = await sent({"MAIL": b"250 ok\r\n250 ok\r\n", "RCPT": b"550 5.1.1 no\r\n"})
    assert (outcome, relay.mails) == (NotSent("unasked_reply"), [])


@pytest.mark.parametrize("raw", [b"451 left over\r\n250 ok\r\n", b"554 no\r\n421 bye\r\n"])
async def test_a_refusal_with_another_reply_behind_it_is_in_doubt(raw: bytes) -> None:
    """The first may be about something else, and the second about the mail."""
    outcome, relay = await sent({"END": raw})
    assert (outcome, len(relay.mails)) == (InDoubt("unasked_reply"), 1)


def test_a_reply_is_taken_off_whole_and_no_further() -> None:
    received = bytearray(b"250-a\r\n250-\r\n250 2.1.5 b\r\n354 go\r\n")
    assert take_reply(received) == Reply(250, ("a", "", "2.1.5 b"))
    assert take_reply(received) == Reply(354, ("go",))
    assert take_reply(received) is None
    assert take_reply(bytearray(b"250\n")) == Reply(250, ("",))
    assert take_reply(bytearray(b"250 a\r\n250")) == Reply(250, ("a",))
    with pytest.raises(NotSmtp):
        take_reply(bytearray(b"25\r\n"))


@given(st.lists(st.sampled_from([b"250", b"451", b" ", b"-", b"\r\n", b"\n", b"x", b"\xff"])))
@settings(max_examples=200, deadline=None)
def test_pieces_are_read_as_the_whole_is(pieces: list[bytes]) -> None:
    def replies(chunks: list[bytes]) -> list[Reply] | None:
        received, found = bytearray(), list[Reply]()
        try:
            for chunk in chunks:
                received += chunk
                while (one := take_reply(received)) is not None:
                    found.append(one)
        except NotSmtp:
            return None
        return found

    assert replies(pieces) == replies([b"".join(pieces)])


# The table of replies.

REPLIES: dict[str, tuple[Stage, str, Outcome]] = {
    # providers.md section 4, row by row
    "421": (Stage.GREETING, "421 4.3.2 later", Unavailable("421 4.3.2")),
    "421 connections (SES)": (
        Stage.GREETING,
        "421 Too many concurrent SMTP connections",
        Throttled("421"),
    ),
    "450": (Stage.RCPT, "450 4.2.0 later", Unavailable("450 4.2.0")),
    "451": (Stage.END, "451 4.3.0 later", Unavailable("451 4.3.0")),
    "452": (Stage.RCPT, "452 4.2.2 full", Unavailable("452 4.2.2")),
    "greylisted by status": (Stage.RCPT, "450 4.7.1 later", Unavailable("450 4.7.1", 300.0)),
    "greylisted in words": (Stage.RCPT, "451 Greylisted, later", Unavailable("451", 300.0)),
    "grey at MAIL is about us": (Stage.MAIL, "450 4.7.1 later", Unavailable("450 4.7.1")),
    "454 rate (SES)": (
        Stage.END,
        "454 Throttling failure: Maximum sending rate exceeded.",
        Throttled("454"),
    ),
    "454 quota (SES)": (
        Stage.MAIL,
        "454 Throttling failure: Daily message quota exceeded.",
        Throttled("454"),
    ),
    "454 login (SES)": (Stage.AUTH, "454 Temporary authentication failure", Unavailable("454")),
    "454 STARTTLS": (Stage.TLS, "454 4.7.0 TLS not available", Unavailable("454 4.7.0")),
    "530": (Stage.MAIL, "530 5.7.0 log in first", Misconfigured("530 5.7.0")),
    "530 at RCPT": (Stage.RCPT, "530 5.7.0 log in first", Misconfigured("530 5.7.0")),
    "534": (Stage.AUTH, "534 5.7.9 weak", Misconfigured("534 5.7.9")),
    "535": (Stage.AUTH, "535 Authentication Credentials Invalid", Misconfigured("535")),
    "538": (Stage.AUTH, "538 encryption", Misconfigured("538")),
    "550 5.1.1": (Stage.RCPT, "550 5.1.1 who?", Refused(ADDRESS, "550 5.1.1")),
    "550 5.1.1 at the end": (Stage.END, "550 5.1.1 who?", Refused(ADDRESS, "550 5.1.1")),
    "550 5.1.2": (Stage.RCPT, "550 5.1.2 where?", Refused(ADDRESS, "550 5.1.2")),
    "551": (Stage.RCPT, "551 moved", Refused(ADDRESS, "551")),
    "553": (Stage.RCPT, "553 name", Refused(ADDRESS, "553")),
    "553 at MAIL": (Stage.MAIL, "553 name", Misconfigured("553")),
    "550 5.7.1": (Stage.END, "550 5.7.1 spam", Refused(CONTENT, "550 5.7.1")),
    "550 5.7.1 at RCPT": (
        Stage.RCPT,
        "550 5.7.1 unknown user, policy",
        Refused(CONTENT, "550 5.7.1"),
    ),
    "554 5.7.1": (Stage.END, "554 5.7.1 policy", Refused(CONTENT, "554 5.7.1")),
    "550 5.7.26": (Stage.END, "550 5.7.26 DMARC", Misconfigured("550 5.7.26")),
    "552 5.2.2": (Stage.RCPT, "552 5.2.2 full", Unavailable("552 5.2.2")),
    "552 at RCPT": (Stage.RCPT, "552 full", Unavailable("552")),
    "552 5.3.4": (Stage.END, "552 5.3.4 too big", Refused(CONTENT, "552 5.3.4")),
    "552 5.3.4 at MAIL": (Stage.MAIL, "552 5.3.4 too big", Refused(CONTENT, "552 5.3.4")),
    "552 at MAIL": (Stage.MAIL, "552 too big", Refused(CONTENT, "552")),
    "552 at the greeting": (Stage.GREETING, "552 what", Misconfigured("552")),
    "552 at the end": (Stage.END, "552 too big", Refused(CONTENT, "552")),
    "554 at the end": (Stage.END, "554 too large", Refused(CONTENT, "554")),
    "554 not verified (SES)": (
        Stage.END,
        "554 Message rejected: Email address is not verified. a@b",
        Misconfigured("554"),
    ),
    "554 access denied (SES)": (Stage.END, "554 Access denied: User …", Misconfigured("554")),
    # What relays say beyond it
    "554 at the greeting": (Stage.GREETING, "554 5.7.1 blocked", Misconfigured("554 5.7.1")),
    "550 at EHLO": (Stage.HELLO, "550 5.1.1 who?", Misconfigured("550 5.1.1")),
    "relaying, Postfix": (
        Stage.RCPT,
        "554 5.7.1 <a@b.c>: Relay access denied",
        Misconfigured("554 5.7.1"),
    ),
    "relaying, Exim": (Stage.RCPT, "550 relay not permitted", Misconfigured("550")),
    "recipient's policy, Postfix": (
        Stage.RCPT,
        "554 5.7.1 <a@b.c>: Recipient address rejected: Access denied",
        Refused(CONTENT, "554 5.7.1"),
    ),
    "client's address, Postfix": (
        Stage.RCPT,
        "554 5.7.1 <h[1.2.3.4]>: Client host rejected: Access denied",
        Misconfigured("554 5.7.1"),
    ),
    "sender's address at RCPT, Postfix": (
        Stage.RCPT,
        "553 5.7.1 <a@b.c>: Sender address rejected: not owned by user x",
        Misconfigured("553 5.7.1"),
    ),
    "sender's address at RCPT, Exim": (
        Stage.RCPT,
        "550 Verification failed for <us@x.y> Unrouteable address Sender verify failed",
        Misconfigured("550"),
    ),
    "sender's address at RCPT, qmail": (
        Stage.RCPT,
        "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
        Misconfigured("553 5.7.1"),
    ),
    "relaying, qmail": (
        Stage.RCPT,
        "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        Misconfigured("553 5.7.1"),
    ),
    "relaying, Exchange": (Stage.RCPT, "550 5.7.1 Unable to relay", Misconfigured("550 5.7.1")),
    "relaying, anybody's": (Stage.RCPT, "551 we do not relay", Misconfigured("551")),
    "our address on a list": (
        Stage.RCPT,
        "550 Requested action not taken: mailbox unavailable. IP address is blacklisted",
        Misconfigured("550"),
    ),
    "a mailbox that gets too much, Gmail": (
        Stage.RCPT,
        "550 5.2.1 The user you are trying to contact is receiving mail at a rate that ...",
        Unavailable("550 5.2.1"),
    ),
    "sender's domain at RCPT, Postfix": (
        Stage.RCPT,
        "550 5.1.2 <a@b.c>: Sender address rejected: Domain not found",
        Misconfigured("550 5.1.2"),
    ),
    "too much, Postfix": (
        Stage.RCPT,
        "450 4.7.1 Error: too much mail from h",
        Throttled("450 4.7.1"),
    ),
    "daily limit, Gmail": (
        Stage.END,
        "550 5.4.5 Daily user sending limit exceeded.",
        Throttled("550 5.4.5"),
    ),
    "a bare 550 says nothing": (Stage.RCPT, "550 rejected", Refused(CONTENT, "550")),
    "a bare 550 in words": (Stage.RCPT, "550 User unknown", Refused(ADDRESS, "550")),
    "a bare 550, Exim": (Stage.RCPT, "550 Unrouteable address", Refused(ADDRESS, "550")),
    "a bare 550 at the end": (Stage.END, "550 User unknown", Refused(CONTENT, "550")),
    "a bare 550 at MAIL": (Stage.MAIL, "550 User unknown", Misconfigured("550")),
    "551 with policy": (Stage.RCPT, "551 5.7.1 no", Refused(CONTENT, "551 5.7.1")),
    "a class that differs": (Stage.RCPT, "550 4.1.1 odd", Refused(CONTENT, "550")),
    "no detail": (Stage.RCPT, "550 5.1 odd", Refused(CONTENT, "550")),
    "other 5xx": (Stage.END, "571 no", Refused(CONTENT, "571")),
    "unknown detail": (Stage.END, "550 5.9.9 no", Refused(CONTENT, "550 5.9.9")),
}


@pytest.mark.parametrize("name", REPLIES)
def test_each_reply_means_what_the_table_says(name: str) -> None:
    stage, text, expected = REPLIES[name]
    reply = take_reply(bytearray(text.encode() + b"\r\n"))
    assert reply is not None
    assert read_answer(stage, reply, "id") == expected


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "END"])
@pytest.mark.parametrize("text", ["450 4.2.0 x", "550 5.1.1 x", "554 5.7.1 x", "535 x", "571 x"])
async def test_a_reply_over_the_wire_means_the_same_and_is_definite(stage: str, text: str) -> None:
    outcome, relay = await sent({stage: text.encode() + b"\r\n"})
    reply = take_reply(bytearray(text.encode() + b"\n"))
    assert reply is not None
    assert outcome == read_answer(Stage[stage], reply, "id")
    assert not isinstance(outcome, InDoubt | Accepted)
    assert len(relay.mails) == (stage == "END")


EXPECTED_DETAILS = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.6", "1.10", "2.1", "6.7"), Refused),
    **dict.fromkeys(("1.7", "1.8", "7.27", "7.54", "7.60"), Misconfigured),
    "2.2": Unavailable,
    **dict.fromkeys((f"7.{n}" for n in (*range(8, 15), *range(20, 27))), Misconfigured),
}


@pytest.mark.parametrize("detail", EXPECTED_DETAILS)
@pytest.mark.parametrize("stage", [Stage.RCPT, Stage.DATA, Stage.END])
def test_each_enhanced_code_means_what_the_table_says(detail: str, stage: Stage) -> None:
    found = read_answer(stage, Reply(550, (f"5.{detail} x",)), "id")
    assert type(found) is EXPECTED_DETAILS[detail]
    assert not isinstance(found, Refused) or found.refusal is ADDRESS


@pytest.mark.parametrize(
    ("reply", "for_good"),
    [
        ("550 5.1.1 no such user", True),
        ("550 no such user here", True),
        ("553 unknown user", True),
        ("556 the domain takes no mail", True),
        ("550 5.2.1 mailbox disabled", False),
        ("501 Syntax error in parameters or arguments", False),
        ("551 moved", False),
        ("553 name", False),
    ],
)
def test_an_address_is_given_up_only_if_the_reply_says_that_nobody_has_it(
    reply: str, for_good: bool
) -> None:
    found = read_answer(Stage.RCPT, Reply(int(reply[:3]), (reply[4:],)), "id")
    assert isinstance(found, Refused)
    assert (found.refusal, found.for_good) == (ADDRESS, for_good)


def test_the_tables_here_and_the_clients_have_the_same_rows() -> None:
    assert EXPECTED_DETAILS.keys() == DETAILS.keys()
    assert set(AT_RCPT) == {501, 551, 552, 553, 556}
    assert {500, 502, 503, 504, 530, 534, 535, 538, 555} == ABOUT_US
    assert {"3.4", "2.3"} == TOO_LARGE
    texts = [text.lower() for _, text, _ in REPLIES.values()]
    assert all(any(re.search(words, text) for text in texts) for words in WORDS)
    assert GREYLISTED_S == 300


@pytest.mark.parametrize("code", sorted(ABOUT_US))
@pytest.mark.parametrize("stage", [s for s in Stage if s not in (Stage.CONNECT, Stage.BODY)])
def test_replies_about_us_are_ours_to_mend_at_any_stage(code: int, stage: Stage) -> None:
    assert read_answer(stage, Reply(code, ("x",)), "id") == Misconfigured(f"{code}")


@pytest.mark.parametrize("code", [501, 551, 553, 556])
def test_a_bare_code_at_rcpt_is_about_the_address(code: int) -> None:
    assert read_answer(Stage.RCPT, Reply(code, ("x",)), "id") == Refused(ADDRESS, f"{code}")


@given(st.sampled_from(list(Stage)), st.integers(200, 599), st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_reply_has_a_meaning_and_only_250_to_the_end_is_success(
    stage: Stage, code: int, text: str
) -> None:
    found = read_answer(stage, Reply(code, (text,)), "id")
    is_taken = stage is Stage.END and code == 250
    is_lost = stage >= Stage.BODY and code < 400 and not is_taken
    assert isinstance(found, Accepted) is is_taken
    assert isinstance(found, InDoubt) is is_lost


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2.0.0 Ok: queued as 4F1A23B5C", "4F1A23B5C"),
        ("Ok: queued as 3ZKvtm2JLnzY8Mv", "3ZKvtm2JLnzY8Mv"),
        ("OK id=1aBcDe-0004dE-5F", "1aBcDe-0004dE-5F"),
        ("OK id=1qGZvR-000000003BC-1Xyz", "1qGZvR-000000003BC-1Xyz"),
        (
            "Ok 0100017f3c2a1b4d-12345678-9abc-def0-1234-56789abcdef0-000000",
            "0100017f3c2a1b4d-12345678-9abc-def0-1234-56789abcdef0-000000",
        ),
        ("2.0.0 2AMAbcde012345 Message accepted for delivery", "2AMAbcde012345"),
        ("Ok", "id"),
        ("2.0.0 Ok: queued as \x1b[31m", "id"),
        ("Ok: queued as " + "x" * 65 + "!", "id"),
        ("", "id"),
    ],
)
def test_an_accepted_mail_has_the_relays_name_or_ours(text: str, name: str) -> None:
    found = read_answer(Stage.END, Reply(250, ("first", text)), "id")
    assert isinstance(found, Accepted)
    assert found.provider_id == name or (name == "id" and len(found.provider_id) <= 64)


# The line between the mail and its end.


async def test_the_end_is_written_alone_last_and_after_the_stage_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[tuple[Stage, bytes]] = []
    progresses: list[Progress] = []
    made, init = Line.connection_made, Progress.__init__

    def remember(self: Progress, timeout_s: float) -> None:
        init(self, timeout_s)
        progresses.append(self)

    class Watched:
        def __init__(self, transport: asyncio.Transport) -> None:
            self._transport = transport

        def write(self, data: bytes) -> None:
            written.append((progresses[-1].stage, data))
            self._transport.write(data)

        def __getattr__(self, name: str) -> object:
            return getattr(self._transport, name)

    def watch(self: Line, transport: asyncio.BaseTransport) -> None:
        made(self, Watched(transport))  # type: ignore[arg-type]

    monkeypatch.setattr(Progress, "__init__", remember)
    monkeypatch.setattr(Line, "connection_made", watch)
    outcome, relay = await sent({})
    assert isinstance(outcome, Accepted)
    *_, (body_stage, body), (end_stage, end), (_, bye) = written
    assert (body_stage, end_stage, end, bye) == (Stage.BODY, Stage.END, b".\r\n", b"QUIT\r\n")
    assert body == relay.mails[0]
    assert b"\r\n.\r\n" not in body
    assert [stage for stage, _ in written].index(Stage.BODY) == len(written) - 3


async def test_a_process_that_wakes_up_late_does_not_end_the_mail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock jumps past the deadline while the mail is written, as after a SIGSTOP."""
    real = boottime.boottime_s
    body = Line.body

    async def slept(self: Line, raw: bytes) -> Reply | None:
        found = await body(self, raw)
        monkeypatch.setattr(boottime, "boottime_s", lambda: real() + 99)
        return found

    monkeypatch.setattr(Line, "body", slept)
    outcome, relay = await sent({})
    assert (outcome, relay.mails) == (Unavailable("cut_before_end timeout"), [])


async def test_a_cancelled_send_raises_and_resets() -> None:
    async with relaying({"END": SILENT}) as relay, client(relay) as made:
        sending = asyncio.create_task(made.send(MESSAGE, timeout_s=30))
        await asyncio.wait_for(relay.reached.wait(), 5)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(relay.gone.wait(), 5)


async def test_nobody_there_and_no_such_host_mean_not_sent() -> None:
    assert await smtp(1).send(MESSAGE, timeout_s=5) == NotSent("econnrefused")
    for host in ("x.invalid", "a" * 64 + ".example", "a..b"):
        assert await smtp(25, host=host).send(MESSAGE, timeout_s=30) == NotSent("no_such_host")


async def by_class_alone(port: int) -> tuple[str, bool]:
    """Send as many do: return the exception's class, and whether one would call it safe to repeat.

    aiosmtplib's own advice is in its names: disconnected and timed out are "could not send".
    """
    mail = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=5)
    try:
        async with mail:
            await mail.sendmail("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\nx\r\n")
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError) as error:
        return type(error).__name__, True
    except aiosmtplib.SMTPResponseException as error:
        return type(error).__name__, False
    return "", False


async def test_a_mutant_that_sorts_by_exception_sends_twice() -> None:
    """The same exception before the mail, where it is safe to repeat, and after its end."""
    found = {}
    for verb in ("RCPT", "END"):
        async with relaying({verb: CUT}) as relay:
            found[verb] = await by_class_alone(relay.port)
            if found[verb][1]:
                await by_class_alone(relay.port)  # so it repeats
            assert len(relay.mails) == (2 if verb == "END" else 0)
    assert found["RCPT"] == found["END"] == ("SMTPServerDisconnected", True)
    outcome, relay = await sent({"END": CUT})
    assert (outcome, len(relay.mails)) == (InDoubt("closed"), 1)


async def test_why_the_protocol_is_written_here() -> None:
    """aiosmtplib answers a command with what was left over from the one before, and believes a
    reply that contradicts itself: either makes a mail that was taken look refused. When this fails,
    the library does better, and line.py may be replaced by it."""
    wrong = {}
    for name, says in {
        "left over": {"DATA": b"354 go\r\n451 left over\r\n"},
        "contradicts itself": {"END": b"250-queued\r\n451 or not\r\n"},
    }.items():
        async with relaying(says) as relay:
            wrong[name] = (await by_class_alone(relay.port))[0], len(relay.mails)
    assert wrong == {
        "left over": ("SMTPDataError", 1),
        "contradicts itself": ("SMTPDataError", 1),
    }
