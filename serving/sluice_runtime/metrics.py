"""What the runtime counts and times. Label values are fixed at start, so that the set of series is bounded."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from sluice_runtime.errors import Kind

LATENCY_BUCKETS = (
    *(0.0001, 0.00015, 0.0002, 0.0003, 0.0004, 0.0005, 0.00075),
    *(0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075),
    *(0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0),
)
"""Seconds. Dense below 100 ms, where the p99 of two revisions is compared."""

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

_REJECTIONS = frozenset({Kind.TOO_LARGE, Kind.NOT_READY, Kind.OVERLOADED, Kind.DEADLINE})


class Metrics:
    """The runtime's series for one model and revision; children are looked up once, not per request."""

    def __init__(self, model: str, revision: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._names = {"model": model, "revision": revision}
        labels = tuple(self._names)
        self._requests = Counter(
            "sluice_requests", "Inference requests by HTTP status.", (*labels, "code"), registry=registry
        )
        self._rejections = Counter(
            "sluice_rejections", "Requests refused, by reason.", (*labels, "reason"), registry=registry
        )
        self._in_flight = Gauge(
            "sluice_requests_in_flight", "Inference requests not yet answered.", labels, registry=registry
        )
        self._load = Gauge(
            "sluice_model_load_seconds", "Time from start of loading to ready.", labels, registry=registry
        )
        self._request_seconds = self._histogram("sluice_request_duration_seconds", "Whole request.", registry)
        self._run_seconds = self._histogram("sluice_inference_duration_seconds", "One run of the graph.", registry)
        self._rows = Histogram(
            "sluice_batch_size", "Rows in one run.", labels, buckets=BATCH_BUCKETS, registry=registry
        ).labels(**self._names)
        self._codes: dict[int, Counter] = {}

    def watch_in_flight(self, count: Callable[[], float]) -> None:
        """Read the number of requests in flight when metrics are scraped, so that a request pays nothing for it."""
        self._in_flight.labels(**self._names).set_function(count)

    def request(self, code: int, seconds: float) -> None:
        """Count one answered request."""
        counter = self._codes.get(code)
        if counter is None:
            counter = self._codes[code] = self._requests.labels(**self._names, code=str(code))
        counter.inc()
        self._request_seconds.observe(seconds)

    def rejection(self, kind: Kind) -> None:
        """Count a refusal by its reason; errors that are no refusals are not counted here."""
        if kind in _REJECTIONS:
            self._rejections.labels(**self._names, reason=kind.value).inc()

    def loaded(self, seconds: float) -> None:
        """Note how long the model took to load and warm up."""
        self._load.labels(**self._names).set(seconds)

    def observe_run(self, rows: int, seconds: float) -> None:
        """Count one run of the graph: its rows and its time."""
        self._rows.observe(rows)
        self._run_seconds.observe(seconds)

    def _histogram(self, name: str, text: str, registry: CollectorRegistry) -> Histogram:
        histogram = Histogram(name, text, tuple(self._names), buckets=LATENCY_BUCKETS, registry=registry)
        return histogram.labels(**self._names)
