"""The checks that judge a canary.

A verdict is Fail when a limit is exceeded on enough data, Inconclusive when there is too little data, else Pass. A
metrics fault is never a model fault.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sluice_operator.api.spec import Analysis, Check, CheckMetric
from sluice_operator.planning.observed import Window

Verdict = Literal["Pass", "Fail", "Inconclusive"]


@dataclass(frozen=True)
class Judgement:
    """One measurement: its verdict, the canary requests it rests on, and values against limits for a person."""

    verdict: Verdict
    requests: int
    message: str


def judge(analysis: Analysis, canary: Window | None, stable: Window | None) -> Judgement:
    """Judge the canary's window against the limits; `stable` is its window over the same time."""
    if canary is None:
        return Judgement("Inconclusive", 0, "measurements of the canary cannot be read")
    if canary.requests < analysis.min_requests:
        message = f"{canary.requests} canary requests of the {analysis.min_requests} that a verdict needs"
        return Judgement("Inconclusive", canary.requests, message)
    results = [_judge_check(check, canary, stable, analysis.min_requests) for check in analysis.checks]
    return Judgement(_worst(results), canary.requests, "; ".join(message for _, message in results))


def _worst(results: Sequence[tuple[Verdict, str]]) -> Verdict:
    verdicts = {verdict for verdict, _ in results}
    for verdict in ("Fail", "Inconclusive"):
        if verdict in verdicts:
            return verdict
    return "Pass"


def _judge_check(check: Check, canary: Window, stable: Window | None, enough: int) -> tuple[Verdict, str]:
    value = measure(check.metric, canary)
    if value is None:
        return "Inconclusive", f"{check.metric} of the canary is not measured"
    limit = check.max if check.max is not None else math.inf
    if check.max_times_stable is not None:
        base = measure(check.metric, stable) if stable and stable.requests >= enough else None
        if base is None and value <= limit:
            return "Inconclusive", f"{check.metric} {value:.4g}, too few stable requests to compare with"
        limit = min(limit, check.max_times_stable * base) if base is not None else limit
    verdict: Verdict = "Fail" if value > limit else "Pass"
    return verdict, f"{check.metric} {value:.4g} {'>' if verdict == 'Fail' else '<='} {limit:.4g}"


def measure(metric: CheckMetric, window: Window) -> float | None:
    """The metric's value over a window: a fraction for errorRate, seconds for latencyP99; None without data."""
    if metric is CheckMetric.error_rate:
        return window.errors / window.requests if window.requests else None
    return quantile(0.99, window.latency)


def quantile(q: float, cumulative: Mapping[float, float]) -> float | None:
    """Quantile of a cumulative histogram (upper bound -> count), interpolated within its bucket.

    The rule of Prometheus' ``histogram_quantile``: linear within a bucket; in the last, open bucket the highest finite
    bound. None where nothing was counted.
    """
    bounds = sorted(cumulative)
    if not bounds or cumulative[bounds[-1]] <= 0:
        return None
    rank = q * cumulative[bounds[-1]]
    low, below = 0.0, 0.0
    for bound in bounds:
        count = cumulative[bound]
        if count >= rank:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (rank - below) / (count - below) if count > below else bound
        low, below = bound, count
    return low
