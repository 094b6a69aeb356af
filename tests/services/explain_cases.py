"""People to explain: each with what is to be said of a message to them, by which rule.

Each is planted as it comes about, through the services. A case says what a message gets that is
due now; `test_explain.py` holds it against what a worker does with one.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from notifyq.domain.asking import Ask, Part
from notifyq.domain.consent import Kind, Source
from notifyq.domain.content import PushContent, SmsContent
from notifyq.domain.hours import Hours, Quiet
from notifyq.domain.model import Category, Channel, MessageClass
from notifyq.domain.outcome import Refusal, Refused
from notifyq.domain.preferences import change
from notifyq.domain.profile import DEFAULTS, KnownDevice, Profile
from notifyq.domain.terms import Terms
from notifyq.services import bounces, recipients
from notifyq.store import db, ledger
from notifyq.store.db import Conn
from notifyq.store.recipients import Book
from tests.store import helpers as h

SHIPPED = Category("order.shipped", hours=Hours.RECIPIENT)
WEEKLY = Category("weekly", MessageClass.MARKETING, "news", hours=Hours.LEGAL)
CAPPED = Category("tips", hours=Hours.RECIPIENT, cap=2)
CODE = Category("login.code", MessageClass.OTP, "codes", expires_in_s=300, is_separate=True,
                is_mandatory=True)  # fmt: skip
CATEGORIES = {one.name: one for one in (SHIPPED, WEEKLY, CAPPED, CODE)}
ANN = "u42"
TOKEN = "web:org.example.app:t0k3n"
OTHER = "web:org.example.app:0th3r"


@dataclass(frozen=True, slots=True)
class Case:
    """What is planted, and what is then said of a message of the category to u42."""

    plant: Callable[[Conn, h.Shop], Awaitable[None]]
    rule: str | None  # None: it is sent
    verdict: str = "suppress"
    reason: str | None = None
    read: str = ""  # a part of what the rule says it read
    category: Category = SHIPPED
    channel: Channel = Channel.SMS


def book_of(shop: h.Shop) -> Book:
    return Book(0, shop.tenant_id, False)


def asking(shop: h.Shop, category: Category, *, recipient: str | None = ANN, to: str = h.PHONE,
           since: datetime | None = None, lifetime_s: float | None = None) -> Ask:  # fmt: skip
    """A request as the API makes one of the category."""
    terms = Terms(
        category=category.name,
        recipient=recipient,
        hours=category.hours,
        cap=category.cap,
        is_marketing=category.message_class is MessageClass.MARKETING,
        is_mandatory=category.is_mandatory,
        is_separate=category.is_separate,
    )
    is_push = shop.lane.channel is Channel.PUSH
    content = PushContent("hello", "there") if is_push else SmsContent("hello")
    part = Part(shop.lane.channel, shop.lane.id, to, content, registered_at=since, terms=terms)
    life = category.expires_in_s if lifetime_s is None else lifetime_s
    return h.make_ask(shop, category=category, recipient=recipient, parts=(part,), lifetime_s=life)


async def save(conn: Conn, shop: h.Shop, id: str = ANN, **profile: object) -> None:
    """Save a recipient, with a number unless told otherwise; wishes are in `preferences`."""
    given = Profile(**({"phones": (h.PHONE,)} | profile))  # type: ignore[arg-type]
    wishes = given.preferences
    if id != DEFAULTS:
        found = await recipients.upsert(conn, book_of(shop), id, given, actor="test")
        assert isinstance(found, recipients.Saved), found
    if wishes or id == DEFAULTS:
        said = await recipients.revise(
            conn, book_of(shop), id, lambda before: replace(before, preferences=wishes),
            actor="test",
        )  # fmt: skip
        assert isinstance(said, recipients.Saved), said


async def says(conn: Conn, shop: h.Shop, kind: Kind, *, seconds: float = 60,
               program: str | None = None) -> UUID:  # fmt: skip
    event_id = h.new_id()

    async def work(conn: Conn) -> None:
        who = ledger.Person(shop.brand, Channel.SMS, await ledger.address_key(conn, h.PHONE))
        at = h.database_now() - timedelta(seconds=seconds)
        entry = ledger.Entry(kind, Source.SMS, "provider:twilio", "a text: stop", at, program)
        await ledger.note(conn, who, entry, cell=0, event_id=event_id, always=True)

    await db.transact(conn, work)
    return event_id


def quiet_now() -> Quiet:
    """Quiet hours in UTC that began an hour ago and last two hours more."""
    now = datetime.now(UTC)
    clock = [(now + timedelta(hours=by)).time().replace(second=0, microsecond=0) for by in (-1, 2)]
    return Quiet(*(time(one.hour, one.minute) for one in clock))


async def _sent(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop)


async def _stopped(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop)
    await says(conn, shop, Kind.OPT_OUT)


async def _stopped_and_started(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop)
    await says(conn, shop, Kind.OPT_OUT, seconds=60)
    await says(conn, shop, Kind.LIFT, seconds=30)


async def _stopped_a_program(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop)
    await says(conn, shop, Kind.OPT_OUT, program="codes")


async def _quiet(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop, quiet=quiet_now(), time_zone="Etc/UTC")


async def _off(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop, preferences=change({}, {SHIPPED.name: {"sms": False}}))


async def _dead(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop)
    await _dies(conn, shop, h.PHONE)


async def _dead_token(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop, phones=(), devices=(KnownDevice("web", "org.example.app", "t0k3n"),))
    await _dies(conn, shop, TOKEN)


async def _dead_token_anew(conn: Conn, shop: h.Shop) -> None:
    """The same token, which the app was given once more since."""
    await _dead_token(conn, shop)
    again = KnownDevice("web", "org.example.app", "t0k3n", registered_at=h.database_now())
    await save(conn, shop, phones=(), devices=(again,))


async def _dies(conn: Conn, shop: h.Shop, address: str) -> None:
    (ready,) = await h.begun(conn, shop, asking(shop, SHIPPED, to=address))
    refused = Refused(Refusal.ADDRESS, "410")
    await h.settled(conn, h.post_of(shop), (ready, refused))
    news = bounces.of_outcome(ready.due.delivery_id, refused, h.database_now())
    assert news is not None
    assert await bounces.keep(conn, [news], cell=0, new_id=h.new_id) == 1


async def _capped(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop)
    await h.begun(conn, shop, asking(shop, CAPPED), asking(shop, CAPPED))


async def _no_consent(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop)


async def _unread(conn: Conn, shop: h.Shop) -> None:
    await save(conn, shop)
    await says(conn, shop, Kind.CONSENT, seconds=600)
    await says(conn, shop, Kind.HOLD)


CASES: Mapping[str, Case] = {
    "sent": Case(_sent, None, "send"),
    "opted out": Case(_stopped, "opt_out", reason="opted_out", read="blocked; the last word"),
    "opted out, and a code": Case(_stopped, None, "send", category=CODE),
    "opted out of codes": Case(
        _stopped_a_program, "opt_out", reason="opted_out", read="program codes blocked",
        category=CODE,
    ),
    "started again": Case(_stopped_and_started, None, "send"),
    "quiet hours": Case(_quiet, "hours", "wait", "quiet_hours", "closed until"),
    "quiet hours, and a code": Case(_quiet, None, "send", category=CODE),
    "preference off": Case(
        _off, "preference", reason="preference_off", read="off, by own: order.shipped/sms"
    ),
    "dead address": Case(_dead, "address", reason="address_dead", read="code 410"),
    "dead token": Case(
        _dead_token, "address", reason="address_dead", read="code 410", channel=Channel.PUSH
    ),
    "dead token, registered anew": Case(_dead_token_anew, None, "send", channel=Channel.PUSH),
    "capped": Case(_capped, "cap", "wait", "capped", "2 of 2 in 24 hours", CAPPED),
    "no written consent": Case(
        _no_consent, "consent", reason="no_consent", read="not on record", category=WEEKLY
    ),
    "a text that nobody read": Case(
        _unread, "consent", "wait", "held_for_review", "a text waits", WEEKLY
    ),
}  # fmt: skip


async def open_shop(conn: Conn, case: Case) -> h.Shop:
    """The shop that a case is planted in."""
    is_push = case.channel is Channel.PUSH
    return await h.open_shop(conn, "acme", case.channel, "fcm" if is_push else "twilio")


def address_of(case: Case) -> str:
    """Where u42 is told."""
    return TOKEN if case.channel is Channel.PUSH else h.PHONE
