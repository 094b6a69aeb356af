"""Samples, their medians with spread, what limits them, and whether they reach their targets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

_BUSY_CORES = 0.85  # a process that does one thing at a time is at its limit from about here


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one run."""

    figure: str
    what: str
    value: float
    unit: str
    cores: Mapping[str, float] = field(default_factory=dict)  # in use while it was measured
    us_each: Mapping[str, float] = field(default_factory=dict)  # CPU, by part
    raw: Mapping[str, Any] = field(default_factory=dict)
    at_least: float | None = None  # the target, in the sample's unit
    at_most: float | None = None


def rows(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Return a row for each thing measured, in the order in which they first came."""
    names = dict.fromkeys((sample.figure, sample.what) for sample in samples)
    return [_row([s for s in samples if (s.figure, s.what) == name]) for name in names]


def raw(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Return every sample as it is."""
    return [asdict(sample) for sample in samples]


def _row(runs: Sequence[Sample]) -> dict[str, Any]:
    first = runs[0]
    values = [sample.value for sample in runs]
    middle = median(values)
    spread = f"{_number(min(values))} … {_number(max(values))}" if len(values) > 1 else ""
    return {
        "figure": first.figure,
        "what": first.what,
        "median": _number(middle),
        "spread": spread,
        "unit": first.unit,
        "target": _target(first),
        "reached": _reached(first, middle),
        "CPU us each": _medians([sample.us_each for sample in runs], ",.0f"),
        "cores in use": _medians([sample.cores for sample in runs], ".2f"),
        "limited by": _limit(runs),
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _target(sample: Sample) -> str:
    if sample.at_least is not None:
        return f"≥ {_number(sample.at_least)}"
    return f"≤ {_number(sample.at_most)}" if sample.at_most is not None else ""


def _reached(sample: Sample, middle: float) -> str:
    if sample.at_least is not None:
        return "yes" if middle >= sample.at_least else "NO"
    if sample.at_most is not None:
        return "yes" if middle <= sample.at_most else "NO"
    return ""


def _by_part(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    parts = dict.fromkeys(part for run in runs for part in run)
    return {part: median(run.get(part, 0.0) for run in runs) for part in parts}


def _medians(runs: Sequence[Mapping[str, float]], form: str) -> str:
    return " ".join(f"{part} {value:{form}}" for part, value in _by_part(runs).items())


def _limit(runs: Sequence[Sample]) -> str:
    cores = _by_part([sample.cores for sample in runs])
    others = cores.pop("others", 0.0)
    if not cores:
        return ""
    noise = f" (others took {others:.1f} cores)" if others > 0.2 else ""
    full = [part for part, used in cores.items() if used >= _BUSY_CORES and part != "postgres"]
    if full:
        return f"{full[0]}: one core" + noise
    if sum(cores.values()) + others >= 1.75:
        return "both cores" + noise
    return "waiting" + noise
