"""What every part of bin/chaos is told."""

import zlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The command's options."""

    out: Path  # results go there, and are looked for there
    fresh: bool = False  # run again what has a result already
    shard: tuple[int, int] = (1, 1)  # (i, n): the i-th of n shares
    side_by_side: int = 4  # processes that mostly wait
    filters: tuple[str, ...] = ()  # only cases whose names contain one of these
    size: int | None = None  # a fixed sample of so many
    wrong: str | None = None  # a wrong version that has to come out red
    minutes: float = 30.0  # of a soak
    seed: int | None = None  # of a soak; None: thrown anew


def in_shard(name: str, shard: tuple[int, int]) -> bool:
    """Whether the case of this name is of this share; each is of exactly one."""
    share, shares = shard
    return zlib.crc32(name.encode()) % shares == share - 1
