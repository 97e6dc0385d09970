"""The conditions of status: what is true, why, and what to change; after the API conventions and kstatus.

`Ready` says that a version is loaded and answers; `Promoted` that the version in the spec carries everything. A
spec that was refused or taken back is `Stalled`, also while the old version serves, so that a pipeline never goes
green on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sluice_operator.api.access import AccessMode
from sluice_operator.api.endpoint import PlainHTTP
from sluice_operator.api.resource import Reported
from sluice_operator.api.status import Condition, ConditionStatus, FeaturesStatus, ModelDeploymentStatus, RolloutStatus
from sluice_operator.planning import access, materialization, polling
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.observed import Problem, Workload
from sluice_operator.planning.situation import Situation
from sluice_operator.planning.tls import certificates, judge

_PAUSES = {
    "Step": "waits for `sluice promote`",
    "Request": "paused by request: `sluice resume` or `sluice promote` lets it go on",
    "Spec": "held by spec.rollout.paused",
}


class Verdict(NamedTuple):
    """A condition without its bookkeeping."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""


@dataclass(frozen=True)
class View:
    """What conditions are made from: the situation, and the status that was decided in it."""

    situation: Situation
    status: ModelDeploymentStatus

    def workload(self, revision: str | None) -> Workload | None:
        """Pods of a revision."""
        return self.situation.observed.workloads.get(revision) if revision else None

    @property
    def routers_ready(self) -> int:
        """Router pods in service."""
        return sum(pod.ready for pod in self.situation.observed.router.pods)

    @property
    def problem(self) -> Problem | None:
        """What keeps the newest pods from getting on: the resolver's trouble, the canary's, then stable's."""
        revisions = [live.revision for live in (self.status.canary, self.status.stable) if live]
        workloads = (self.situation.observed.workloads.get(revision) for revision in revisions)
        resolver = self.situation.observed.resolvers.get(self.situation.target.spec_hash)
        unresolved = resolver.problem if resolver and self.situation.target.record is None else None
        return unresolved or next((pods.problem for pods in workloads if pods and pods.problem), None)


def not_understood(resource: Reported, message: str, now: datetime) -> ModelDeploymentStatus:
    """Status of a spec that this operator cannot read: stalled, and otherwise as it was; what serves serves on."""
    said = f"{message} (is the operator older than the CustomResourceDefinition?)"
    kept = [condition for condition in resource.status.conditions if condition.type != "Stalled"]
    was = next((condition for condition in resource.status.conditions if condition.type == "Stalled"), None)
    stalled_now = Condition(
        type="Stalled",
        status="True",
        observed_generation=resource.generation,
        last_transition_time=was.last_transition_time if was and was.status == "True" else stamp(now),
        reason="SpecNotUnderstood",
        message=said,
    )
    changed = {"conditions": [*kept, stalled_now], "reason": "SpecNotUnderstood"}
    return resource.status.model_copy(update={**changed, "observed_generation": resource.generation})


def all_conditions(view: View) -> list[Condition]:
    """Every condition, keeping the transition time of those whose status did not change."""
    before = {condition.type: condition for condition in view.situation.status.conditions}
    return [_dated(verdict, before.get(verdict.type), view) for verdict in _verdicts(view)]


def _dated(verdict: Verdict, before: Condition | None, view: View) -> Condition:
    same = before is not None and before.status == verdict.status
    return Condition(
        type=verdict.type,
        status=verdict.status,
        observed_generation=view.situation.resource.generation,
        last_transition_time=before.last_transition_time if same and before else stamp(view.situation.now),
        reason=verdict.reason,
        message=verdict.message,
    )


def _verdicts(view: View) -> Iterable[Verdict]:
    yield ready(view)
    yield promoted(view)
    yield reconciling(view)
    yield stalled(view)
    yield model_loaded(view)
    yield router_ready(view)
    yield scaling_active(view)
    yield rollout_healthy(view)
    if view.situation.resource.spec.endpoint.tls:
        yield tls_ready(view.situation)
    if view.situation.resource.spec.model.poll:
        yield reference_followed(view)
    if view.status.features:
        yield features_ready(view.situation, view.status.features)
    if view.situation.resource.spec.access.mode is not AccessMode.none:
        yield access_ready(view.situation)


