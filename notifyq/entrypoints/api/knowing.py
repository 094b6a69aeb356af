"""What a request refers to and we keep: recipients by their ids, templates by their names.

Looked up at once for a whole request, however many recipients it has: two statements.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from notifyq.domain.preferences import Wishes
from notifyq.domain.profile import DEFAULTS, Profile
from notifyq.domain.template import Template
from notifyq.entrypoints.api.body import Body, ListBody
from notifyq.entrypoints.api.people import Recipient
from notifyq.services.templates import Library
from notifyq.store import recipients
from notifyq.store.db import Pool
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


NOTHING = Known()


@dataclass(frozen=True, slots=True)
class Knower:
    """Looks up what requests refer to."""

    pool: Pool
    library: Library

    async def look_up(self, holder: Holder, bodies: Iterable[Body]) -> Known:
        """Return the recipients and templates that these name, as far as there are any."""
        asked = list(bodies)
        ids = {one.id for body in asked for one in _people(body) if one.id is not None}
        names = {body.template for body in asked if body.template is not None}
        if not ids and not names:
            return NOTHING
        profiles: dict[str, Profile] = {}
        templates: dict[str, Template] = {}
        async with self.pool.connection() as conn:
            if ids:
                profiles = await recipients.profiles(
                    conn,
                    cell=holder.cell,
                    tenant_id=holder.tenant_id,
                    test=holder.test,
                    ids=sorted(ids | {DEFAULTS}),
                )
            if names:
                shelf = Shelf(holder.cell, holder.tenant_id, holder.test)
                templates = await self.library.load(conn, shelf, names)
        return Known(profiles, templates)


def _people(body: Body) -> list[Recipient]:
    return body.recipients if isinstance(body, ListBody) else [body.recipient]
