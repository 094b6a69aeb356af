"""The mail itself: read back by the standard library's parser, which is not what wrote it."""

from dataclasses import replace
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyq.domain.content import EmailContent, SmsContent
from notifyq.domain.message import Message, Sender
from notifyq.domain.outcome import Misconfigured, Refusal, Refused
from notifyq.providers.smtp.compose import Mail, compose
from tests.providers.smtp_relay import MESSAGE, NOW, sent, smtp

HEADERS = [
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Notifyq-Reference"),
    *("MIME-Version", "Content-Type"),
]


def composed(message: Message = MESSAGE) -> tuple[Mail, EmailMessage]:
    mail = compose(message, NOW)
    assert isinstance(mail, Mail)
    return mail, message_from_bytes(mail.raw, policy=policy.default)


def with_content(subject: str = "s", body: str = "b", html: str | None = None) -> Message:
    return replace(MESSAGE, content=EmailContent(subject, body, html))


def test_a_mail_says_who_to_whom_when_and_which() -> None:
    mail, read = composed()
    assert read.keys() == HEADERS
    assert (read["From"], read["To"]) == ("Shop <orders@shop.example.com>", "anna@example.org")
    assert read["Subject"] == "Your order"
    assert parsedate_to_datetime(read["Date"]) == NOW
    assert read["Message-ID"] == f"<{mail.message_id}>" == "<00fjq2m8c0v6g@shop.example.com>"
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["X-Notifyq-Reference"] == MESSAGE.reference
    assert read.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content().strip() for part in read.iter_parts()] == [
        "It was shipped.",
        "<p>It was shipped.</p>",
    ]
    _, plain = composed(with_content())
    assert plain.get_content_type() == "text/plain"


def test_a_repeat_has_the_same_message_id_and_another_reference() -> None:
    (first, _), (again, read) = composed(), composed(replace(MESSAGE, reference="other"))
    assert first.message_id == again.message_id
    assert read["X-Notifyq-Reference"] == "other"
    other, _ = composed(replace(MESSAGE, collapse_id="other"))
    assert other.message_id != first.message_id


@pytest.mark.parametrize("collapse_id", ["", "a b", "a@b", "a>b", "ä", "\ud800", "x" * 65, "a\r\n"])
def test_a_collapse_id_of_any_shape_makes_a_message_id(collapse_id: str) -> None:
    mail, read = composed(replace(MESSAGE, collapse_id=collapse_id))
    assert read["Message-ID"] == f"<{mail.message_id}>"
    assert mail.message_id.endswith("@shop.example.com")
    assert len(mail.message_id) == 40 + len("@shop.example.com")


CONTROLS = ["\r", "\n", "\r\n", "\x00", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("control", CONTROLS)
def test_no_header_can_be_slipped_in(control: str) -> None:
    evil = f"a{control}Bcc: evil@example.org"
    refused = Refused(Refusal.CONTENT, "control_character")
    assert compose(with_content(evil), NOW) == refused
    assert "line break" in str(smtp(25).refusal(EmailContent(evil, "x")))
    assert smtp(25).refusal(EmailContent("subject", evil)) is None
    name = Sender("orders@shop.example.com", evil)
    assert compose(replace(MESSAGE, sender=name), NOW) == refused
    to = f"anna{control}x@example.org"
    assert compose(replace(MESSAGE, to=to), NOW) == Refused(Refusal.ADDRESS, "address_syntax")
    sender = Sender(f"orders{control}x@shop.example.com")
    assert compose(replace(MESSAGE, sender=sender), NOW) == Misconfigured("sender_syntax")


@pytest.mark.parametrize(
    "address",
    [
        *("", "anna", "@example.org", "anna@", "a@b@c", "a b@example.org", "a@exa mple.org"),
        *("<anna@example.org>", "anna@example.org> SIZE=1", "a,b@example.org", 'a"b@example.org'),
        *("a@[127.0.0.1]", "x" * 65 + "@example.org", "a@" + "x" * 255, "a@b\ud800.c", "a@b_c.d"),
        *("ä" * 40 + "@" + "ö" * 100 + ".example", "a\u00a0b@example.org", "a:b@c.d", "a;b@c.d"),
    ],
)
def test_what_is_no_address_is_never_put_into_a_command(address: str) -> None:
    found = compose(replace(MESSAGE, to=address), NOW)
    assert found == Refused(Refusal.ADDRESS, "address_syntax")
    sender = replace(MESSAGE.sender, address=address)
    assert compose(replace(MESSAGE, sender=sender), NOW) == Misconfigured("sender_syntax")


@pytest.mark.parametrize(
    "to",
    ["a.b+c@x-1.example.org", "!#$%&'*+-/=?^_`{|}~@example.org", "ü@ö.example"],
)
def test_addresses_in_use_pass(to: str) -> None:
    mail, _ = composed(replace(MESSAGE, to=to))
    read = message_from_string(mail.raw.decode(), policy=policy.default)
    assert read["To"].addresses[0].addr_spec == mail.to == to


def test_a_sender_whose_domain_has_no_ascii_form_is_ours_to_mend() -> None:
    sender = replace(MESSAGE.sender, address="orders@shop..example.com")
    assert compose(replace(MESSAGE, sender=sender), NOW) == Misconfigured("sender_syntax")


def test_another_channels_content_is_refused() -> None:
    message = replace(MESSAGE, content=SmsContent("x"))
    assert compose(message, NOW) == Misconfigured("not_a_mail")


async def test_what_cannot_be_written_is_refused_and_never_raised() -> None:
    for body in ("\ud800", "a\udfff"):
        outcome, relay = await sent({}, with_content("s", body))
        assert outcome == Refused(Refusal.CONTENT, "not_text")
        assert relay.connections == 0


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
headers = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=200
)


@given(headers, headers)
@settings(max_examples=150, deadline=None)
def test_any_subject_and_name_arrive_as_they_were_and_bring_no_header(
    subject: str, name: str
) -> None:
    sender = Sender("orders@shop.example.com", name)
    mail, read = composed(replace(with_content(subject), sender=sender))
    assert {*read.keys()} == {*HEADERS, "Content-Transfer-Encoding"}
    assert len(read.keys()) == len(HEADERS) + 1
    (mailbox,) = read["From"].addresses
    assert mailbox.addr_spec == "orders@shop.example.com"
    assert squeezed(mailbox.display_name) == squeezed(name)
    assert squeezed(read["Subject"]) == squeezed(subject)
    assert mail.raw.isascii()
    assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))


def squeezed(text: str) -> str:
    """Folding may add or drop spaces, no more than that."""
    return "".join(text.split())


@given(texts, st.none() | texts)
@settings(max_examples=150, deadline=None)
def test_any_text_is_written_in_lines_and_arrives(body: str, html: str | None) -> None:
    mail, read = composed(with_content("s", body, html))
    assert mail.raw.isascii()
    assert b"\r" not in mail.raw.replace(b"\r\n", b"")
    assert b"\n" not in mail.raw.replace(b"\r\n", b"")
    assert mail.raw.endswith(b"\r\n")
    assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))
    part = read.get_body(("plain",))
    assert part
    assert lines(part.get_content()) == lines(body)


def lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