def ready(view: View) -> Verdict:
    """A version is loaded, the routers know it, it answers."""
    if view.status.stable is None:
        return Verdict("Ready", "False", "NoVersionReady", _why_not_loaded(view))
    pods = view.workload(view.status.stable.revision)
    if pods is None or pods.available == 0:
        return Verdict("Ready", "False", "NoPodAvailable", f"no pod of {view.status.stable.revision} is available")
    if view.routers_ready == 0:
        return Verdict("Ready", "False", "RouterNotReady", router_ready(view).message)
    known = certificates(view.situation)
    if view.situation.resource.spec.endpoint.http is PlainHTTP.disabled and known and not any(known):
        return Verdict("Ready", "False", "CertificateMissing", tls_ready(view.situation).message)
    door = view.status.url or "the gateway"
    return Verdict("Ready", "True", "Serving", f"{view.status.stable.revision} answers at {door}")


def promoted(view: View) -> Verdict:
    """The version in the spec carries 100 %."""
    stable, target = view.status.stable, view.situation.target
    if view.status.blocked:
        return Verdict("Promoted", "False", view.status.blocked.reason, view.status.blocked.message)
    if stable and target.revision == stable.revision and view.status.rollout is None:
        return Verdict("Promoted", "True", "Promoted", f"{stable.revision} carries 100 %")
    weight = view.status.rollout.verified_weight if view.status.rollout else 0
    return Verdict("Promoted", "False", "InProgress", f"the version in the spec carries {weight} %")


def reconciling(view: View) -> Verdict:
    """Something is under way."""
    rollout = view.status.rollout
    if rollout:
        return Verdict("Reconciling", "True", _walking(rollout), _progress_message(view))
    if _goes_back(view):
        return Verdict("Reconciling", "True", "Starting", "a rollback is about to start")
    if view.status.blocked is None and view.situation.target.refusal is None:
        if view.situation.target.record is None:
            trouble = f": {view.problem.message}" if view.problem else ""
            finding = f"finding out what {view.situation.resource.spec.model.uri} holds{trouble}"
            return Verdict("Reconciling", "True", "ResolvingModel", finding)
        if view.status.stable is None or view.situation.target.revision != view.status.stable.revision:
            return Verdict("Reconciling", "True", "Starting", "a rollout is about to start")
    return Verdict("Reconciling", "False", "AtRest")


def stalled(view: View) -> Verdict:
    """Nothing will happen until a person changes something."""
    refusal, blocked = view.situation.target.refusal, view.status.blocked
    refused = view.situation.observed.refused
    if refusal:
        return Verdict("Stalled", "True", refusal.reason, refusal.message)
    if refused and refused.reason != materialization.REFUSED:
        return Verdict("Stalled", "True", refused.reason, refused.message)
    if blocked and view.status.rollout is None and not _goes_back(view):
        return Verdict("Stalled", "True", blocked.reason, blocked.message)
    return Verdict("Stalled", "False", "AtRest")


def _goes_back(view: View) -> bool:
    """Whether a rollback that was asked for is still to come."""
    blocked, stable = view.status.blocked, view.status.stable
    return blocked is not None and bool(blocked.instead) and (stable is None or stable.revision != blocked.instead)


def _walking(rollout: RolloutStatus) -> str:
    """Where a rollout stands, in one word."""
    return "Paused" if rollout.pause and rollout.failure is None else str(rollout.phase.value)


def model_loaded(view: View) -> Verdict:
    """Pods of the version in the spec have loaded it."""
    live = view.status.canary or view.status.stable
    pods = view.workload(live.revision if live else None)
    if view.status.blocked:
        return Verdict("ModelLoaded", "False", view.status.blocked.reason, view.status.blocked.message)
    if pods and pods.problem and pods.available < pods.wanted:
        return Verdict("ModelLoaded", "False", pods.problem.reason, pods.problem.message)
    if pods and pods.available:
        return Verdict("ModelLoaded", "True", "Loaded", f"{pods.available} of {pods.wanted} pods are available")
    return Verdict("ModelLoaded", "False", "Loading", _why_not_loaded(view))


