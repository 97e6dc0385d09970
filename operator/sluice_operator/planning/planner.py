"""One pass of thought: from what is wanted and what is seen to everything that should be written.

`plan` reads as the operator's table of contents: which revision is wanted, one decision about the rollout, what status
says of it, which objects must exist for it, when to look again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sluice.uri import parse_uri
from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.runtime import Accelerator
from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import (
    Draining,
    Failure,
    ModelDeploymentStatus,
    Phase,
    RevisionStatus,
)
from sluice_operator.planning import (
    accelerators,
    capacity,
    conditions,
    events,
    gateways,
    materialization,
    pod_template,
    policy,
    polling,
    requests,
    resolver,
    rollout,
    workloads,
)
from sluice_operator.planning.adopt import adopt
from sluice_operator.planning.clock import seconds_since
from sluice_operator.planning.identity import Defaults, Target, find_target
from sluice_operator.planning.observed import Observed, RevisionRecord
from sluice_operator.planning.plan import Plan
from sluice_operator.planning.policy import NO_DEMANDS, Policy
from sluice_operator.planning.situation import Situation, copies, load, next_weight
from sluice_operator.planning.traffic import live_revisions, preview_url, wanted_traffic
from sluice_operator.planning.waking import requeue_after
from sluice_operator.routing.backends import backend_of
from sluice_operator.routing.base import Authorizer, Tracing, Traffic
from sluice_operator.scaling import hpa


@dataclass(frozen=True)
class Images:
    """Default images: `runtime` (or, with an NVIDIA GPU, `runtime_gpu`; empty where there is none) for new revisions,
    `router` for every router, `tools` (empty where there is none) for jobs that fill feature stores. `pull_secrets` are
    Secrets of the models' namespaces with which all of them are pulled.
    """

    runtime: str
    router: str
    runtime_gpu: str = ""
    tools: str = ""
    pull_secrets: tuple[str, ...] = ()

    def runtime_for(self, accelerator: Accelerator) -> str:
        """The image of model pods whose spec names none."""
        return self.runtime_gpu if accelerator is Accelerator.nvidia else self.runtime


def plan(
    resource: ModelDeployment,
    observed: Observed,
    now: datetime,
    images: Images,
    refusal: Failure | None = None,
    *,
    tracing: Tracing | None = None,
    authorizer: Authorizer | None = None,
    demands: Policy = NO_DEMANDS,
) -> Plan:
    """The plan of one pass. `refusal` is the API server's word that the pods wanted cannot be had; `tracing` is for
    every router, `authorizer` for those that are to know whether a caller may ask; `demands` are of every new revision.
    """
    image = images.runtime_for(resource.spec.runtime.accelerator)
    defaults = Defaults(image, images.pull_secrets, policy.signature(demands))
    reason = refusal or accelerators.refusal(resource, image) or gateways.refusal(resource, observed)
    wanted = find_target(resource, observed, defaults)
    target = refuse(wanted, resource, reason or policy.refusal(resource, wanted, observed, demands))
    situation = look(resource, target, observed, now, tracing=tracing, authorizer=authorizer)
    situation = replace(situation, has_tools=bool(images.tools))
    progress = decide(situation)
    after = replace(situation, resource=replace(resource, status=progress))
    status = report(situation, after)
    decided = replace(after, resource=replace(resource, status=status))
    traffic = wanted_traffic(decided.resource, tracing, authorizer)
    return Plan(
        status=status,
        objects=wanted_objects(decided, traffic, images, defaults),
        scales=wanted_scales(decided),
        router_version=backend_of(resource).version(traffic),
        events=events.notes(resource.status, status),
        requeue_after=0.0 if progress != resource.status else requeue_after(decided),
        new_window=_opens_window(resource.status, status),
        dry_run=_newly_started(situation, decided),
        prune=_records_complete(decided) and not gateways.changing(situation),
    )


def refuse(target: Target, resource: ModelDeployment, refusal: Failure | None) -> Target:
    """The target, marked where it cannot be had."""
    reason = refusal or _template_refusal(resource) or _uri_refusal(resource)
    return replace(target, refusal=reason) if reason else target


def _template_refusal(resource: ModelDeployment) -> Failure | None:
    objection = pod_template.refusal(resource.spec.runtime.pod_template)
    return Failure(reason="PodTemplateRefused", message=objection) if objection else None


def _uri_refusal(resource: ModelDeployment) -> Failure | None:
    try:
        parse_uri(resource.spec.model.uri)
    except ValueError as error:
        return Failure(reason="InvalidUri", message=f"spec.model.uri: {error}")
    return None


def look(
    resource: ModelDeployment,
    target: Target,
    observed: Observed,
    now: datetime,
    *,
    tracing: Tracing | None,
    authorizer: Authorizer | None,
) -> Situation:
    """The situation, with the routers' reports held against what status asks of them."""
    version = backend_of(resource).version(wanted_traffic(resource, tracing, authorizer))
    routers = [pod for pod in observed.router.pods if pod.ready]
    verified = bool(routers) and all(pod.config_version == version for pod in routers)
    return Situation(resource, target, observed, verified, now, authorizer)


