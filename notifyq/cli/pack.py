"""The pack of evidence about one address and brand: each word, and the sends that had read it.

A send stands below the last word that it had read under the lock of the consent row, so what came
first is beyond clocks. Texts of messages are not in it: templates are named with their versions.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from notifyq.cli.consenting import event_line, event_row, plain, status_row, utc
from notifyq.cli.output import brief
from notifyq.domain.ids import instant_of, public_id
from notifyq.services.consents import Status
from notifyq.store.packs import Sent


def pack_row(status: Status, sends: Sequence[Sent], *, cell: int) -> dict[str, Any]:
    """Return the pack for programs."""
    return status_row(status) | {
        "sends_before_any_word": _rows(sends, 0, cell),
        "events": [
            event_row(event) | {"sends_after": _rows(sends, event.revision, cell)}
            for event in status.events
        ],
        "never_tried": _rows(sends, None, cell),
    }


def pack_lines(status: Status, sends: Sequence[Sent], *, cell: int) -> Iterator[str]:
    """Yield the pack for people."""
    yield from _sends("sent before any word", sends, 0, cell)
    for event in status.events:
        yield f"{event.revision}. {event_line(event)}"
        yield f"   stored {brief(utc(event.at))}; after it: {_after(event.after)}"
        for name, value in event.evidence.items():
            yield f"   {plain(name)}: {plain(str(value))}"
        yield from _sends("sent after it", sends, event.revision, cell)
    yield from _sends("never tried", sends, None, cell)


def _after(standing: Any) -> str:
    said = "blocked" if standing.blocked else "not blocked"
    return ", ".join([said, *(f"program {name} blocked" for name in standing.programs)])


def _rows(sends: Sequence[Sent], revision: int | None, cell: int) -> list[dict[str, Any]]:
    return [_row(one, cell) for one in sends if one.revision == revision]


def _row(sent: Sent, cell: int) -> dict[str, Any]:
    tried = sent.tried
    names = ("number", "provider", "began_at", "ended_at", "outcome", "code", "provider_id")
    attempt = {name: getattr(tried, name) for name in (*names, "late_at")} if tried else None
    return {
        "delivery": public_id("dlv", cell, sent.delivery_id),
        "accepted_at": instant_of(sent.delivery_id),
        "category": sent.category,
        "program": sent.program,
        "marketing": sent.is_marketing,
        "exempt": sent.is_exempt,
        "separate": sent.is_separate,
        "template": sent.template,
        "template_version": sent.template_version,
        "locale": sent.locale,
        "state": sent.state,
        "reason": sent.reason,
        "changed_at": sent.changed_at,
        "attempt": attempt,
    }


def _sends(title: str, sends: Sequence[Sent], revision: int | None, cell: int) -> Iterator[str]:
    chosen = [one for one in sends if one.revision == revision]
    if chosen:
        yield f"   {title}:"
    for one in chosen:
        yield f"     {_line(one, cell)}"


def _line(sent: Sent, cell: int) -> str:
    what = [public_id("dlv", cell, sent.delivery_id), sent.category or "", f"({sent.program})"]
    if sent.template is not None:
        what.append(f"{sent.template} v{sent.template_version} {sent.locale or ''}".rstrip())
    marks = {
        "marketing": sent.is_marketing,
        "exempt": sent.is_exempt,
        "separate program": sent.is_separate,
    }
    what += [f"[{name}]" for name, so in marks.items() if so]
    tried = sent.tried
    if tried is None:
        reason = f", {sent.reason}" if sent.reason else ""
        return " ".join([*what, f"accepted {brief(instant_of(sent.delivery_id))}:"]) + (
            f" {sent.state}{reason}"
        )
    ended = f" to {brief(utc(tried.ended_at))}" if tried.ended_at else ""
    named = f" {tried.provider or ''} {plain(tried.provider_id or '')}".rstrip()
    code = f" {plain(tried.code)}" if tried.code else ""
    late = f", carried out after all ({brief(utc(tried.late_at))})" if tried.late_at else ""
    what.append(f"attempt {tried.number} {brief(utc(tried.began_at))}{ended}:")
    return " ".join(what) + f" {tried.outcome}{code}{late}{named}; now {sent.state}"
