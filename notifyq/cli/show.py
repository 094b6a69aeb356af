"""show: what became of a notification, found by whatever somebody has at hand."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click
import orjson

from notifyq.bootstrap.accounts import CELL, database_url
from notifyq.cli.output import Failed, json_option, running, settings
from notifyq.cli.output import show as show_rows
from notifyq.domain.address import BadAddress, channel_of, normal
from notifyq.domain.idempotency import hash_key
from notifyq.domain.ids import notification_of, read_public_id, read_reference
from notifyq.entrypoints.api.timeline import entries, notification_answer
from notifyq.store import db, views

NEWEST = 20  # notifications of one phone number or provider id

_Found = list[tuple[int, UUID]]  # (cell, notification)


@click.command()
@click.argument("what", metavar="ID")
@json_option
@running
async def show(what: str, as_json: bool) -> None:
    """Show a notification and its timeline.

    ID is a notification (ntf_…), a delivery (dlv_… or its uuid), the reference planted at the
    provider, an idempotency key, the provider's own id (SM…), or a phone number: its newest 20.
    """
    async with await db.connect(database_url(settings()), autocommit=True) as conn:
        told = await _told(conn, what.strip())
    if not told:
        raise Failed(f"nothing is known by {what!r}")
    if as_json:
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    elif len(told) == 1:
        _print(told[0])
    else:
        show_rows([_line(one) for one in told], as_json=False)
        click.echo(f"\n{len(told)} notifications, the newest first: notifyq show ID")


async def _told(conn: db.Conn, text: str) -> list[dict[str, Any]]:
    """Return what is known by the first reading of the text that leads to anything.

    A text may be read in several ways: an MD5 in hex, used as an idempotency key, has the shape
    of a planted reference. So a reading counts only if there is something behind it.
    """
    for reading in _READINGS:
        told = [await _tell(conn, cell, found) for cell, found in await reading(conn, text)]
        if there := [one for one in told if one is not None]:
            return there
    return []


async def _tell(conn: db.Conn, cell: int, notification_id: UUID) -> dict[str, Any] | None:
    """Return a notification as the API shows it, with its tenant and timeline; None without one."""
    found = await views.find_notification(
        conn, cell=cell, notification_id=notification_id, tenant_id=None, test=None
    )
    if found is None:
        return None
    row = {**found, "cell": cell}
    deliveries = await views.deliveries_of(conn, cell=cell, notification_id=notification_id)
    answer = notification_answer(row, deliveries)
    timeline = await entries(conn, row, deliveries, operator=True)
    return {**answer, "tenant": found["tenant"], "timeline": timeline}


async def _by_id(_: db.Conn, text: str) -> _Found:
    readings: list[Callable[[str], tuple[int, UUID]]] = [
        lambda text: read_public_id("ntf", text),
        lambda text: read_public_id("dlv", text),
        lambda text: read_reference(text)[:2],
        lambda text: (CELL, UUID(text)),
    ]
    found: _Found = []
    for read in readings:
        try:
            cell, uuid = read(text)
        except ValueError:  # BadId is one of these
            continue
        if cell == CELL:  # any other is an accident of the reading: there is one cell
            found.append((cell, notification_of(uuid)))
    return found


async def _by_key(conn: db.Conn, text: str) -> _Found:
    found = await views.notifications_by_key(conn, cell=CELL, key_hash=hash_key(text))
    return [(CELL, one) for one in found]


async def _by_address(conn: db.Conn, text: str) -> _Found:
    try:
        address = normal(channel_of(text), text)
    except BadAddress:
        return []
    found = await views.notifications_by_address(conn, cell=CELL, address=address, limit=NEWEST)
    return [(CELL, one) for one in found]


async def _by_provider_id(conn: db.Conn, text: str) -> _Found:
    found = await views.notifications_by_provider_id(
        conn, cell=CELL, provider_id=text, limit=NEWEST
    )
    return [(CELL, one) for one in dict.fromkeys(found)]


# The cheap ones first: a provider's id is looked for in every attempt.
_READINGS: tuple[Callable[[db.Conn, str], Awaitable[_Found]], ...] = (
    _by_id,
    _by_key,
    _by_address,
    _by_provider_id,
)


def _print(told: dict[str, Any]) -> None:
    mode = "test" if told["test"] else "live"
    click.echo(f"{told['id']}  {mode}")
    for name, value in (
        ("tenant", told["tenant"]),
        ("category", f"{told['category']} ({told['class']})"),
        ("recipient", told["recipient"]),
        ("accepted", _time(told["accepted_at"])),
        ("not before", _time(told["not_before"])),
        ("expires", _time(told["expires_at"])),
    ):
        if value:
            click.echo(f"{name:10}  {value}")
    click.echo()
    show_rows([_delivery(one) for one in told["deliveries"]], as_json=False, empty="no deliveries")
    click.echo()
    several = len(told["deliveries"]) > 1
    show_rows([_event(one, several) for one in told["timeline"]], as_json=False)


def _delivery(delivery: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "channel", "state", "reason", "attempts")
    times = {"due": delivery["scheduled_for"], "changed": delivery["changed_at"]}
    return {name: delivery[name] for name in names} | {n: _time(at) for n, at in times.items()}


def _event(entry: dict[str, Any], several: bool) -> dict[str, Any]:
    whys = ("kind", "status", "code", "reason", "cause", "evidence")
    row = {
        "time": _time(entry["at"]),
        "event": entry["event"],
        "attempt": entry.get("attempt"),
        "provider": entry.get("provider"),
        "by": entry.get("actor"),
        "code / reason": " ".join(str(entry[name]) for name in whys if name in entry),
        "provider id": entry.get("provider_id"),
    }
    return row | {"delivery": entry["delivery"]} if several else row


def _line(told: dict[str, Any]) -> dict[str, Any]:
    states = [
        f"{d['state']} ({d['reason']})" if d["reason"] else d["state"] for d in told["deliveries"]
    ]
    return {
        "id": told["id"],
        "accepted": _time(told["accepted_at"]),
        "tenant": told["tenant"],
        "category": told["category"],
        "deliveries": ", ".join(states),
    }


def _time(at: datetime | None) -> str | None:
    """Return a time in UTC to the millisecond."""
    if at is None:
        return None
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