def decide(s: Situation) -> ModelDeploymentStatus:
    """Progress after this pass: at most one of these has something to decide."""
    for move in (adopt, requests.handle, _unblock, resolver.resolve, polling.follow, rollout.step, _end_drains):
        after = move(s)
        if after != s.status:
            return after
    return s.status


def _unblock(s: Situation) -> ModelDeploymentStatus:
    """A blocked spec stays so until it changes, or the reference in it stands for something else."""
    blocked = s.status.blocked
    changed = blocked is not None and blocked.spec_hash != s.target.spec_hash
    return s.update(blocked=None) if changed or polling.moved_since(s) else s.status


def _end_drains(s: Situation) -> ModelDeploymentStatus:
    delay = seconds(s.resource.spec.rollout.drain_delay)
    return s.update(draining=[entry for entry in s.status.draining if _still_draining(entry, delay, s.now)])


def _still_draining(entry: Draining, delay: float, now: datetime) -> bool:
    return entry.since is None or seconds_since(entry.since, now) < delay


def report(before: Situation, after: Situation) -> ModelDeploymentStatus:
    """Status as it is shown: progress, counts, conditions."""
    status = after.status
    pods = [after.observed.workloads[rev] for rev in live_revisions(status) if rev in after.observed.workloads]
    shown = status.model_copy(
        update={
            "observed_generation": after.resource.generation,
            "url": names.url(after.resource, names.endpoint(after.resource.name)),
            "preview_url": preview_url(after.resource),
            "selector": ",".join(f"{k}={v}" for k, v in names.labels(after.resource.name, "model").items()),
            "replicas": sum(workload.wanted for workload in pods),
            "ready_replicas": sum(workload.ready for workload in pods),
            "step": _step_shown(after),
            "stable": _counted(status.stable, after.observed),
            "canary": _counted(status.canary, after.observed),
            "features": materialization.told(after),
        }
    )
    view = conditions.View(before, shown)
    return shown.model_copy(
        update={"conditions": conditions.all_conditions(view), "reason": conditions.printed_reason(view)}
    )


def _step_shown(s: Situation) -> str:
    steps = len(s.resource.spec.rollout.steps)
    under_way = s.status.rollout and s.status.stable and not s.status.rollout.skip_steps
    begun = 0 if under_way and copies(s.resource) else 1
    return f"{min(s.rollout.step + begun, steps)}/{steps}" if under_way and steps else ""


def _counted(live: RevisionStatus | None, observed: Observed) -> RevisionStatus | None:
    pods = observed.workloads.get(live.revision) if live else None
    if live is None or pods is None:
        return live
    told = {"model_version": pods.model_version or live.model_version, "card": dict(pods.card) or live.card}
    return live.model_copy(update={"replicas": pods.wanted, "ready_replicas": pods.ready, **told})


