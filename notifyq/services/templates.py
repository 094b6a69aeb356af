"""Templates: saving versions, and having them at hand where something is said by them.

The newest version is asked for each time, because another process may have saved one a moment
ago; its sources are read and parsed once and kept, within a bound (Library).
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from notifyq.domain.template import Template
from notifyq.domain.template_checks import digest, kept, read_kept
from notifyq.store import templates
from notifyq.store.db import Committed, Conn, Unknown, transact
from notifyq.store.templates import Shelf, VersionRow

# Templates that a process keeps parsed, by weight: characters, and TAG_WEIGHT for each tag. Parsed
# tags take 4 to 8 bytes a unit, so this is some 30 MB; paths nested as deep as they go take 56.
LIBRARY_WEIGHT_MAX = 4_000_000
TAG_WEIGHT = 100


@dataclass(frozen=True, slots=True)
class Saved:
    """The version that now says it; changed: by this request."""

    version: int
    changed: bool
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Stale:
    """Not saved: another version than the one that was to be replaced is the newest."""

    version: int  # 0: there is none


@dataclass(frozen=True, slots=True)
class Version:
    """A version with who made it."""

    template: Template
    created_at: datetime
    created_by: str


class _OtherVersion(Exception):
    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


async def save(
    conn: Conn, shelf: Shelf, template: Template, *, replaces: int | None, actor: str
) -> Saved | Stale | Unknown:
    """Save what a template says as its next version; the same again is the version there is.

    It was checked (template_checks.py); its own version number does not count. replaces: the
    version that must be the newest, 0 for a new template, None for whichever is.
    """
    body = kept(template.default_locale, template.sources)
    name, mark = template.name, digest(body)

    async def work(conn: Conn) -> Saved:
        newest = await templates.hold(conn, shelf, name)
        there = await templates.same(conn, shelf, name, newest, mark)
        if there is not None:
            return Saved(newest, False, there.created_at, there.created_by)
        if replaces is not None and replaces != newest:
            raise _OtherVersion(newest)
        row = await templates.add(conn, shelf, name, digest=mark, body=body, actor=actor)
        return Saved(row.version, True, row.created_at, row.created_by)

    try:
        fate = await transact(conn, work)
    except _OtherVersion as other:
        return Stale(other.version)
    return fate.value if isinstance(fate, Committed) else fate


class Library:
    """The templates that this process has parsed: the least used ones go when it is full."""

    def __init__(self, *, weight_max: int = LIBRARY_WEIGHT_MAX) -> None:
        """weight_max: see LIBRARY_WEIGHT_MAX."""
        self._weight_max = weight_max
        self._kept: OrderedDict[tuple[Shelf, str], tuple[Template, int]] = OrderedDict()
        self._weight = 0

    async def load(self, conn: Conn, shelf: Shelf, names: Collection[str]) -> dict[str, Template]:
        """Return the newest version of each named template that there is, by one statement."""
        return {
            name: found.template for name, found in (await self._load(conn, shelf, names)).items()
        }

    async def find(
        self, conn: Conn, shelf: Shelf, name: str, version: int | None = None
    ) -> Version | None:
        """Return a version, the newest by default; None if there is no such."""
        if version is None:
            return (await self._load(conn, shelf, [name])).get(name)
        row = await templates.find(conn, shelf, name, version)
        if row is None:
            return None
        return Version(read_kept(name, version, row.body or ""), row.created_at, row.created_by)

    async def _load(self, conn: Conn, shelf: Shelf, names: Collection[str]) -> dict[str, Version]:
        had = {name: self._had(shelf, name) for name in names}
        known = {name: template.version if template else None for name, template in had.items()}
        rows = await templates.newest(conn, shelf, known)
        return {
            row.name: Version(self._read(shelf, row, had[row.name]), row.created_at, row.created_by)
            for row in rows
        }

    def _had(self, shelf: Shelf, name: str) -> Template | None:
        found = self._kept.get((shelf, name))
        if found is None:
            return None
        self._kept.move_to_end((shelf, name))
        return found[0]

    def _read(self, shelf: Shelf, row: VersionRow, had: Template | None) -> Template:
        if row.body is None and had is not None:
            return had
        template = read_kept(row.name, row.version, row.body or "")
        self._keep(shelf, template, _weight(row.body or ""))
        return template

    def _keep(self, shelf: Shelf, template: Template, weight: int) -> None:
        _, before = self._kept.pop((shelf, template.name), (None, 0))
        self._weight += weight - before
        self._kept[shelf, template.name] = template, weight
        while self._weight > self._weight_max:
            _, (_, gone) = self._kept.popitem(last=False)
            self._weight -= gone


def _weight(body: str) -> int:
    return len(body) + TAG_WEIGHT * (body.count("{{") + body.count("{%"))
