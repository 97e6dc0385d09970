"""What is read of a runtime's `/metrics`: its latency histogram, its failures, and when its process started."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_BUCKET = "sluice_request_duration_seconds_bucket"
_ANSWERS = "sluice_requests_total"
_STARTED = "process_start_time_seconds"


@dataclass(frozen=True)
class RuntimeStats:
    """`latency`: upper bound in seconds (inf last) -> cumulative count. `errors`: requests answered with a 5xx, or over
    gRPC with a status of that meaning. `started_at`: Unix time, None where unknown.
    """

    latency: Mapping[float, float]
    started_at: float | None
    errors: float = 0.0


def parse(text: str) -> RuntimeStats:
    """Parse the Prometheus text format; raises ValueError where it is malformed or has no latency histogram."""
    latency: dict[float, float] = {}
    started_at, errors = None, 0.0
    for sample in _samples(text):
        if sample.name == _STARTED:
            started_at = sample.value
        elif sample.name == _ANSWERS:
            errors += sample.value if sample.labels["code"].startswith("5") else 0.0
        else:
            bound = float(sample.labels["le"])
            latency[bound] = latency.get(bound, 0.0) + sample.value
    return RuntimeStats(dict(sorted(latency.items())), started_at, errors)


def _samples(text: str) -> Iterator[Sample]:
    """Only wanted lines are parsed: the library takes tens of microseconds for each."""
    wanted = "\n".join(line for line in text.splitlines() if line.startswith((_BUCKET, _ANSWERS, _STARTED)))
    for family in text_string_to_metric_families(wanted + "\n"):
        yield from family.samples
