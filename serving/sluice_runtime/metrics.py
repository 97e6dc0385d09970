"""What the runtime counts and times. Label values are fixed at start, so that the set of series is bounded.

Counts are plain numbers and become Prometheus samples when they are scraped: the client library's own counters take a
lock for each event, which at thousands of requests a second costs as much as the validation of the requests.
docs/metrics.md lists the names.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from sluice_runtime.errors import Kind

LATENCY_BUCKETS = (
    *(0.0001, 0.00015, 0.0002, 0.0003, 0.0004, 0.0005, 0.00075),
    *(0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075),
    *(0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0),
)
"""Seconds."""

# The E12 series of preferred numbers (IEC 60063): twelve bounds a decade, each a fifth above the one before.
_E12 = (10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82)
REQUEST_BUCKETS = (
    *(float(f"{step}e{decade}") for decade in range(-5, 1) for step in _E12 if step <= 60 or decade < 0),
    60.0,
)
"""Seconds, from 100 us to a minute: so fine that a p99 half as high again, by which versions are compared, is told."""

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

_OF_THE_STORE = frozenset({Kind.FEATURES, Kind.STORE, Kind.STORE_DEADLINE})
_REJECTIONS = frozenset({Kind.TOO_LARGE, Kind.NOT_READY, Kind.OVERLOADED, Kind.DEADLINE}) | _OF_THE_STORE


class Histogram:
    """Counts of values by bucket; a bound belongs to the bucket below it, as Prometheus' `le` says."""

    def __init__(self, name: str, text: str, bounds: tuple[float, ...]) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value. To be called by one thread at a time."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, labels: dict[str, str]) -> Metric:
        """What Prometheus reads."""
        names = (*map(floatToGoString, self._bounds), "+Inf")
        family = HistogramMetricFamily(self._name, self._text, labels=tuple(labels))
        buckets = list(zip(names, map(float, accumulate(self._counts)), strict=True))
        family.add_metric(tuple(labels.values()), buckets, self._sum)
        return family


class Metrics(Collector):
    """The runtime's series for one model and revision."""

    def __init__(self, model: str, revision: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._labels = {"model": model, "revision": revision}
        self._requests: dict[int, int] = {}
        self._rejections: dict[str, int] = {}
        self._violations: dict[tuple[str, str, str], int] = {}
        self._load_seconds = 0.0
        self._in_flight: Callable[[], float] = lambda: 0
        self._connections: Callable[[], float] = lambda: 0
        self._request_seconds = Histogram("sluice_request_duration_seconds", "Whole request.", REQUEST_BUCKETS)
        self._queue_seconds = Histogram(
            "sluice_queue_duration_seconds", "Wait of a request for its run.", LATENCY_BUCKETS
        )
        self._run_seconds = Histogram("sluice_inference_duration_seconds", "One run of the graph.", LATENCY_BUCKETS)
        self._rows = Histogram("sluice_batch_size", "Rows in one run.", BATCH_BUCKETS)
        # Bound once: called for every request.
        self.observe_wait = self._queue_seconds.observe
        registry.register(self)

    def watch_in_flight(self, count: Callable[[], float]) -> None:
        """Read the number of requests in flight when metrics are scraped, so that a request pays nothing for it."""
        self._in_flight = count

    def watch_connections(self, count: Callable[[], float]) -> None:
        """Read the number of open connections when metrics are scraped."""
        self._connections = count

    def request(self, code: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests[code] = self._requests.get(code, 0) + 1
        self._request_seconds.observe(seconds)

    def rejection(self, kind: Kind) -> None:
        """Count a refusal by its reason; errors that are no refusals are not counted here."""
        if kind in _REJECTIONS:
            self.refused(kind.value)

    def refused(self, reason: str) -> None:
        """Count a refusal by its reason, one of few."""
        self._rejections[reason] = self._rejections.get(reason, 0) + 1

    def violated(self, variable: str, rule: str, action: str, values: int) -> None:
        """Count values that break a package's data contract; all three words are the package's and the runtime's."""
        key = variable, rule, action
        self._violations[key] = self._violations.get(key, 0) + values

    def loaded(self, seconds: float) -> None:
        """Note how long the model took to load and warm up."""
        self._load_seconds = seconds

    def observe_run(self, rows: int, seconds: float) -> None:
        """Count one run of the graph: its rows and its time."""
        self._rows.observe(rows)
        self._run_seconds.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """All series, read by the registry when they are scraped."""
        yield self._by_label("sluice_requests", "Inference requests by HTTP status.", "code", self._requests)
        yield self._by_label("sluice_rejections", "Requests refused, by reason.", "reason", self._rejections)
        yield self._violated()
        yield self._gauge("sluice_requests_in_flight", "Inference requests not yet answered.", self._in_flight())
        yield self._gauge("sluice_connections", "Open connections.", self._connections())
        yield self._gauge("sluice_model_load_seconds", "Time from start of loading to ready.", self._load_seconds)
        for histogram in (self._request_seconds, self._queue_seconds, self._run_seconds, self._rows):
            yield histogram.family(self._labels)

    def _by_label(self, name: str, text: str, label: str, counts: dict[int, int] | dict[str, int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=(*self._labels, label))
        for value, count in sorted(counts.items()):
            family.add_metric((*self._labels.values(), str(value)), count)
        return family

    def _violated(self) -> Metric:
        labels = (*self._labels, "variable", "rule", "action")
        text = "Values that break the package's data contract."
        family = CounterMetricFamily("sluice_contract_violations", text, labels=labels)
        for key, count in sorted(self._violations.items()):
            family.add_metric((*self._labels.values(), *key), count)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=tuple(self._labels))
        family.add_metric(tuple(self._labels.values()), value)
        return family
