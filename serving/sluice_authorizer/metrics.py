"""What the authorizer counts and times; docs/access.md lists the names. No label is a caller's word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sluice_authorizer.outcomes import Decision, Refusal
from sluice_runtime.metrics import LATENCY_BUCKETS, Histogram

ALLOWED = "allowed"


class Metrics(Collector):
    """Counts are plain numbers, read when they are scraped. `remembered`: what is kept, by kind."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._decisions: Counter[str] = Counter()
        self._reviews: Counter[tuple[str, str]] = Counter()
        self._seconds = Histogram(
            "sluice_authorizer_decision_duration_seconds", "One decision, from its question.", LATENCY_BUCKETS
        )
        self.remembered: Callable[[], Mapping[str, int]] = dict
        registry.register(self)

    def decided(self, decision: Decision, seconds: float) -> None:
        """Count a decision."""
        self._decisions[decision.why.reason if isinstance(decision, Refusal) else ALLOWED] += 1
        self._seconds.observe(seconds)

    def asked(self, kind: str, outcome: str) -> None:
        """Count a question to the API server, by its kind and whether it was answered."""
        self._reviews[kind, outcome] += 1

    def collect(self) -> Iterator[Metric]:
        """All series."""
        decisions = CounterMetricFamily("sluice_authorizer_decisions", "Decisions by result.", labels=("result",))
        for result, count in sorted(self._decisions.items()):
            decisions.add_metric((result,), count)
        yield decisions
        reviews = CounterMetricFamily(
            "sluice_authorizer_api_requests", "Questions to the API server.", labels=("kind", "outcome")
        )
        for labels, count in sorted(self._reviews.items()):
            reviews.add_metric(labels, count)
        yield reviews
        remembered = GaugeMetricFamily("sluice_authorizer_remembered", "Answers that are kept.", labels=("kind",))
        for kind, number in sorted(self.remembered().items()):
            remembered.add_metric((kind,), number)
        yield remembered
        yield self._seconds.family({})
