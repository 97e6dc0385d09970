"""What is read of a runtime's `/metrics`: its latency histogram, its failures, how it fared with the feature store, and
when its process started.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_BUCKET = "sluice_request_duration_seconds_bucket"
_ANSWERS = "sluice_requests_total"
_REFUSALS = "sluice_rejections_total"
_CALLS = "sluice_feature_store_calls_total"
_LOOKUPS = "sluice_feature_lookups_total"
_DEFAULTS = "sluice_feature_defaults_total"
_STARTED = "process_start_time_seconds"
_WANTED = (_BUCKET, _ANSWERS, _REFUSALS, _CALLS, _LOOKUPS, _DEFAULTS, _STARTED)

REFUSED, ANSWERED, LOST, USELESS = "refused", "answered", "lost", "useless"
NOTED, FILLED = "noted", "filled"
_REASONS = frozenset({"feature_store", "feature_store_deadline"})
"""Of refusals for want of the feature store's answer."""
_OUTCOMES = {"answered": ANSWERED, "timeout": LOST, "unreachable": LOST, "broken": LOST, "away": LOST}
"""Of a call of the feature store; what is none of these is of no use."""


@dataclass(frozen=True)
class RuntimeStats:
    """`latency`: upper bound in seconds (inf last) -> cumulative count. `errors`: requests answered with a 5xx, or over
    gRPC with a status of that meaning. `started_at`: Unix time, None where unknown. `store`: requests that were refused
    for want of the feature store's answer, and calls of it by what came of them; requests whose answers name values
    that are not the store's, and rows that were filled in for want of its answer.
    """

    latency: Mapping[float, float]
    started_at: float | None
    errors: float = 0.0
    store: Mapping[str, float] = field(default_factory=dict)


def parse(text: str) -> RuntimeStats:
    """Parse the Prometheus text format; raises ValueError where it is malformed or has no latency histogram."""
    latency: dict[float, float] = {}
    store: dict[str, float] = defaultdict(float)
    started_at, errors = None, 0.0
    for sample in _samples(text):
        if sample.name == _STARTED:
            started_at = sample.value
        elif sample.name == _ANSWERS:
            errors += sample.value if sample.labels["code"].startswith("5") else 0.0
        elif sample.name == _DEFAULTS:
            # A row that lacks several features is counted for each of them.
            store[FILLED] = max(store[FILLED], sample.value)
        elif sample.name == _BUCKET:
            bound = float(sample.labels["le"])
            latency[bound] = latency.get(bound, 0.0) + sample.value
        elif (name := _of_the_store(sample)) is not None:
            store[name] += sample.value
    return RuntimeStats(dict(sorted(latency.items())), started_at, errors, dict(store))


def _of_the_store(sample: Sample) -> str | None:
    if sample.name == _REFUSALS:
        return REFUSED if sample.labels["reason"] in _REASONS else None
    if sample.name == _LOOKUPS:
        return NOTED if sample.labels["outcome"] == "noted" else None
    return _OUTCOMES.get(sample.labels["outcome"], USELESS)


def _samples(text: str) -> Iterator[Sample]:
    """Only wanted lines are parsed: the library takes tens of microseconds for each."""
    wanted = "\n".join(line for line in text.splitlines() if line.startswith(_WANTED) and _is_read(line))
    for family in text_string_to_metric_families(wanted + "\n"):
        yield from family.samples


def _is_read(line: str) -> bool:
    return not line.startswith(_DEFAULTS) or 'reason="outage"' in line