def wanted_objects(s: Situation, traffic: Traffic, images: Images, defaults: Defaults) -> tuple[Manifest, ...]:
    """Every child object that should exist now."""
    records = known_records(s)
    live = [records[revision] for revision in live_revisions(s.status) if revision in records]
    remembered = [records[rev] for rev in _remembered(s.status) if rev in records and records[rev] not in live]
    return (
        *(workloads.controller_revision(s.resource, record) for record in remembered),
        *(manifest for record in live for manifest in workloads.manifests(s.resource, record)),
        *_autoscalers(s),
        *_resolver_jobs(s, defaults),
        *polling.jobs(s, defaults),
        *materialization.objects(s.resource, images.tools, images.pull_secrets),
        *_router(s, traffic, images),
    )


def _router(s: Situation, traffic: Traffic, images: Images) -> tuple[Manifest, ...]:
    """The objects that route; none of a kind that the cluster does not have."""
    manifests = backend_of(s.resource).manifests(s.resource, traffic, images.router)
    for manifest in manifests:
        if manifest["kind"] == "Deployment" and images.pull_secrets:
            secrets = [{"name": name} for name in images.pull_secrets]
            manifest["spec"]["template"]["spec"]["imagePullSecrets"] = secrets
    return tuple(manifest for manifest in manifests if manifest["kind"] not in s.observed.absent)


def known_records(s: Situation) -> Mapping[str, RevisionRecord]:
    """Records in the cluster, and the one that is about to be written."""
    new = {s.target.record.revision: s.target.record} if s.target.record else {}
    return {**new, **s.observed.records}


def _remembered(status: ModelDeploymentStatus) -> list[str]:
    return list(dict.fromkeys(entry.revision for entry in status.history))


def _autoscalers(s: Situation) -> tuple[Manifest, ...]:
    scaling = s.resource.spec.scaling
    if scaling.max_replicas is None:
        return ()
    return tuple(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": names.metadata(s.resource, names.model(s.resource.name, revision), "model", revision),
            "spec": hpa.spec(scaling, names.model(s.resource.name, revision), floor),
        }
        for revision, floor in _floors(s).items()
    )


def _floors(s: Situation) -> dict[str, int]:
    """Fewest pods by revision: enough for the next weight, and for any weight a router may still apply."""
    rollout = s.status.rollout
    carried = max(rollout.weight, rollout.verified_weight) if rollout else 0
    return capacity.floors(s.resource.spec.scaling, s.status, load(s.resource, max(next_weight(s.resource), carried)))


def _resolver_jobs(s: Situation, defaults: Defaults) -> tuple[Manifest, ...]:
    if s.target.record or s.target.refusal or s.status.blocked:
        return ()
    return (resolver.job(s.resource, s.target.spec_hash, defaults),)


def wanted_scales(s: Situation) -> dict[str, int]:
    """Replica counts to write. Where an autoscaler owns the count, only one that lies below the floor is raised."""
    automatic = s.resource.spec.scaling.max_replicas is not None
    scales = dict(backend_of(s.resource).scales(s.resource))
    for revision, floor in _floors(s).items():
        seen = s.observed.workloads.get(revision)
        if not automatic or seen is None or seen.wanted < floor:
            scales[names.model(s.resource.name, revision)] = floor
    return scales


def _opens_window(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    was, now = before.rollout, after.rollout
    return now is not None and now.analysis.windows > (was.analysis.windows if was else 0)


def _newly_started(before: Situation, after: Situation) -> tuple[Manifest, ...]:
    """The Deployment of a rollout that begins in this pass: the API server is asked first whether it can be had."""
    begins = before.status.rollout is None and after.status.rollout is not None
    if not begins or after.status.canary is None or after.rollout.phase is not Phase.starting:
        return ()
    record = known_records(after).get(after.canary.revision)
    return (workloads.deployment(after.resource, record),) if record else ()


def _records_complete(s: Situation) -> bool:
    records = known_records(s)
    return all(revision in records for revision in live_revisions(s.status))
