"""What a request refers to and we keep: recipients by their ids, templates by their names.

Looked up at once for a whole request, however many recipients it has: two statements.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from notifyq.domain.preferences import Wishes
from notifyq.domain.profile import DEFAULTS, Profile
from notifyq.domain.template import Template
from notifyq.entrypoints.api.body import Body, ListBody
from notifyq.entrypoints.api.people import Recipient
from notifyq.services.templates import Library
from notifyq.store import recipients
from notifyq.store.db import Conn, Pool
from notifyq.store.templates import Shelf
from notifyq.store.tenants import Holder


@dataclass(frozen=True, slots=True)
class Known:
    """What was found of what is referred to."""

    profiles: Mapping[str, Profile] = field(default_factory=dict)  # by the recipient's id
    templates: Mapping[str, Template] = field(default_factory=dict)  # by name

    @property
    def defaults(self) -> Wishes:
        """What the tenant's recipients want where they say nothing themselves."""
        found = self.profiles.get(DEFAULTS)
        return found.preferences if found else {}


# How long a tenant's defaults are believed by requests that name nobody kept here: a change of
# them counts within this.
DEFAULTS_CACHE_S = 5.0
DEFAULTS_MAX = 10_000  # tenants and modes


class Knower:
    """Looks up what requests refer to."""

    def __init__(
        self, pool: Pool, library: Library, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """clock: seconds, for how long defaults are believed."""
        self._pool = pool
        self._library = library
        self._clock = clock
        self._defaults: dict[Shelf, tuple[float, Mapping[str, Profile]]] = {}

    async def look_up(self, holder: Holder, bodies: Iterable[Body]) -> Known:
        """Return the recipients and templates that these name, as far as there are any.

        The tenant's defaults are always among them; those may be DEFAULTS_CACHE_S old where no
        recipient is named.
        """
        asked = list(bodies)
        ids = {one.id for body in asked for one in _people(body) if one.id is not None}
        names = {body.template for body in asked if body.template is not None}
        shelf = Shelf(holder.cell, holder.tenant_id, holder.test)
        until, defaults = self._defaults.get(shelf, (0.0, {}))
        is_known = not ids and self._clock() < until
        if is_known and not names:
            return Known(defaults)
        templates: dict[str, Template] = {}
        async with self._pool.connection() as conn:
            profiles = defaults if is_known else await self._profiles(conn, shelf, ids)
            if names:
                templates = await self._library.load(conn, shelf, names)
        return Known(profiles, templates)

    async def _profiles(self, conn: Conn, shelf: Shelf, ids: set[str]) -> Mapping[str, Profile]:
        """Return the profiles of these recipients and the defaults, which are kept for a while."""
        until = self._clock() + DEFAULTS_CACHE_S
        found = await recipients.profiles(
            conn,
            cell=shelf.cell,
            tenant_id=shelf.tenant_id,
            test=shelf.test,
            ids=sorted(ids | {DEFAULTS}),
        )
        if len(self._defaults) >= DEFAULTS_MAX:
            self._defaults.clear()
        own = {DEFAULTS: found[DEFAULTS]} if DEFAULTS in found else {}
        self._defaults[shelf] = until, own
        return found


def _people(body: Body) -> list[Recipient]:
    return body.recipients if isinstance(body, ListBody) else [body.recipient]
