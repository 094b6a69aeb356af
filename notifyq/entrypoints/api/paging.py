"""Pages: `?limit=&cursor=` in, `{data, next_cursor, has_more}` out. The cursor is the last id."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from starlette.requests import Request

from notifyq.domain.ids import BadId, read_public_id
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.problems import Fault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    limit: int
    after: UUID | None


def read_page(request: Request, kind: str, *, default: int, most: int) -> Page:
    """Return the page that a request asks for; Problem for a limit or a cursor that is none.

    kind: of the ids that are cursors. default, most: how many entries.
    """
    faults = []
    text = request.query_params.get("limit", str(default))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
    if not 1 <= limit <= most:
        faults.append(Fault("/limit", f"must be a number from 1 to {most}, is {text[:20]!r}"))
    cursor, after = request.query_params.get("cursor"), None
    try:
        after = None if cursor is None else read_public_id(kind, cursor)[1]
    except BadId:
        faults.append(Fault("/cursor", "must be a next_cursor that was given before"))
    if faults:
        raise refused(faults)
    return Page(limit, after)


def cut(found: list[T], limit: int, named: Callable[[T], str]) -> tuple[list[T], str | None]:
    """Return a page of what was read, and the cursor if there is more behind it.

    found: one more than the page holds, where there is more. named(entry): its public id.
    """
    return found[:limit], named(found[limit - 1]) if len(found) > limit else None


def page_answer(data: Sequence[Any], last: str | None) -> dict[str, Any]:
    """Return a page; last: the id of its last entry if there are more behind it."""
    return {"data": data, "next_cursor": last, "has_more": last is not None}
