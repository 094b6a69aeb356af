"""Provider accounts from the settings, their clients, and who speaks by them."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from notifyq.config import (
    CHANNEL_OF_VENDOR,
    LEASE_MARGIN_S,
    MAX_IN_FLIGHT,
    SANDBOX,
    SANDBOX_LOOK_UP_S,
    SANDBOX_SETTLE_WINDOW_S,
    SANDBOX_TIMEOUT_S,
    Settings,
)
from notifyq.domain.ids import new_notification_id
from notifyq.domain.model import Category, Channel, DoubtRules
from notifyq.domain.provider import Provider
from notifyq.errors import BadSettings
from notifyq.providers.twilio import Twilio
from notifyq.providers.wire import Wire
from notifyq.read_config import reveal
from notifyq.sandbox import twilio_rules
from notifyq.store import db

CELL = 0  # a database has one cell until it is outgrown


def database_url(settings: Settings) -> str:
    """Return where the database is; BadSettings if nobody said."""
    if settings.database_url is None:
        raise BadSettings(
            "NOTIFYQ_DATABASE_URL: is required here; only `notifyq up` brings its own"
        )
    return settings.database_url


@dataclass(frozen=True, slots=True)
class Account:
    """A provider account, ready to be called: from the settings, or the sandbox's own."""

    name: str
    channel: Channel
    base_url: str
    account_sid: str
    token: str
    max_in_flight: int
    timeout_s: float
    lease_s: float
    doubt: DoubtRules


def accounts(settings: Settings) -> list[Account]:
    """Return every account: the configured ones, and the sandbox's where there is one."""
    found = [
        Account(
            name,
            CHANNEL_OF_VENDOR[provider.vendor],
            provider.base_url,
            provider.account_sid,
            reveal(provider),
            provider.max_in_flight,
            provider.timeout_s,
            provider.lease,
            DoubtRules(provider.settle_window_s, provider.look_ups),
        )
        for name, provider in settings.providers.items()
    ]
    if settings.sandbox_url is not None:
        found.append(_sandbox_account(settings.sandbox_url, settings.categories.values()))
    return found


def _sandbox_account(url: str, categories: Iterable[Category]) -> Account:
    # Short, to be seen; but never over before a category's resend, which it would take away.
    resends_s = [category.resend_after_s or 0 for category in categories]
    window_s = max([SANDBOX_SETTLE_WINDOW_S, *(2.0 * after_s for after_s in resends_s)])
    return Account(
        SANDBOX[Channel.SMS],
        Channel.SMS,
        f"{url}/twilio",
        twilio_rules.ACCOUNT_SID,
        twilio_rules.AUTH_TOKEN,
        MAX_IN_FLIGHT,
        SANDBOX_TIMEOUT_S,
        SANDBOX_TIMEOUT_S + LEASE_MARGIN_S,
        DoubtRules(window_s, SANDBOX_LOOK_UP_S),
    )


def provider_of(account: Account) -> Provider:
    """Build the client of an account, with connections of its own."""
    return Twilio(
        name=account.name,
        base_url=account.base_url,
        account_sid=account.account_sid,
        auth_token=account.token,
        # One more than sends: a look-up takes no send's place, nor waits for one.
        wire=Wire(max_in_flight=account.max_in_flight + 1),
    )


def sender_of(settings: Settings, provider: str, brand: str, program: str) -> str | None:
    """Return the number that speaks for a brand by a provider: its program's, else any of it.

    Test keys speak by the sandbox's own number, whatever the brand.
    """
    if provider in SANDBOX.values():
        return twilio_rules.SENDER
    ours = {n: s for n, s in settings.senders.items() if (s.provider, s.brand) == (provider, brand)}
    of_program = [number for number, sender in ours.items() if sender.program == program]
    return next(iter([*of_program, *ours]), None)


class NewId:
    """Makes uuidv7 ids on the database's time."""

    def __init__(self, clock: db.DatabaseClock) -> None:
        """clock: the database's time as this process knows it."""
        self._clock = clock

    def __call__(self) -> UUID:
        """Return a new id."""
        return new_notification_id(self._clock.now(), secrets.randbits(64))


def wanted_lanes(settings: Settings) -> list[tuple[Channel, str]]:
    """Return the (channel, provider) pairs that need a lane."""
    return [(account.channel, account.name) for account in accounts(settings)]
