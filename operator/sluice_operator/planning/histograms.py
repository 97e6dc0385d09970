"""What a cumulative histogram (upper bound in seconds, inf last -> count) says of a percentile, by Prometheus' rule.

Within a bucket, requests are taken to be spread evenly (`histogram_quantile`); both questions are asked by the same
rule, so that a version compared with itself never seems slower.
"""

import math
from collections.abc import Iterator, Mapping


def count(cumulative: Mapping[float, float]) -> float:
    """All that was counted."""
    return cumulative[max(cumulative)] if cumulative else 0.0


def quantile(q: float, cumulative: Mapping[float, float]) -> float | None:
    """The value that a share of `q` does not exceed; the highest finite bound where it lies in the last, open bucket.

    None where nothing was counted.
    """
    total = count(cumulative)
    if total <= 0:
        return None
    highest = 0.0
    for low, bound, before, after in _buckets(cumulative):
        if after >= q * total:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (q * total - before) / (after - before) if after > before else bound
        highest = bound
    return highest


def above(value: float, cumulative: Mapping[float, float]) -> float:
    """How many exceed a value, as a fraction of a request where the value lies within a bucket.

    What is in the last, open bucket exceeds every value below infinity: it exceeds the highest bound there is.
    """
    total = count(cumulative)
    for low, bound, before, after in _buckets(cumulative):
        if value < bound:
            share = 0.0 if math.isinf(bound) else (value - low) / (bound - low)
            return total - before - share * (after - before)
    return 0.0


def _buckets(cumulative: Mapping[float, float]) -> Iterator[tuple[float, float, float, float]]:
    """Lower bound, upper bound, and the counts up to each, from the lowest bucket on."""
    low, before = 0.0, 0.0
    for bound in sorted(cumulative):
        yield low, bound, before, cumulative[bound]
        low, before = bound, cumulative[bound]
