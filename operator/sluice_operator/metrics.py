"""The operator's own numbers. The writes counter is the proof that a resource at rest causes no writes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

RECONCILES = Counter(
    "sluice_operator_reconciles",
    "Reconcile passes by result: success, requeue (called again at its own wish), conflict, error.",
    ["result"],
    registry=REGISTRY,
)
RECONCILE_SECONDS = Histogram(
    "sluice_operator_reconcile_duration_seconds",
    "Duration of a reconcile pass.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
LEADER = Gauge(
    "sluice_operator_leader", "1 while this operator is the one that acts, 0 while it stands by.", registry=REGISTRY
)
QUEUE_DEPTH = Gauge("sluice_operator_queue_depth", "Keys waiting for a reconcile.", registry=REGISTRY)
QUEUE_LAG = Histogram(
    "sluice_operator_queue_lag_seconds",
    "Time a key waited from being due to the start of its reconcile.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
API_WRITES = Counter(
    "sluice_operator_api_writes", "Writing requests to the API server.", ["verb", "kind"], registry=REGISTRY
)
API_ERRORS = Counter("sluice_operator_api_errors", "Requests that failed, by HTTP status.", ["code"], registry=REGISTRY)
CACHED = Gauge("sluice_operator_cached_objects", "Objects in the cache.", ["kind"], registry=REGISTRY)
GHOSTS = Counter(
    "sluice_operator_cache_ghosts",
    "Cached objects found deleted by a listing, because the watch was away when they went.",
    ["kind"],
    registry=REGISTRY,
)
