"""The two pieces of statistics that claims about traffic rest on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import binom

CONFIDENCE = 0.999


def binomial_interval(requests: int, weight: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Counts between which a binomial variable lies with at least `confidence`, by exact quantiles.

    `weight` is a fraction. Each tail holds at most (1 - confidence) / 2.
    """
    tail = (1 - confidence) / 2
    return int(binom.ppf(tail, requests, weight)), int(binom.isf(tail, requests, weight))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank); NaN without values."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]
