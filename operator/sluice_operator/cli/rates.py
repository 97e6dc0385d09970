"""What each revision answers right now, measured from the pods' own metrics: needs neither Prometheus nor operator.

Pods are read through the API server's pod proxy, so that rights on the cluster are all that is needed.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sluice_operator.api.names import REVISION
from sluice_operator.cli.connection import Connection, Json
from sluice_operator.cluster import prometheus_text
from sluice_operator.cluster.increments import Increments
from sluice_operator.cluster.router_stats import ERRORS
from sluice_operator.planning.histograms import quantile
from sluice_operator.planning.workloads import PORT

PODS_ASKED = 50
"""More pods than that are not asked: a picture for a person is no load test of the API server."""
WINDOW_SECONDS = 10.0


@dataclass(frozen=True)
class Rate:
    """Answers a second, the fraction of them with a 5xx, and latency in seconds; None without an answer."""

    requests: float
    error_rate: float | None = None
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class _Look:
    """What happened between two looks, by revision."""

    at: float
    seconds: float
    errors: Mapping[str, float]
    latency: Mapping[str, Mapping[float, float]]


class Meter:
    """Rates over the last seconds, from looks at ever the same pods."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last: float | None = None
        self._errors: Increments[str] = Increments(0.0)
        self._latency: Increments[float] = Increments(0.0)
        self._looks: deque[_Look] = deque()

    def look(self, pods: Iterable[Json], at: float) -> dict[str, Rate]:
        """Rates by revision as of Unix time `at`; empty at the first look and where no pod may be asked."""
        running = {pod["metadata"]["name"]: _revision(pod) for pod in pods if _answers(pod)}
        names = sorted(running)[:PODS_ASKED]
        with ThreadPoolExecutor(max_workers=8) as pool:
            texts = pool.map(lambda name: self._connection.pod_metrics(name, PORT), names)
            said = {name: text for name, text in zip(names, texts, strict=True) if text}
        for name, text in said.items():
            self._add(name, running[name], text)
        self._close_look({running[name] for name in said}, at)
        return {revision: self._rate(revision) for revision in {running[name] for name in said}} if self._looks else {}

    def _add(self, pod: str, revision: str, text: str) -> None:
        try:
            stats = prometheus_text.parse(text)
        except ValueError:
            return
        self._errors.add(pod, {revision: {ERRORS: stats.errors}}, stats.started_at)
        self._latency.add(pod, {revision: stats.latency}, stats.started_at)

    def _close_look(self, revisions: set[str], at: float) -> None:
        if self._last is not None and revisions:
            errors = {revision: self._errors.sums(revision).get(ERRORS, 0.0) for revision in revisions}
            latency = {revision: self._latency.sums(revision) for revision in revisions}
            self._looks.append(_Look(at, at - self._last, errors, latency))
        while self._looks and at - self._looks[0].at > WINDOW_SECONDS:
            self._looks.popleft()
        self._last = at
        self._errors.reopen(at)
        self._latency.reopen(at)

    def _rate(self, revision: str) -> Rate:
        seconds = sum(look.seconds for look in self._looks)
        errors = sum(look.errors.get(revision, 0.0) for look in self._looks)
        latency: dict[float, float] = {}
        for look in self._looks:
            for bound, count in look.latency.get(revision, {}).items():
                latency[bound] = latency.get(bound, 0.0) + count
        answered = max(latency.values(), default=0.0)
        if not answered or not seconds:
            return Rate(0.0)
        return Rate(answered / seconds, min(1.0, errors / answered), quantile(0.5, latency), quantile(0.99, latency))


def _revision(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(REVISION, ""))


def _answers(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
