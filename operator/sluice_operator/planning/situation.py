"""What a rollout decision rests on, and the questions every move asks of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.rollout import Strategy
from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import Failure, ModelDeploymentStatus, Phase, RevisionStatus, RolloutStatus
from sluice_operator.planning import capacity
from sluice_operator.planning.clock import seconds_since, stamp
from sluice_operator.planning.identity import Target
from sluice_operator.planning.observed import Observed, Resolver, Workload
from sluice_operator.routing.base import Authorizer


@dataclass(frozen=True)
class Situation:
    """All that a decision rests on. `verified`: every router is seen to apply what status asks for; `has_tools`: there
    is an image for jobs that fill feature stores.
    """

    resource: ModelDeployment
    target: Target
    observed: Observed
    verified: bool
    now: datetime
    authorizer: Authorizer | None = None
    has_tools: bool = False

    @property
    def status(self) -> ModelDeploymentStatus:
        """The progress so far."""
        return self.resource.status

    @property
    def rollout(self) -> RolloutStatus:
        """The rollout under way; only for moves that are made within one."""
        if self.status.rollout is None:
            raise ValueError("no rollout is under way")
        return self.status.rollout

    @property
    def canary(self) -> RevisionStatus:
        """The revision under judgement; only for moves that are made within a rollout."""
        if self.status.canary is None:
            raise ValueError("no canary is under judgement")
        return self.status.canary

    @property
    def canary_pods(self) -> Workload:
        """The canary's pods; none while its Deployment is not seen yet."""
        return self.observed.workloads.get(self.canary.revision, Workload(wanted=0, ready=0, available=0))

    def update(self, **changes: Any) -> ModelDeploymentStatus:
        """The status with these fields changed."""
        return self.status.model_copy(update=changes)

    def progress(self, **changes: Any) -> ModelDeploymentStatus:
        """The status with these fields of the rollout changed."""
        return self.update(rollout=self.rollout.model_copy(update=changes))


HELD = (Phase.mirroring, Phase.stepping)
"""Phases that last for a time, in which the canary is judged."""


def copies(resource: ModelDeployment) -> int:
    """Percent of the requests that are copied to the canary, now or as soon as it is ready; 0 where none are."""
    rollout, mirror = resource.status.rollout, resource.spec.rollout.mirror
    if rollout is None or mirror is None or resource.status.stable is None or rollout.skip_steps or rollout.mirrored:
        return 0
    return mirror.percent if rollout.phase in (Phase.starting, Phase.mirroring) else 0


def load(resource: ModelDeployment, weight: int) -> int:
    """Percent of the requests for which the canary needs pods before it gets that weight."""
    return 100 if resource.spec.rollout.strategy is Strategy.blue_green else max(weight, copies(resource))


def next_weight(resource: ModelDeployment) -> int:
    """The weight the canary is to carry at its present step; 0 without a rollout or while it is taken back."""
    rollout = resource.status.rollout
    if rollout is None or rollout.phase is Phase.rolling_back:
        return 0
    if rollout.phase is Phase.mirroring or copies(resource):
        return 0
    steps = resource.spec.rollout.steps
    straight = resource.status.stable is None or rollout.skip_steps or rollout.step >= len(steps)
    return 100 if straight else steps[rollout.step].weight


def hold_seconds(resource: ModelDeployment) -> float:
    """How long the present step is held."""
    rollout, steps, mirror = resource.status.rollout, resource.spec.rollout.steps, resource.spec.rollout.mirror
    if rollout is not None and rollout.phase is Phase.mirroring:
        return seconds(mirror.hold) if mirror else 0.0
    if rollout is None or rollout.phase is not Phase.stepping or rollout.step >= len(steps):
        return 0.0
    return seconds(steps[rollout.step].hold)


def window_is_open(resource: ModelDeployment) -> bool:
    """Whether a window was opened in the present hold."""
    rollout = resource.status.rollout
    if rollout is None or rollout.hold_started_at is None:
        return False
    return (rollout.analysis.window_since or "") >= rollout.hold_started_at


def seconds_to_window(resource: ModelDeployment, now: datetime) -> float:
    """Seconds until the hold's first window opens."""
    rollout, rules = resource.status.rollout, resource.spec.rollout.analysis
    if rollout is None or rules is None or rollout.hold_started_at is None:
        return 0.0
    return seconds(rules.initial_delay) - seconds_since(rollout.hold_started_at, now)


def seconds_to_measurement(resource: ModelDeployment, now: datetime) -> float:
    """Seconds until the next measurement is due."""
    rollout, rules = resource.status.rollout, resource.spec.rollout.analysis
    if rollout is None or rules is None:
        return 0.0
    if not window_is_open(resource):
        return seconds_to_window(resource, now) + seconds(rules.interval)
    since = max(rollout.analysis.window_since or "", rollout.analysis.last_measured_at or "")
    return seconds(rules.interval) - seconds_since(since, now)


def seconds_to_resolve(resource: ModelDeployment, resolver: Resolver, now: datetime) -> float:
    """Seconds a running resolver still has."""
    return seconds(resource.spec.rollout.ready_deadline) - seconds_since(resolver.since or stamp(now), now)


def undecided(s: Situation) -> Failure | None:
    """Why a verdict is waited for no longer. None while it is, and once the step has passed."""
    rules, counts, held_since = s.resource.spec.rollout.analysis, s.rollout.analysis, s.rollout.hold_started_at
    if rules is None:
        return None
    if rules.error_limit is not None and counts.errors_in_row > rules.error_limit:
        last = counts.measurements[-1].message if counts.measurements else ""
        message = f"{counts.errors_in_row} measurements in a row could not be made, the last: {last}"
        return Failure(reason="AnalysisError", message=message)
    if rules.inconclusive_limit is not None and counts.inconclusive > rules.inconclusive_limit:
        message = f"{counts.inconclusive} measurements were inconclusive, {rules.inconclusive_limit} may be"
        return Failure(reason="AnalysisInconclusive", message=message)
    if held_since is None or counts.passed_in_step:
        return None
    if seconds_since(held_since, s.now) < hold_seconds(s.resource) + seconds(rules.inconclusive_deadline):
        return None
    last = f"; the last measurement: {counts.measurements[-1].message}" if counts.measurements else ""
    message = f"no verdict within inconclusiveDeadline {rules.inconclusive_deadline}{last}"
    return Failure(reason="AnalysisInconclusive", message=message)


def can_carry(s: Situation, weight: int) -> bool:
    """Whether the canary's pods are available for that weight and every router in service sees as many of them."""
    need = capacity.canary_need(s.resource.spec.scaling, s.rollout, load(s.resource, weight))
    routers = [pod for pod in s.observed.router.pods if pod.ready]
    seen = all(pod.healthy.get(s.canary.revision, 0) >= need for pod in routers)
    return s.canary_pods.available >= need and bool(routers) and seen
