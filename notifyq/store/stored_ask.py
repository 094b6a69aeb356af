"""A valid request as bytes, for whoever goes on with it: the ids and the answer are in it too.

The version is the first thing in it. What is stored outlives a release, so an older version stays
readable until none can be left; what cannot be read is told, and never guessed at.
"""

import json
from dataclasses import asdict, fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from notifyq.domain.asking import Ask, Part, Planned, planned_as
from notifyq.domain.content import Content, kept, read_kept
from notifyq.domain.hours import Hours
from notifyq.domain.model import Category, Channel, MessageClass
from notifyq.domain.states import Reason
from notifyq.domain.terms import Stamp, Terms

VERSION = 3
# All of a delivery's terms but whose they are.
_IMPERSONAL = attrgetter(*(field.name for field in fields(Terms) if field.name != "recipient"))


class BadAsk(Exception):
    """The bytes are no request that this version can read."""


def pack(planned: Planned, answer: bytes) -> bytes:
    """Return a planned request and the answer to it as bytes."""
    ask = planned.ask
    contents = list({id(part.content): part.content for part in ask.parts}.values())  # mostly one
    places = {id(content): place for place, content in enumerate(contents)}
    # What differs from one recipient to the next is the recipient: a list has a few terms.
    its = [_IMPERSONAL(part.terms) for part in ask.parts]
    terms = dict(zip(its, (part.terms for part in ask.parts), strict=True))
    terms_places = {one: place for place, one in enumerate(terms)}
    content = {
        "version": VERSION,
        "notification_id": planned.notification_id.hex,
        "held": planned.held,
        "answer": answer.decode(),
        "cell": ask.cell,
        "tenant_id": ask.tenant_id,
        "brand": ask.brand,
        "test": ask.test,
        "key_hash": ask.key_hash.hex(),
        "fingerprint": ask.fingerprint.hex(),
        "category": asdict(ask.category),
        "recipient": ask.recipient,
        "metadata": ask.metadata,
        "not_before": ask.not_before and ask.not_before.isoformat(),
        "expires_at": ask.expires_at.isoformat(),
        "recipients": ask.recipients,
        "widths": ask.widths,
        "contents": [kept(content) for content in contents],
        "terms": [asdict(replace(one, recipient=None)) for one in terms.values()],
        "parts": [
            [
                p.channel,
                p.lane,
                p.address,
                places[id(p.content)],
                p.standby,
                p.registered_at and p.registered_at.isoformat(),
                terms_places[one],
                p.terms.recipient,
                p.due and p.due.isoformat(),
                p.reason,
                p.suppressed,
            ]
            for p, one in zip(ask.parts, its, strict=True)
        ],
    }
    return json.dumps(content, separators=(",", ":")).encode()


def unpack(stored: bytes) -> tuple[Planned, bytes]:
    """Return what was packed; BadAsk if it cannot be read."""
    try:
        content = json.loads(stored)
        if content["version"] not in (1, 2, VERSION):
            raise BadAsk(f"version {content['version']} is not known here")
        if content["version"] == 1:
            content = _from_1(content)
        if content["version"] == 2:
            content = _from_2(content)
        return _planned(content), content["answer"].encode()
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise BadAsk(f"{type(error).__name__}: {error}") from error


def _planned(content: dict[str, Any]) -> Planned:
    not_before = content["not_before"]
    ask = Ask(
        cell=content["cell"],
        tenant_id=content["tenant_id"],
        brand=content["brand"],
        test=content["test"],
        key_hash=bytes.fromhex(content["key_hash"]),
        fingerprint=bytes.fromhex(content["fingerprint"]),
        category=_category(content["category"]),
        recipient=content["recipient"],
        metadata=content["metadata"],
        not_before=not_before and datetime.fromisoformat(not_before),
        expires_at=datetime.fromisoformat(content["expires_at"]),
        parts=tuple(_parts(content)),
        warnings=(),  # they are in the answer
        recipients=content["recipients"],
        widths=tuple(content["widths"]),
    )
    return planned_as(ask, UUID(content["notification_id"]), held=content["held"])


def _category(content: dict[str, Any]) -> Category:
    read = {
        "message_class": MessageClass(content["message_class"]),
        "routes": {Channel(channel): tuple(names) for channel, names in content["routes"].items()},
        "hours": Hours(content["hours"]),
        "approved": tuple(content["approved"]),
    }
    return Category(**{**content, **read})


def _parts(content: dict[str, Any]) -> list[Part]:
    contents: dict[tuple[Channel, int], Content] = {}  # one object for all who get the same
    terms = [_terms(one) for one in content["terms"]]
    parts = []
    for name, lane, address, place, standby, since, *rest in content["parts"]:
        at, recipient, due, reason, suppressed = rest
        channel = Channel(name)
        if (channel, place) not in contents:
            contents[channel, place] = read_kept(channel, *content["contents"][place])
        said = contents[channel, place]
        parts.append(
            Part(
                channel,
                lane,
                address,
                said,
                standby,
                since and datetime.fromisoformat(since),
                terms[at] if recipient is None else replace(terms[at], recipient=recipient),
                due and datetime.fromisoformat(due),
                reason and Reason(reason),
                suppressed,
            )
        )
    return parts


def _terms(content: dict[str, Any]) -> Terms:
    stamp = content["stamp"]
    hours = Hours(content["hours"])
    return Terms(**{**content, "hours": hours, "stamp": stamp and Stamp(**stamp)})


def _from_1(content: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew text messages only."""
    contents = [[body, None] for body in content["bodies"]]
    return {
        **content,
        "contents": contents,
        "widths": [],
        "category": {**content["category"], "routes": {}},
        "parts": [[*part, None] for part in content["parts"]],
        "version": 2,
    }


def _from_2(content: dict[str, Any]) -> dict[str, Any]:
    """Version 2 knew no wishes of recipients."""
    category = {**content["category"], "hours": Hours.ANY, "approved": ()}
    return {
        **content,
        "category": category,
        "terms": [asdict(Terms(category=category["name"]))],
        "parts": [[*part, 0, None, None, None, False] for part in content["parts"]],
    }
