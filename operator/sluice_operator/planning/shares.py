"""What of a window is bad, of how many: every metric as a share of requests, less what the store is to blame for."""

from dataclasses import dataclass

from sluice_operator.api.analysis import CheckMetric
from sluice_operator.planning.histograms import above as slower
from sluice_operator.planning.histograms import count, quantile
from sluice_operator.planning.observed import Window

PERCENTILES = {CheckMetric.latency_p50: 0.5, CheckMetric.latency_p95: 0.95, CheckMetric.latency_p99: 0.99}

MATTERS = {
    CheckMetric.error_rate: 0.05,
    CheckMetric.latency_p50: 0.10,
    CheckMetric.latency_p95: 0.05,
    CheckMetric.latency_p99: 0.02,
    CheckMetric.answers_differ: 0.05,
}
"""The least difference of shares that matters. A version passes on its errors, and on answers that differ, only if it
is shown to have less than 5 points more of them than the limit; on its p99 only if its p97 is within the limit, on p95
and p50 if p90 and p40 are.
"""


@dataclass(frozen=True)
class Side:
    """Bad requests of all requests. `doubtful`: further bad ones, which may have nothing to say of the version."""

    bad: float
    total: float
    doubtful: float = 0.0

    def with_doubtful(self) -> "Side":
        """As if they had."""
        return Side(self.bad + self.doubtful, self.total + self.doubtful)


def side(metric: CheckMetric, window: Window, limit: float) -> Side:
    """Requests that are bad; for a percentile those slower than `limit`, in seconds."""
    if metric is CheckMetric.error_rate:
        excuse = window.excuse
        left_out = min(excuse.left_out, window.errors)
        doubtful = min(excuse.doubtful, window.errors - left_out)
        return Side(window.errors - left_out - doubtful, window.requests - left_out - doubtful, doubtful)
    if metric is CheckMetric.answers_differ:
        return Side(window.different, window.pairs or 0)
    latency = window.latency or {}
    return Side(slower(limit, latency), count(latency))


def is_in_doubt(window: Window) -> bool:
    """Whether so many errors are that nothing is shown with them; a few drown in the requests to come."""
    found = side(CheckMetric.error_rate, window, 0.0)
    return found.doubtful > 0 and found.doubtful >= MATTERS[CheckMetric.error_rate] * found.with_doubtful().total


def total(metric: CheckMetric, window: Window | None) -> int:
    """How many requests, or pairs of answers, there is something to say of."""
    return int(side(metric, window, 0.0).total) if window else 0


def measure(metric: CheckMetric, window: Window) -> float | None:
    """The metric's value over a window: a fraction of requests, or seconds for a latency; None without data."""
    if metric not in PERCENTILES:
        found = side(metric, window, 0.0)
        return found.bad / found.total if found.total else None
    return quantile(PERCENTILES[metric], window.latency or {})


def unread(metric: CheckMetric, window: Window) -> bool:
    """Whether a pod did not tell what the metric needs."""
    if metric is CheckMetric.answers_differ:
        return window.pairs is None
    return metric is not CheckMetric.error_rate and window.latency is None
