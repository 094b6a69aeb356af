"""Provider accounts from the settings: what each lane is, and who speaks by it."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from notifyq.bootstrap import clients
from notifyq.bootstrap.sandbox_accounts import SENDERS, sandbox_accounts
from notifyq.config.account import LEASE_MARGIN_S, MAX_IN_FLIGHT
from notifyq.config.settings import (
    SANDBOX_LOOK_UP_S,
    SANDBOX_NAMES,
    SANDBOX_SETTLE_WINDOW_S,
    SANDBOX_TIMEOUT_S,
    Settings,
)
from notifyq.config.vendors import ApnsSettings, FcmSettings
from notifyq.domain.address import channel_of
from notifyq.domain.ids import new_notification_id
from notifyq.domain.message import Sender
from notifyq.domain.model import Category, Channel, DoubtRules, Lane
from notifyq.domain.pace import Pace
from notifyq.domain.provider import Provider
from notifyq.domain.routing import Outlet
from notifyq.errors import BadSettings
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
    max_in_flight: int
    timeout_s: float
    lease_s: float
    doubt: DoubtRules
    build: Callable[[str, int], Provider]  # from its name and how many may be in flight
    platforms: frozenset[str] = frozenset()  # of devices
    apps: frozenset[str] = frozenset()  # empty: all
    pace: Pace | None = None


def accounts(settings: Settings) -> list[Account]:
    """Return every account: the configured ones, and the sandbox's where there is one."""
    found = []
    for name, vendor in settings.providers.items():
        push = vendor if isinstance(vendor, ApnsSettings | FcmSettings) else None
        found.append(
            Account(
                name,
                vendor.CHANNEL,
                vendor.max_in_flight,
                vendor.timeout_s,
                vendor.lease,
                DoubtRules(vendor.settle_window_s, vendor.look_ups),
                clients.builder(settings, vendor),
                push.PLATFORMS if push else frozenset(),
                frozenset(push.apps) if push else frozenset(),
                vendor.pace if isinstance(vendor, FcmSettings) else None,
            )
        )
    if settings.sandbox_url is not None:
        found += _sandbox_accounts(settings.sandbox_url, settings.categories.values())
    return found


def _sandbox_accounts(url: str, categories: Iterable[Category]) -> list[Account]:
    # Short, to be seen; but never over before a category's resend, which it would take away.
    resends_s = [category.resend_after_s or 0 for category in categories]
    window_s = max([SANDBOX_SETTLE_WINDOW_S, *(2.0 * after_s for after_s in resends_s)])
    return [
        Account(
            one.name,
            one.channel,
            MAX_IN_FLIGHT,
            SANDBOX_TIMEOUT_S,
            SANDBOX_TIMEOUT_S + LEASE_MARGIN_S,
            DoubtRules(window_s, SANDBOX_LOOK_UP_S if one.has_list else ()),
            one.build,
            one.platforms,
        )
        for one in sandbox_accounts(url)
    ]


def provider_of(account: Account) -> Provider:
    """Build the client of an account, with connections of its own."""
    return account.build(account.name, account.max_in_flight)


def sender_of(settings: Settings, provider: str, brand: str, program: str) -> Sender | None:
    """Return who speaks for a brand by an account: its program's sender, else any of it.

    A separate program is spoken for by its own senders alone, and they speak for nothing else: who
    answers STOP means what that number sends. Test keys speak by the sandbox's own, whatever the
    brand. A push speaks as its app.
    """
    if provider in SANDBOX_NAMES:
        return SENDERS[provider]
    account = settings.providers.get(provider)
    if account is None or account.CHANNEL is Channel.PUSH:
        return Sender("") if account else None
    ours = {
        address: sender
        for address, sender in settings.senders.items()
        if provider in sender.providers
        and sender.brand == brand
        and channel_of(address) is account.CHANNEL
    }
    of_program = [address for address, sender in ours.items() if sender.program == program]
    if not settings.program(program).separate:
        others = [at for at, one in ours.items() if not settings.program(one.program).separate]
        of_program += others
    address = next(iter(of_program), None)
    return None if address is None else Sender(address, ours[address].name)


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


def outlets(settings: Settings, lanes: dict[tuple[Channel, str], Lane]) -> dict[str, Outlet]:
    """Return every account as the router sees it, by name."""
    return {
        one.name: Outlet(
            one.name, one.channel, lanes[one.channel, one.name].id, one.platforms, one.apps
        )
        for one in accounts(settings)
    }
