"""The walk from stable to canary: the last state, what is seen and a time go in, the next state comes out.

Each call takes at most one decision. It is written to status before anything is done about it, so an operator killed at
any instant finds the decision and carries it out again. Up: ready pods, routers that see them, weight, verification,
measurement. Down: weight, verification, drain, removal.
"""

from typing import Any, Literal

from sluice_operator.api.spec import OnInconclusive
from sluice_operator.api.status import (
    AnalysisStatus,
    Blocked,
    Draining,
    Failure,
    HistoryEntry,
    Measurement,
    ModelDeploymentStatus,
    Phase,
    RevisionStatus,
    RolloutStatus,
)
from sluice_operator.planning import analysis
from sluice_operator.planning.clock import seconds_since, stamp
from sluice_operator.planning.observed import RevisionRecord
from sluice_operator.planning.situation import (
    Situation,
    can_carry,
    hold_seconds,
    next_weight,
    out_of_patience,
    seconds_to_measurement,
)
from sluice_operator.planning.stopping import SUPERSEDED, reason_to_stop

MEASUREMENTS_KEPT = 5


def step(s: Situation) -> ModelDeploymentStatus:
    """The next state. Equal to the present one where there is nothing to decide."""
    if s.status.rollout is None:
        return _start(s)
    if s.rollout.phase is Phase.rolling_back:
        return _finish_rollback(s)
    failure = reason_to_stop(s)
    if failure:
        return _roll_back(s, failure)
    if s.rollout.phase is Phase.starting:
        return _leave_starting(s)
    return _lost_canary(s) or _settle_weight(s) or _judge(s) or _advance(s)


def _start(s: Situation) -> ModelDeploymentStatus:
    revision, stable = s.target.revision, s.status.stable
    if revision is None or s.status.blocked or (stable and stable.revision == revision) or not s.target.record:
        return s.status
    pods = s.observed.workloads.get(stable.revision) if stable else None
    rollout = RolloutStatus(
        phase=Phase.starting,
        started_at=stamp(s.now),
        waiting_since=stamp(s.now),
        skip_steps=stable is not None and _was_stable(s.status, revision),
        stable_replicas=pods.wanted if pods else 0,
    )
    draining = [entry for entry in s.status.draining if entry.revision != revision]
    return s.update(canary=revision_status(s.target.record), rollout=rollout, draining=draining)


def revision_status(record: RevisionRecord) -> RevisionStatus:
    """A revision as status names it."""
    return RevisionStatus(
        revision=record.revision,
        spec_hash=record.spec_hash,
        uri=record.uri,
        digest=record.digest,
        image=record.image,
    )


def _was_stable(status: ModelDeploymentStatus, revision: str) -> bool:
    return any(entry.revision == revision and entry.outcome == "Promoted" for entry in status.history)


def _roll_back(s: Situation, failure: Failure) -> ModelDeploymentStatus:
    moved = {} if s.rollout.weight == 0 else {"weight": 0, "weight_set_at": stamp(s.now)}
    return s.progress(phase=Phase.rolling_back, failure=failure, waiting_since=None, **moved)


def _finish_rollback(s: Situation) -> ModelDeploymentStatus:
    had_traffic = s.rollout.weight_set_at is not None
    if had_traffic and not s.verified:
        return s.status
    failure = s.rollout.failure or Failure(reason=SUPERSEDED, message="", blocks=False)
    drained = [Draining(revision=s.canary.revision, since=stamp(s.now))] if had_traffic else []
    return s.update(
        canary=None,
        rollout=None,
        draining=[*s.status.draining, *drained],
        blocked=_blocked(s, failure) if failure.blocks else s.status.blocked,
        history=_remember(s, "RolledBack" if failure.blocks else "Superseded", failure.reason),
    )


def _blocked(s: Situation, failure: Failure) -> Blocked:
    return Blocked(
        spec_hash=s.canary.spec_hash,
        revision=s.canary.revision,
        reason=failure.reason,
        message=failure.message,
        at=stamp(s.now),
    )


def _leave_starting(s: Situation) -> ModelDeploymentStatus:
    weight = next_weight(s.resource)
    if not can_carry(s, weight):
        return s.status
    promoting = s.status.stable is None or s.rollout.skip_steps or s.rollout.step >= len(s.resource.spec.rollout.steps)
    phase = Phase.promoting if promoting else Phase.stepping
    return s.progress(phase=phase, **_shift(s, weight))


