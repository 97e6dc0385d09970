"""From raw objects in the cache to what planning reads. Pure, so that every shape Kubernetes gives can be a test."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sluice.failures import Resolved, parse_termination
from sluice_operator.api import names
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.cluster import problems
from sluice_operator.cluster.cache import Cache, Key
from sluice_operator.cluster.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    CRON_JOB,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    JOB,
    POD,
    ROUTES,
)
from sluice_operator.planning.observed import (
    Autoscaler,
    Materialization,
    Problem,
    Resolver,
    RevisionRecord,
    Run,
    Workload,
)

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

_RECORD = TypeAdapter(RevisionRecord)
_WEIGHTS = TypeAdapter(dict[str, int])


@dataclass(frozen=True)
class Seen:
    """Raw objects of one ModelDeployment, and what events told about those that do not get on (by uid)."""

    deployments: Sequence[Json]
    autoscalers: Sequence[Json]
    records: Sequence[Json]
    jobs: Sequence[Json]
    cron_jobs: Sequence[Json]
    pods: Sequence[Json]
    router_config: Json | None
    routes: Sequence[Json]
    slices: Sequence[Json]
    warnings: Mapping[str, str]


def gather(cache: Cache, key: Key, warnings: Mapping[str, str]) -> Seen:
    """Everything the cache holds of a ModelDeployment's children."""
    return Seen(
        deployments=cache.owned(DEPLOYMENT, key),
        autoscalers=cache.owned(AUTOSCALER, key),
        records=cache.owned(CONTROLLER_REVISION, key),
        jobs=cache.owned(JOB, key),
        cron_jobs=cache.owned(CRON_JOB, key),
        pods=cache.owned(POD, key),
        router_config=cache.get(CONFIG_MAP, key.namespace, names.router(key.name)),
        routes=[route for kind in ROUTES for route in cache.owned(kind, key)],
        slices=cache.owned(ENDPOINT_SLICE, key),
        warnings=warnings,
    )


def silent(cache: Cache, key: Key, now: datetime) -> list[Json]:
    """Objects that do not get on without saying why: stuck pods, and jobs that have no pod."""
    pods = cache.owned(POD, key)
    stuck = [pod for pod in pods if problems.stuck(pod, now)]
    jobs = [job for job in cache.owned(JOB, key) if _podless(job, pods, now)]
    return [*stuck, *jobs]


def records(seen: Seen) -> dict[str, RevisionRecord]:
    """Revisions by hash. One that does not parse is left out with an error in the log, never guessed."""
    found = {}
    for obj in seen.records:
        try:
            record = _RECORD.validate_python(obj.get("data"))
        except ValidationError as error:
            log.error("ControllerRevision %s is no revision: %s", obj["metadata"]["name"], error)
            continue
        found[record.revision] = record
    return found


def workloads(seen: Seen) -> dict[str, Workload]:
    """Model pods by revision."""
    model = [obj for obj in seen.deployments if label(obj, names.COMPONENT) == "model"]
    return {revision: _workload(seen, revision, obj) for obj in model if (revision := label(obj, names.REVISION))}


def _workload(seen: Seen, revision: str, deployment: Json) -> Workload:
    status = deployment.get("status") or {}
    pods = [pod for pod in seen.pods if label(pod, names.REVISION) == revision]
    name = deployment["metadata"]["name"]
    word = next((word for pod in pods if (word := _resolved(pod))), None)
    autoscaler = next((obj for obj in seen.autoscalers if obj["metadata"]["name"] == name), None)
    return Workload(
        wanted=int(deployment["spec"].get("replicas", 1)),
        ready=int(status.get("readyReplicas", 0)),
        available=int(status.get("availableReplicas", 0)),
        problem=problems.workload_problem(pods, deployment, seen.warnings),
        autoscaler=_autoscaler(autoscaler) if autoscaler else None,
        model_version=word.version if word else "",
        card=word.card if word else {},
    )


def _autoscaler(hpa: Json) -> Autoscaler:
    status = hpa.get("status") or {}
    active = problems.condition(status, "ScalingActive")
    known = active is not None and active["status"] != "Unknown"
    return Autoscaler(
        desired=int(status.get("desiredReplicas", 0)),
        active=active["status"] == "True" if active is not None and known else None,
        reason=(active or {}).get("reason", ""),
        message=(active or {}).get("message", ""),
    )


def router_deployment(seen: Seen) -> Json | None:
    """The Deployment of the router."""
    return next((obj for obj in seen.deployments if label(obj, names.COMPONENT) == "router"), None)


def router_pods(seen: Seen) -> list[Json]:
    """Router pods that are not going away."""
    return [pod for pod in seen.pods if label(pod, names.COMPONENT) == "router" and not problems.leaving(pod)]


def router_ips(seen: Seen) -> list[str]:
    """Addresses of the routers that serve."""
    return [ip(pod) for pod in router_pods(seen) if problems.ready(pod) and ip(pod)]


def routers_asked(resource: ModelDeployment, seen: Seen) -> list[str] | None:
    """Addresses of the routers that count what they answered; None where a gateway routes, which counts for others."""
    return None if resource.spec.router.gateway else router_ips(seen)


def model_ips(seen: Seen, revision: str) -> list[str]:
    """Addresses of a revision's pods that serve."""
    pods = [pod for pod in seen.pods if label(pod, names.REVISION) == revision]
    return [ip(pod) for pod in pods if problems.ready(pod) and not problems.leaving(pod) and ip(pod)]