def router_ready(view: View) -> Verdict:
    """Every router in service applies what was decided."""
    router, at_gateway = view.situation.observed.router, view.situation.resource.spec.router.gateway is not None
    if view.routers_ready == 0:
        nobody = "the gateway has not accepted the route" if at_gateway else "no router pod is ready"
        message = router.problem.message if router.problem else nobody
        return Verdict("RouterReady", "False", router.problem.reason if router.problem else "NotReady", message)
    # A config that was decided a moment ago is not a fault of the router: it is out only while it lags at rest.
    at_rest = view.status.rollout is None and not view.status.draining
    if at_rest and at_gateway and router.problem:
        return Verdict("RouterReady", "False", router.problem.reason, router.problem.message)
    if at_rest and not view.situation.verified:
        return Verdict("RouterReady", "False", "ConfigPending", "routers have not applied the newest configuration")
    what = "routes are accepted" if at_gateway else "routers are ready"
    return Verdict("RouterReady", "True", "Ready", f"{view.routers_ready} of {router.wanted} {what}")


def scaling_active(view: View) -> Verdict:
    """The autoscaler, where there is one, can do its work."""
    if view.situation.resource.spec.scaling.max_replicas is None:
        return Verdict("ScalingActive", "False", "FixedReplicas", "the number of pods is fixed by the spec")
    live = view.status.stable or view.status.canary
    pods = view.workload(live.revision if live else None)
    autoscaler = pods.autoscaler if pods else None
    if autoscaler is None or autoscaler.active is None:
        return Verdict("ScalingActive", "Unknown", "Starting", "the autoscaler has not reported yet")
    status: ConditionStatus = "True" if autoscaler.active else "False"
    return Verdict("ScalingActive", status, autoscaler.reason or "Active", autoscaler.message)


def rollout_healthy(view: View) -> Verdict:
    """The version in the spec was not taken back and is not being taken back."""
    rollout, blocked = view.status.rollout, view.status.blocked
    if rollout and rollout.failure and rollout.failure.blocks:
        return Verdict("RolloutHealthy", "False", rollout.failure.reason, rollout.failure.message)
    if blocked:
        return Verdict("RolloutHealthy", "False", blocked.reason, blocked.message)
    return Verdict("RolloutHealthy", "True", "Healthy")


def reference_followed(view: View) -> Verdict:
    """The last look at what the spec's reference stands for has found it."""
    return Verdict("ReferenceFollowed", *polling.judge(view.situation.resource.spec.model.uri, view.status))


def tls_ready(s: Situation) -> Verdict:
    """Every router serves TLS with a certificate that is valid for some time."""
    good, reason, message = judge(s)
    return Verdict("TLSReady", "True" if good else "False", reason, message)


def features_ready(s: Situation, status: FeaturesStatus) -> Verdict:
    """The feature store holds what the last run should have written; no other condition asks."""
    return Verdict("FeaturesReady", *materialization.judge(s, status))


def access_ready(s: Situation) -> Verdict:
    """Every router checks callers as the spec says."""
    before = next((condition for condition in s.status.conditions if condition.type == "AccessReady"), None)
    unchanged = bool(before and before.status == "True" and before.observed_generation == s.resource.generation)
    good, reason, message = access.judge(s, unchanged)
    return Verdict("AccessReady", "True" if good else "False", reason, message)


def printed_reason(view: View) -> str:
    """The one word that tells most, for the table of `kubectl get`."""
    if view.situation.target.refusal:
        return view.situation.target.refusal.reason
    if view.status.blocked:
        return view.status.blocked.reason
    rollout = view.status.rollout
    waiting = rollout.waiting_since if rollout else view.situation.target.record is None
    if waiting and view.problem:
        return view.problem.reason
    if rollout:
        return rollout.failure.reason if rollout.failure else _walking(rollout)
    return next(verdict.reason for verdict in (reconciling(view), ready(view)) if verdict.reason != "AtRest")


def _why_not_loaded(view: View) -> str:
    if view.situation.target.refusal:
        return view.situation.target.refusal.message
    if view.status.blocked:
        return view.status.blocked.message
    return view.problem.message if view.problem else "the model is being loaded"


def _progress_message(view: View) -> str:
    rollout, canary = view.status.rollout, view.status.canary
    if rollout is None or canary is None:
        return ""
    if rollout.failure:
        return f"taking {canary.revision} back: {rollout.failure.message}"
    if rollout.waiting_since and view.problem:
        return view.problem.message
    step = f", step {view.status.step}" if view.status.step else ""
    waits = f", {_PAUSES[rollout.pause.cause]}" if rollout.pause else ""
    asked = [f", {gate.gate} of {gate.name}: {gate.message}" for gate in rollout.gates if gate.answer != "Confirmed"]
    return f"{canary.revision} at {rollout.verified_weight} %{step}{waits}{''.join(asked)}"
