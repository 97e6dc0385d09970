"""What the runtime counts about features. Label values are the references' own names and few words: bounded."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from sluice_runtime.metrics import REQUEST_BUCKETS, Histogram


class FeatureMetrics(Collector):
    """The series of one model and revision. docs/metrics.md lists the names."""

    def __init__(self, model: str, revision: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._labels = {"model": model, "revision": revision}
        self._registry = registry
        self._lookups: dict[tuple[str, ...], int] = {}
        self._calls: dict[tuple[str, ...], int] = {}
        self._keys: dict[tuple[str, ...], int] = {}
        self._defaults: dict[tuple[str, ...], int] = {}
        self._seconds = Histogram(
            "sluice_feature_lookup_duration_seconds", "A request's wait for its features.", REQUEST_BUCKETS
        )
        self._call_seconds = Histogram(
            "sluice_feature_store_duration_seconds", "One call of the feature store.", REQUEST_BUCKETS
        )
        registry.register(self)

    def close(self) -> None:
        """Tell nothing any more."""
        self._registry.unregister(self)

    def lookup(self, outcome: str, seconds: float) -> None:
        """Count one request's lookup."""
        _count(self._lookups, outcome)
        self._seconds.observe(seconds)

    def call(self, outcome: str, seconds: float) -> None:
        """Count one call of the store."""
        _count(self._calls, outcome)
        self._call_seconds.observe(seconds)

    def keys(self, source: str, count: int) -> None:
        """Count entities by where their features came from."""
        if count:
            _count(self._keys, source, by=count)

    def default(self, feature: str, reason: str, rows: int) -> None:
        """Count rows in which a value stands that is not the store's."""
        _count(self._defaults, feature, reason, by=rows)

    def collect(self) -> Iterator[Metric]:
        """All series, read by the registry when they are scraped."""
        yield self._family("sluice_feature_lookups", "Requests' lookups, by outcome.", ("outcome",), self._lookups)
        yield self._family("sluice_feature_store_calls", "Calls of the feature store.", ("outcome",), self._calls)
        yield self._family("sluice_feature_keys", "Entities looked up, by source.", ("source",), self._keys)
        yield self._family(
            "sluice_feature_defaults", "Rows with no value of the store's.", ("feature", "reason"), self._defaults
        )
        yield self._seconds.family(self._labels)
        yield self._call_seconds.family(self._labels)

    def _family(self, name: str, text: str, own: tuple[str, ...], counts: dict[tuple[str, ...], int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=(*self._labels, *own))
        for values, count in sorted(counts.items()):
            family.add_metric((*self._labels.values(), *values), count)
        return family


def _count(counts: dict[tuple[str, ...], int], *labels: str, by: int = 1) -> None:
    counts[labels] = counts.get(labels, 0) + by
