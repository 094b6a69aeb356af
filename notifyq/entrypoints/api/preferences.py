"""GET and PATCH of what recipients want; of the tenant's defaults too, which are those of "*"."""

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.preferences import ANY, CATEGORIES_MAX, CHANNELS, change, nest
from notifyq.domain.profile import DEFAULTS, Profile
from notifyq.entrypoints.api.answers import json_response
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.fields import Strict, by
from notifyq.entrypoints.api.problems import Fault, Problem
from notifyq.entrypoints.api.reaching import QuietHours, read_body, shown_quiet
from notifyq.entrypoints.api.reading import Doorkeeper, read_json
from notifyq.entrypoints.api.recipients import (
    NOT_THERE,
    READ,
    WRITE,
    book_of,
    changing,
    read_id,
    unsure,
)
from notifyq.services.recipients import Excess, revise
from notifyq.store import recipients
from notifyq.store.db import Pool, Unknown

CATEGORY_LENGTH_MAX = 64  # as in notifications
CHANNEL_NAMES = (*CHANNELS, ANY)
_CATEGORY = r"^(\*|[a-z0-9]+([._-][a-z0-9]+)*)$"


def _category(text: str) -> None:
    if not re.fullmatch(_CATEGORY, text):
        raise ValueError(f"must be a category, like order.shipped, or {ANY} for all of them")


def _channel(text: str) -> None:
    if text not in CHANNEL_NAMES:
        raise ValueError(f"must be one of {', '.join(CHANNEL_NAMES)} ({ANY}: all of them)")


Category = Annotated[
    str,
    Field(max_length=CATEGORY_LENGTH_MAX, json_schema_extra={"pattern": _CATEGORY}),
    by(_category),
]
ByChannel = dict[
    Annotated[str, Field(json_schema_extra={"enum": [*CHANNEL_NAMES]}), by(_channel)], bool | None
]


class PreferencesBody(Strict):
    """What changes; what is left out stays as it is.

    By category (`*`: all), then by channel (`*`: all): on or off. The most exact one decides.
    null takes an entry away, for a category all of its entries.
    """

    preferences: Annotated[
        dict[Category, ByChannel | None],
        Field(max_length=CATEGORIES_MAX, json_schema_extra={"additionalProperties": False}),
    ] = Field(default_factory=dict)
    quiet_hours: QuietHours | None = Field(None, description="null takes them away.")


class PreferencesAnswer(BaseModel):
    """What the recipient wants now; version 0: nobody said anything of the defaults yet."""

    id: str
    version: int
    preferences: dict[str, dict[str, bool]]
    quiet_hours: QuietHours | None


@dataclass(frozen=True, slots=True)
class PreferenceRoutes:
    """The routes of preferences."""

    doorkeeper: Doorkeeper
    pool: Pool

    async def one(self, request: Request) -> Response:
        """Show preferences, or change them."""
        return await (self._patch if request.method == "PATCH" else self._get)(request)

    async def _get(self, request: Request) -> Response:
        holder = await self.doorkeeper.admit(request, READ)
        id = read_id(request)
        async with self.pool.connection() as conn:
            found = await recipients.find(conn, book_of(holder), id)
        if found is None and id == DEFAULTS:
            return _answer(DEFAULTS, 0, Profile())
        if found is None:
            raise Problem("not_found", NOT_THERE)
        return _answer(found.id, found.version, found.profile)

    async def _patch(self, request: Request) -> Response:
        """Change them. Who is not there yet is made: a wish is kept before any address is."""
        holder = await self.doorkeeper.admit(request, WRITE)
        id = read_id(request)
        body = read_body(PreferencesBody, (await read_json(request)).content)
        if id == DEFAULTS and body.quiet_hours is not None:
            raise refused([Fault("/quiet_hours", f"are a person's own: {DEFAULTS} has none")])
        async with changing(self.pool) as conn:
            saved = await revise(
                conn, book_of(holder), id, partial(_changed, body), actor=holder.label
            )
        if isinstance(saved, Unknown):
            raise unsure(saved)
        if isinstance(saved, Excess):
            raise refused([Fault("/preferences", f"would be {rule}") for rule in saved.rules])
        return _answer(saved.id, saved.version, saved.profile)


def _changed(body: PreferencesBody, before: Profile) -> Profile:
    after = replace(before, preferences=change(before.preferences, body.preferences))
    if "quiet_hours" not in body.model_fields_set:
        return after
    return replace(after, quiet=body.quiet_hours.quiet() if body.quiet_hours else None)


def _answer(id: str, version: int, profile: Profile) -> Response:
    told = {"id": id, "version": version, "preferences": nest(profile.preferences)}
    return json_response(told | {"quiet_hours": shown_quiet(profile.quiet)})