def _lost_canary(s: Situation) -> ModelDeploymentStatus | None:
    """A canary without a single available pod gets no traffic until it is back; its step starts over."""
    if s.canary_pods.available > 0 or s.status.stable is None:
        return None
    lost = {"phase": Phase.starting, "weight": 0, "verified_weight": 0, "hold_started_at": None}
    return s.progress(**lost, weight_set_at=stamp(s.now), waiting_since=stamp(s.now))


def _settle_weight(s: Situation) -> ModelDeploymentStatus | None:
    """Bring the routers to the step's weight. None once it is verified and the step's hold runs."""
    weight = next_weight(s.resource)
    if s.rollout.weight != weight:
        return s.progress(**_shift(s, weight)) if can_carry(s, weight) else s.status
    if s.rollout.hold_started_at is not None:
        return None
    if not s.verified:
        return s.status
    return s.progress(verified_weight=weight, hold_started_at=stamp(s.now))


def _shift(s: Situation, weight: int) -> dict[str, Any]:
    return {"weight": weight, "weight_set_at": stamp(s.now), "hold_started_at": None, "waiting_since": None}


def _judge(s: Situation) -> ModelDeploymentStatus | None:
    """Take a measurement where one is due. None where none is."""
    rules = s.resource.spec.rollout.analysis
    if rules is None or s.rollout.phase is not Phase.stepping or seconds_to_measurement(s.resource, s.now) > 0:
        return None
    windows = s.observed.windows or {}
    stable = windows.get(s.status.stable.revision) if s.status.stable else None
    judgement = analysis.judge(rules, windows.get(s.canary.revision), stable)
    return s.progress(analysis=_count(s.rollout.analysis, judgement, stamp(s.now)))


def _count(counts: AnalysisStatus, judgement: analysis.Judgement, at: str) -> AnalysisStatus:
    measurement = Measurement(
        time=at, verdict=judgement.verdict, requests=judgement.requests, message=judgement.message
    )
    return AnalysisStatus(
        passed=counts.passed + (judgement.verdict == "Pass"),
        failed=counts.failed + (judgement.verdict == "Fail"),
        inconclusive=counts.inconclusive + (judgement.verdict == "Inconclusive"),
        passed_in_step=counts.passed_in_step + (judgement.verdict == "Pass"),
        last_measured_at=at,
        measurements=[*counts.measurements, measurement][-MEASUREMENTS_KEPT:],
    )


def _advance(s: Situation) -> ModelDeploymentStatus:
    if s.rollout.phase is Phase.promoting:
        return _promote(s)
    held = seconds_since(s.rollout.hold_started_at or stamp(s.now), s.now) >= hold_seconds(s.resource)
    if not held or not _acquitted(s):
        return s.status
    following = s.rollout.step + 1
    return s.progress(
        step=following,
        phase=Phase.promoting if following >= len(s.resource.spec.rollout.steps) else Phase.stepping,
        waiting_since=stamp(s.now),
        analysis=s.rollout.analysis.model_copy(update={"passed_in_step": 0}),
    )


def _acquitted(s: Situation) -> bool:
    rules = s.resource.spec.rollout.analysis
    if rules is None or s.rollout.analysis.passed_in_step:
        return True
    return rules.on_inconclusive is OnInconclusive.proceed and out_of_patience(s)


def _promote(s: Situation) -> ModelDeploymentStatus:
    former = s.status.stable
    drained = [Draining(revision=former.revision, since=stamp(s.now))] if former else []
    return s.update(
        stable=s.canary,
        canary=None,
        rollout=None,
        draining=[*s.status.draining, *drained],
        history=_remember(s, "Promoted", ""),
    )


def _remember(
    s: Situation, outcome: Literal["Promoted", "RolledBack", "Superseded"], reason: str
) -> list[HistoryEntry]:
    entry = HistoryEntry(
        revision=s.canary.revision,
        spec_hash=s.canary.spec_hash,
        uri=s.canary.uri,
        digest=s.canary.digest,
        outcome=outcome,
        reason=reason,
        finished_at=stamp(s.now),
    )
    others = [past for past in s.status.history if (past.revision, past.outcome) != (entry.revision, outcome)]
    # The stable revision's own entry is not a former one: the limit counts those one can go back to.
    return [entry, *others][: s.resource.spec.revision_history_limit + 1]
