"""What a router's Envoy says of itself on `/stats`, read once into plain values."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sluice_operator.planning.observed import Certificate

_FILES = ("cluster_manager.cds", "listener_manager.lds", "http.endpoint.rds.endpoint")
_CLUSTER_STAT = re.compile(
    r"cluster\.(?P<revision>[0-9a-f]+)\.(?P<stat>membership_healthy|upstream_rq_completed|upstream_rq_5xx)"
)
_GRPC_STAT = re.compile(
    r"cluster\.(?P<revision>[0-9a-f]+)-grpc\.(?P<stat>membership_healthy|upstream_rq_completed|grpc\.(2|4|13|14|15))"
)
"""Of gRPC's statuses those that REST answers with 5xx: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
To HTTP each of them is a 200; what Envoy answers itself has one of them too."""
_EXPIRY = re.compile(r"listener\..*\.ssl\.certificate\.endpoint\.expiration_unix_time_seconds")
_REFUSED = "sds.endpoint.key_rotation_failed"
MEMBERS = "membership_healthy"
REQUESTS = "upstream_rq_completed"
ERRORS = "upstream_rq_5xx"
"""Envoy charges both once for each request, with the status that the caller got: attempts that were retried are
charged under `retry.` instead, and what Envoy answers itself for a cluster (no healthy upstream, reset, overflow) is
charged like an answer. `upstream_rq_total` would count attempts. A caller that hangs up is charged nowhere."""


@dataclass(frozen=True)
class RouterStats:
    """`version` is None unless clusters, listener and routes all come from the same configuration. `uptime` is in
    seconds. `clusters` holds numbers by revision and stat. `certificate`: what TLS is served with, None without.
    `refused`: one of the three goes on as before, and something was refused since the start.
    """

    version: str | None
    uptime: float
    clusters: Mapping[str, Mapping[str, float]]
    certificate: Certificate | None = None
    refused: bool = False

    def healthy(self, revisions: Iterable[str]) -> dict[str, int]:
        """Members in use, of the revisions that this router knows."""
        known = {revision: self.clusters.get(revision, {}) for revision in revisions}
        return {name: int(stats[MEMBERS]) for name, stats in known.items() if MEMBERS in stats}

    def answers(self) -> dict[str, dict[str, float]]:
        """Requests and errors by revision. Envoy shows a status class only after the first such answer."""
        return {
            revision: {name: stats.get(name, 0.0) for name in (REQUESTS, ERRORS)}
            for revision, stats in self.clusters.items()
        }


def parse(text: str) -> RouterStats:
    """Parse `name: value` lines; raises ValueError where a needed line is missing or malformed."""
    lines = dict(line.split(": ", 1) for line in text.splitlines() if line)
    if "server.uptime" not in lines:
        raise ValueError("these are not the stats of a router: server.uptime is missing")
    version = _version(lines)
    refused = version is None and any(lines.get(f"{name}.update_rejected", "0") != "0" for name in _FILES)
    return RouterStats(version, float(lines["server.uptime"]), _clusters(lines), _certificate(lines), refused)


def _certificate(lines: Mapping[str, str]) -> Certificate | None:
    expiry = next((float(value) for name, value in lines.items() if _EXPIRY.fullmatch(name)), None)
    return None if expiry is None else Certificate(expiry, int(lines.get(_REFUSED, "0")))


def _version(lines: Mapping[str, str]) -> str | None:
    found = {lines.get(f"{name}.version_text", "").strip('"') for name in _FILES}
    return found.pop() or None if len(found) == 1 else None


def _clusters(lines: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """A revision's numbers over both protocols: answers are added up, and a member has to be one for both."""
    clusters: dict[str, dict[str, float]] = {}
    for name, value in lines.items():
        if match := _CLUSTER_STAT.fullmatch(name) or _GRPC_STAT.fullmatch(name):
            _join(clusters.setdefault(match["revision"], {}), match["stat"], float(value))
    return clusters


def _join(stats: dict[str, float], name: str, value: float) -> None:
    if name == MEMBERS:
        stats[name] = min(stats.get(name, value), value)
    else:
        name = ERRORS if name.startswith("grpc.") else name
        stats[name] = stats.get(name, 0.0) + value
