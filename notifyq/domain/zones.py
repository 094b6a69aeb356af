"""Time zones: the IANA data that everything goes by, and when a clock on the wall shows a time.

The data are those of the pinned `tzdata` package and never the machine's own copy, so that every
machine answers alike. Reading them is no more I/O than importing a table: they come with the
package, and the answers are constant.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from io import BytesIO
from pkgutil import get_data
from zoneinfo import ZoneInfo

# The release in which British Columbia, Alberta and Manitoba no longer change their clocks. With
# older data winter is an hour off there, which turns "too late in the evening" into "go".
TZDATA_MIN = "2026f"
_RELEASE = re.compile(r"[0-9]{4}[a-z]+")
_HEAD = "# version "  # how the first line of the data names their release
_NO_PLACE = "Factory"  # in the data for machines that were never set up; its clock is nobody's
_SECOND = timedelta(seconds=1)


class BadZone(ValueError):
    """The text names no time zone of the data; the message says the mend."""


@lru_cache(maxsize=1_024)  # there are some 600 names
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. BadZone: the data have none, or it is nobody's.

    `Etc/Unknown`, which libphonenumber gives where it knows nothing, is refused as well.
    """
    if name not in _names():
        raise BadZone("must be an IANA time zone, like America/New_York")
    return ZoneInfo.from_file(BytesIO(_read(f"zoneinfo/{name}")), key=name)


@lru_cache(maxsize=1)
def tzdata_version() -> str:
    """Return the release of the data as they say it themselves: `2026f`. Empty: no data."""
    first = _read("zoneinfo/tzdata.zi").partition(b"\n")[0].decode("ascii")
    return first.removeprefix(_HEAD)


def is_too_old(version: str) -> bool:
    """Say whether a release is older than TZDATA_MIN. What is no release counts as too old.

    Releases sort as text: a year and a letter, after `z` comes `za` (the tz project's own rule).
    """
    return not _RELEASE.fullmatch(version) or version < TZDATA_MIN


def local_instant(day: date, at: time, name: str, *, last: bool = False) -> datetime:
    """Return the UTC instant at which the clocks of a zone show `at` on `day`.

    Where they skip it: the first instant after the skip. Where they show it twice: the first
    time, or with `last` the second. Ask again whenever it counts and never store the answer: it
    changes with the data. BadZone: see zone().
    """
    place = zone(name)
    shown = datetime.combine(day, at.replace(fold=0, tzinfo=None), place)
    first, second = shown.astimezone(UTC), shown.replace(fold=1).astimezone(UTC)
    if first <= second:
        return second if last else first
    return _change(second, first, place)


def _change(before: datetime, after: datetime, place: ZoneInfo) -> datetime:
    """Return the instant of the one clock change in (before, after], to the second."""
    low, high = before.replace(microsecond=0), after.replace(microsecond=0)
    old = low.astimezone(place).utcoffset()
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if middle.astimezone(place).utcoffset() == old:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    """Return every name of the data: with a list of them, no name can be a path to elsewhere."""
    return frozenset(_read("zones").decode("ascii").split()) - {_NO_PLACE}


def _read(path: str) -> bytes:
    return get_data("tzdata", path) or b""
