"""By which rules requests are taken: the categories, routes and senders of the settings."""

from collections.abc import Mapping
from functools import cache

from notifyq.bootstrap.accounts import outlets, sender_of
from notifyq.config.settings import SANDBOX, Settings
from notifyq.domain import routing
from notifyq.domain.content import Content
from notifyq.domain.model import Category, Channel, Lane
from notifyq.domain.provider import Provider
from notifyq.domain.routing import Outlet
from notifyq.entrypoints.api.asks import Rules
from notifyq.entrypoints.api.parts import Ways


def rules(
    settings: Settings, found: dict[tuple[Channel, str], Lane], built: Mapping[str, Provider]
) -> Rules:
    """Return what decides whether a valid request is taken, and by which account it goes out.

    found: the lanes, by channel and account. built: the accounts' clients, by name.
    """
    by_name = outlets(settings, found)

    def route(channel: Channel, address: str, category: Category, test: bool) -> Outlet | None:
        of_all = settings.routes.get(channel, [])
        names = SANDBOX.get(channel, ()) if test else category.routes.get(channel, of_all)
        return routing.first([by_name[name] for name in names if name in by_name], address)

    def speaks(provider: str, brand: str, program: str) -> bool:
        return sender_of(settings, provider, brand, program) is not None

    def refusal(provider: str, content: Content) -> str | None:
        return built[provider].refusal(content)

    kept = settings.retention
    return Rules(
        settings.categories,
        Ways(route, cache(speaks), refusal),
        kept.longest_hold_days,
        kept.dedupe_window_hours * 3_600,
    )


def refusal_by_any(built: Mapping[str, Provider], content: Content) -> str | None:
    """Return why some account would never send a content; None: each would."""
    return next(filter(None, (one.refusal(content) for one in built.values())), None)


def programs(settings: Settings) -> frozenset[str]:
    """Return every program that the settings name."""
    named = [category.program for category in settings.categories.values()]
    named += [sender.program for sender in settings.senders.values()]
    return frozenset([*settings.programs, *named])
