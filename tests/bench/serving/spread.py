"""Ratios that a busy machine does not bend: contenders are compared within a round, and rounds by their median.

What slows one round slows everybody in it; a ratio of two medians would compare different moments.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of one value a round."""

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f} .. {self.high:.2f}]"


def spread(values: Iterable[float]) -> Spread | None:
    """The spread of some values; None without any."""
    ranked = sorted(values)
    if not ranked:
        return None
    return Spread(statistics.median(ranked), ranked[0], ranked[-1], len(ranked))


def per_round(rounds: Sequence[Mapping[str, float]], combine: Callable[..., float], *names: str) -> Spread | None:
    """The spread of `combine(*values of names)` over the rounds that have all of them."""
    return spread(combine(*(values[name] for name in names)) for values in rounds if all(n in values for n in names))


def ratio(rounds: Sequence[Mapping[str, float]], name: str, reference: str) -> Spread | None:
    """The spread of per-round ratios `name / reference`."""
    return per_round(rounds, lambda value, base: value / base, name, reference)