def router_problem(seen: Seen) -> Problem | None:
    """Why router pods do not get on."""
    return problems.workload_problem(router_pods(seen), router_deployment(seen), seen.warnings)


def weights(seen: Seen) -> dict[str, int]:
    """The weights that were decided last, by revision: an annotation of the router's ConfigMap or of a route."""
    held = (obj for obj in (seen.router_config, *seen.routes) if obj is not None)
    texts = ((obj["metadata"].get("annotations") or {}).get(names.WEIGHTS) for obj in held)
    text = next((text for text in texts if text is not None), None)
    if text is None:
        return {}
    try:
        return _WEIGHTS.validate_json(text)
    except ValidationError as error:
        log.error("annotation %s of what routes is no weights: %s", names.WEIGHTS, error)
        return {}


def resolvers(seen: Seen) -> dict[str, Resolver]:
    """Resolver jobs by the hash of what they resolve."""
    found = [job for job in seen.jobs if label(job, names.COMPONENT) != "features"]
    return {job["metadata"]["name"].rpartition("-")[2]: _resolver(job, seen) for job in found}


def _resolver(job: Json, seen: Seen) -> Resolver:
    pods, since = _pods_of(job, seen.pods), job["metadata"]["creationTimestamp"]
    if word := next((word for pod in pods if (word := _resolved(pod))), None):
        return Resolver("Succeeded", word.digest, since=since, version=word.version, uri=word.uri)
    problem = _problem(job, pods, seen)
    if (ended := _ended(job, pods)) is not None:
        return Resolver("Failed", problem=problem or _without_word("resolver", ended), since=since)
    return Resolver("Running", problem=problem, since=since)


def _problem(job: Json, pods: Sequence[Json], seen: Seen) -> Problem | None:
    """What keeps a job's pods from getting on, or their last words."""
    found = [p for pod in pods if (p := problems.pod_problem(pod, seen.warnings))]
    if refused := seen.warnings.get(job["metadata"]["uid"]):
        found.append(problems.refusal(refused))
    return problems.most_telling(found)


def _ended(job: Json, pods: Sequence[Json]) -> Json | None:
    """The condition that says that a job is over; None while it runs, or its pods' last words are still to come."""
    status = job.get("status") or {}
    for kind in ("Failed", "FailureTarget", "Complete"):
        ended = problems.condition(status, kind)
        if ended is not None and ended["status"] == "True" and not any(_speaks_yet(pod) for pod in pods):
            return ended
    return None


def materialization(seen: Seen) -> Materialization:
    """The job that fills the feature store: when it was due, and how it went."""
    runs = [_run(job, seen) for job in seen.jobs if label(job, names.COMPONENT) == "features"]
    due = [str((cron.get("status") or {}).get("lastScheduleTime") or "") for cron in seen.cron_jobs]
    return Materialization(max(due, default=""), tuple(sorted(runs, key=lambda run: (run.since, run.name))))


def _run(job: Json, seen: Seen) -> Run:
    name, since = job["metadata"]["name"], job["metadata"]["creationTimestamp"]
    tried = sorted(_pods_of(job, seen.pods), key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    # A pod that was tried again is no trouble any more: the newest tells.
    problem = _problem(job, tried[-1:], seen)
    ended = _ended(job, tried)
    if ended is None or ended["type"] == "FailureTarget":
        return Run(name, "Running", since, problem=problem)
    at = str(ended.get("lastTransitionTime") or since)
    if ended["type"] == "Complete":
        return Run(name, "Succeeded", since, at)
    return Run(name, "Failed", since, at, problem or _without_word("job", ended))


def _speaks_yet(pod: Json) -> bool:
    """Whether the pod's last word is still to come: jobs and pods are watched apart, and one may be ahead."""
    ended = any((container.get("state") or {}).get("terminated") for container in problems.containers(pod))
    return not ended and not problems.leaving(pod)


def _without_word(what: str, ended: Json) -> Problem:
    """A job that ended and left nothing to read, because its pod is gone or was killed."""
    message = ended.get("message") or "its pod is gone before its result was read"
    return Problem(f"{what.capitalize()}Failed", f"the {what} ended ({ended['type']}): {message}")


def _resolved(pod: Json) -> Resolved | None:
    """What the step that fetched the package found."""
    for container in problems.containers(pod):
        ended = (container.get("state") or {}).get("terminated") or {}
        word = parse_termination(ended.get("message") or "")
        if ended.get("exitCode") == 0 and isinstance(word, Resolved):
            return word
    return None


def _pods_of(job: Json, pods: Sequence[Json]) -> list[Json]:
    uid = job["metadata"]["uid"]
    return [pod for pod in pods if any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences") or [])]


def _podless(job: Json, pods: Sequence[Json], now: datetime) -> bool:
    created = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
    ended = bool((job.get("status") or {}).get("conditions"))
    waited = (now - created).total_seconds() > problems.STUCK_SECONDS
    return waited and not ended and not _pods_of(job, pods)


def label(obj: Json, name: str) -> str:
    """A label's value, empty where it is missing."""
    return str((obj["metadata"].get("labels") or {}).get(name, ""))


def ip(pod: Json) -> str:
    """A pod's address, empty before it has one."""
    return str((pod.get("status") or {}).get("podIP", ""))


def config_version(pod: Json) -> str:
    """The version of the configuration a router pod was told last."""
    return str((pod["metadata"].get("annotations") or {}).get(names.CONFIG_VERSION, ""))
