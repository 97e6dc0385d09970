"""One ModelDeployment as a person wants to see it, as plain values: what is drawn, and what `--output json` prints.

Pure: objects as the API server gives them go in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from sluice_operator.api.names import REVISION
from sluice_operator.api.rollout import Rollout
from sluice_operator.api.status import ModelDeploymentStatus, Phase, RevisionStatus
from sluice_operator.cli.rates import Rate
from sluice_operator.planning.clock import seconds_since
from sluice_operator.planning.comparing import sentence
from sluice_operator.planning.headline import headline

Json = Mapping[str, Any]

EVENTS_SHOWN = 8


def picture(
    found: Json, pods: Sequence[Json], events: Sequence[Json], rates: Mapping[str, Rate], now: datetime
) -> dict[str, Any]:
    """Everything that is shown; times in seconds, latencies in seconds, shares as fractions or percent as named."""
    status = ModelDeploymentStatus.model_validate(found.get("status") or {})
    rollout = (found.get("spec") or {}).get("rollout") or {}
    return {
        "name": found["metadata"]["name"],
        "namespace": found["metadata"]["namespace"],
        "uri": found["spec"]["model"]["uri"],
        "reference": _reference(found["spec"]["model"]["uri"], status),
        "url": status.url,
        **headline(status, found["metadata"].get("generation", 0))._asdict(),
        "steps": steps(_walk(rollout), status, now),
        "weight": _weight(status),
        "pause": status.rollout.pause.to_json() if status.rollout and status.rollout.pause else None,
        "features": status.features.to_json() if status.features else None,
        "revisions": revisions(status, pods, rates),
        "analysis": _analysis(rollout, status),
        "comparison": _comparison(status),
        "conditions": [condition.to_json() for condition in status.conditions],
        "requests": [request.to_json() for request in status.requests],
        "history": history(status),
        "events": [_event(event) for event in events[-EVENTS_SHOWN:]],
    }


def _reference(asked: str, status: ModelDeploymentStatus) -> dict[str, Any] | None:
    """What the tag, branch or alias in the spec stands for, and how the last look at it went."""
    resolved, poll = status.resolved, status.poll
    if resolved is None or resolved.reference != asked:
        return None
    looked = poll.started_at if poll else resolved.at
    return {"uri": resolved.uri, "version": resolved.version, "at": looked, "failure": poll.message if poll else ""}


def _walk(rollout: Json) -> list[dict[str, Any]]:
    """The steps as the operator walks them, which a strategy may stand for."""
    try:
        return [step.to_json() for step in Rollout.model_validate(rollout).steps]
    except ValidationError:
        # A definition newer than this command: what is written is shown.
        return list(rollout.get("steps") or [])


def steps(spec: Sequence[Json], status: ModelDeploymentStatus, now: datetime) -> list[dict[str, Any]]:
    """The walk: each step with its state (done, now, next), and the last 100 percent."""
    rollout = status.rollout
    at = rollout.step if rollout and rollout.phase is not Phase.rolling_back and status.stable else None
    walk = [*spec, {"weight": 100}]
    if rollout and rollout.skip_steps:
        walk, at = walk[-1:], 0
    return [_step(index, step, at, status, now) for index, step in enumerate(walk)]


def _step(index: int, step: Json, at: int | None, status: ModelDeploymentStatus, now: datetime) -> dict[str, Any]:
    state = "next" if at is None or index > at else "done" if index < at else "now"
    held = status.rollout.hold_started_at if status.rollout and state == "now" else None
    return {
        "weight": step["weight"],
        "hold": step.get("hold", "0s"),
        "pause": step.get("pause", False),
        "state": state,
        "heldSeconds": round(seconds_since(held, now), 1) if held else None,
    }


def _weight(status: ModelDeploymentStatus) -> dict[str, int] | None:
    rollout = status.rollout
    return {"wanted": rollout.weight, "verified": rollout.verified_weight} if rollout else None


def revisions(status: ModelDeploymentStatus, pods: Sequence[Json], rates: Mapping[str, Rate]) -> list[dict[str, Any]]:
    """Revisions with pods, the newest role first."""
    canary = status.rollout.weight if status.rollout else 0
    rows = []
    for role, live, weight in (("canary", status.canary, canary), ("stable", status.stable, 100 - canary)):
        if live:
            rows.append(_revision(role, live, weight, pods, rates))
    named = {row["revision"] for row in rows}
    for drained in status.draining:
        if drained.revision not in named:
            bare = RevisionStatus(revision=drained.revision, spec_hash="", uri="")
            rows.append(_revision("draining", bare, 0, pods, rates))
    return rows


def _revision(
    role: str, live: RevisionStatus, weight: int, pods: Sequence[Json], rates: Mapping[str, Rate]
) -> dict[str, Any]:
    own = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(REVISION) == live.revision]
    rate = rates.get(live.revision)
    return {
        "revision": live.revision,
        "role": role,
        "weight": weight,
        "uri": live.uri,
        "reference": live.reference,
        "digest": live.digest,
        "modelVersion": live.model_version,
        "card": live.card or {},
        "replicas": live.replicas,
        "readyReplicas": live.ready_replicas,
        "pods": [_pod(pod) for pod in own],
        "measured": asdict(rate) if rate else None,
    }


def _pod(pod: Json) -> dict[str, Any]:
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    waiting = [((container.get("state") or {}).get("waiting") or {}).get("reason") for container in containers]
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])
    leaving = bool(pod["metadata"].get("deletionTimestamp"))
    return {
        "name": pod["metadata"]["name"],
        "ready": ready and not leaving,
        "state": "Terminating" if leaving else next((why for why in waiting if why), status.get("phase", "Unknown")),
        "restarts": sum(container.get("restartCount", 0) for container in containers),
        "since": pod["metadata"].get("creationTimestamp", ""),
    }


def _analysis(rollout: Json, status: ModelDeploymentStatus) -> dict[str, Any] | None:
    if not status.rollout or not rollout.get("analysis"):
        return None
    limit = rollout["analysis"].get("failureLimit")
    return {**status.rollout.analysis.to_json(), "failureLimit": limit}


def _comparison(status: ModelDeploymentStatus) -> dict[str, Any] | None:
    told = status.rollout.comparison if status.rollout else None
    return {**told.to_json(), "message": sentence(told)} if told else None


def history(status: ModelDeploymentStatus) -> list[dict[str, Any]]:
    """Former rollouts, newest first."""
    stable = status.stable.revision if status.stable else ""
    return [{**entry.to_json(), "stable": entry.revision == stable} for entry in status.history]


def _event(event: Json) -> dict[str, Any]:
    series = event.get("series") or {}
    at = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""
    told = {"time": at, "type": event.get("type", ""), "reason": event.get("reason", "")}
    return {**told, "message": event.get("message") or event.get("note") or ""}
