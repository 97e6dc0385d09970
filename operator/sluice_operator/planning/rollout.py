"""The walk from stable to canary: the last state, what is seen and a time go in, the next state comes out.

Each call takes at most one decision. It is written to status before anything is done about it, so an operator killed at
any instant finds the decision and carries it out again. Up: ready pods, routers that see them, weight, verification,
measurement. Down: weight, verification, drain, removal.
"""

from dataclasses import replace
from typing import Any, Literal

from sluice_operator.api.analysis import Gate
from sluice_operator.api.status import (
    Blocked,
    Draining,
    Failure,
    HistoryEntry,
    ModelDeploymentStatus,
    Phase,
    RevisionStatus,
    RolloutStatus,
)
from sluice_operator.planning import comparing, gates, judging, pausing, walk
from sluice_operator.planning.clock import seconds_since, stamp
from sluice_operator.planning.observed import RevisionRecord
from sluice_operator.planning.situation import (
    Situation,
    can_carry,
    copies,
    hold_seconds,
    next_weight,
)
from sluice_operator.planning.stopping import SUPERSEDED, reason_to_stop


def step(s: Situation) -> ModelDeploymentStatus:
    """The next state. Equal to the present one where there is nothing to decide."""
    if s.status.rollout is None:
        return _start(s)
    if s.rollout.phase is Phase.rolling_back:
        return _finish_rollback(s)
    failure = reason_to_stop(s)
    if failure and (waiting := gates.hold_rollback(s, failure)):
        return waiting if s.rollout.phase is Phase.starting else _lost_canary(s) or waiting
    if failure:
        return roll_back(s, failure)
    if changed := walk.follow(s) or pausing.mark(s):
        return changed
    if s.rollout.phase is Phase.starting:
        return _leave_starting(s)
    return _lost_canary(s) or _settle_weight(s) or judging.judge(s) or comparing.note(s) or _advance(s)


def _start(s: Situation) -> ModelDeploymentStatus:
    revision, stable, blocked = s.target.revision, s.status.stable, s.status.blocked
    if revision is None or (stable and stable.revision == revision) or not s.target.record:
        return s.status
    if blocked and blocked.instead != revision:
        return s.status
    pods = s.observed.workloads.get(stable.revision) if stable else None
    rollout = RolloutStatus(
        phase=Phase.starting,
        started_at=stamp(s.now),
        waiting_since=stamp(s.now),
        skip_steps=stable is not None and was_stable(s.status, revision),
        stable_replicas=pods.wanted if pods else 0,
        walk=walk.weights_of(s.resource),
        requested_by=blocked.by if blocked else _asked_by(s, s.target.record),
    )
    draining = [entry for entry in s.status.draining if entry.revision != revision]
    return s.update(canary=_canary(s, s.target.record), rollout=rollout, draining=draining)


def _asked_by(s: Situation, record: RevisionRecord) -> str:
    """A reference that moved, where the spec is that of stable; else whoever changed the spec."""
    stable = s.status.stable
    moved = stable is not None and stable.spec_hash == record.spec_hash
    return (record.reference or s.resource.spec.model.uri) if moved else s.resource.manager


def _canary(s: Situation, record: RevisionRecord) -> RevisionStatus:
    """The revision, with the version its package was said to have when it was resolved."""
    resolved = s.status.resolved
    version = resolved.version if resolved and resolved.digest == record.digest else ""
    return revision_status(record).model_copy(update={"model_version": version})


def revision_status(record: RevisionRecord) -> RevisionStatus:
    """A revision as status names it."""
    return RevisionStatus(
        revision=record.revision,
        spec_hash=record.spec_hash,
        uri=record.uri,
        reference=record.reference,
        digest=record.digest,
        image=record.image,
    )


def was_stable(status: ModelDeploymentStatus, revision: str) -> bool:
    """Whether a revision was good to the end: the last judgement on it was not that it is taken back."""
    judged = (entry.outcome for entry in status.history if entry.revision == revision and entry.outcome != "Superseded")
    return next(judged, "") == "Promoted"


def roll_back(s: Situation, failure: Failure) -> ModelDeploymentStatus:
    """Take the canary back: its traffic first."""
    moved = {} if s.rollout.weight == 0 else {"weight": 0, "weight_set_at": stamp(s.now)}
    return s.progress(phase=Phase.rolling_back, failure=failure, waiting_since=None, pause=None, **moved)


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
        history=_remember(s, "RolledBack" if failure.blocks else "Superseded", failure.reason, failure.message),
    )


def _blocked(s: Situation, failure: Failure) -> Blocked:
    blocked = s.status.blocked
    if blocked and blocked.instead == s.canary.revision:
        # A rollback that failed: the spec stays blocked, and nothing is tried again by itself.
        said = f"the rollback to {s.canary.revision} failed: {failure.message}"
        return blocked.model_copy(update={"instead": "", "reason": failure.reason, "message": said})
    return Blocked(
        spec_hash=s.canary.spec_hash,
        revision=s.canary.revision,
        uri=s.canary.uri,
        reason=failure.reason,
        message=failure.message,
        at=stamp(s.now),
    )


def _leave_starting(s: Situation) -> ModelDeploymentStatus:
    weight = next_weight(s.resource)
    ready = can_carry(s, weight)
    held = pausing.frozen(s) and s.rollout.weight_set_at is None
    if held or not ready:
        # Only what waits for pods is under the readyDeadline, not what waits for a person.
        return s.progress(waiting_since=None if ready else s.rollout.waiting_since or stamp(s.now))
    if copies(s.resource):
        waiting = gates.hold(s, Gate.confirm_rollout)
        return waiting or s.progress(phase=Phase.mirroring, **_shift(s, weight))
    promoting = s.status.stable is None or s.rollout.skip_steps or s.rollout.step >= len(s.resource.spec.rollout.steps)
    waiting = gates.hold(s, Gate.confirm_rollout) or (gates.hold(s, Gate.confirm_promotion) if promoting else None)
    phase = Phase.promoting if promoting else Phase.stepping
    return waiting or s.progress(phase=phase, mirrored=True, **_shift(s, weight))


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


def _advance(s: Situation) -> ModelDeploymentStatus:
    if pausing.frozen(s):
        return s.status
    if s.rollout.phase is Phase.promoting:
        return _promote(s)
    full = s.rollout.full
    held = seconds_since(s.rollout.hold_started_at or stamp(s.now), s.now) >= hold_seconds(s.resource)
    if not full and not (held and judging.acquitted(s)):
        return s.status
    # The copies have been judged: the first step begins, and its hold is still to come.
    mirrored = s.rollout.phase is Phase.mirroring
    if pausing.pauses_here(s) and not mirrored:
        return pausing.wait_at_step(s)
    following = len(s.resource.spec.rollout.steps) if full else s.rollout.step + (0 if mirrored else 1)
    # Copies that passed are a verdict, also on a step that shows the version to nobody else.
    unseen = mirrored and s.resource.spec.rollout.weight_at(following) == 0
    last = following >= len(s.resource.spec.rollout.steps)
    if last and (waiting := gates.hold(s, Gate.confirm_promotion)):
        return waiting
    return s.progress(
        step=following,
        phase=Phase.promoting if last else Phase.stepping,
        mirrored=True,
        hold_started_at=None if mirrored else s.rollout.hold_started_at,
        waiting_since=stamp(s.now),
        analysis=s.rollout.analysis.model_copy(update={} if unseen else {"passed_in_step": 0}),
        **comparing.noted(s),
    )


def _promote(s: Situation) -> ModelDeploymentStatus:
    former = s.status.stable
    drained = [Draining(revision=former.revision, since=stamp(s.now))] if former else []
    return s.update(
        stable=s.canary,
        canary=None,
        rollout=None,
        draining=[*s.status.draining, *drained],
        history=_after_promotion(s),
    )


def _after_promotion(s: Situation) -> list[HistoryEntry]:
    blocked, former = s.status.blocked, s.status.stable
    if blocked is None or former is None or blocked.instead != s.canary.revision:
        return _remember(s, "Promoted")
    left = s.update(history=_remember(s, "Promoted", blocked.reason, blocked.message), canary=former)
    return _remember(
        replace(s, resource=replace(s.resource, status=left)), "RolledBack", blocked.reason, blocked.message
    )


def _remember(
    s: Situation, outcome: Literal["Promoted", "RolledBack", "Superseded"], reason: str = "", message: str = ""
) -> list[HistoryEntry]:
    entry = HistoryEntry(
        revision=s.canary.revision,
        spec_hash=s.canary.spec_hash,
        uri=s.canary.uri,
        digest=s.canary.digest,
        outcome=outcome,
        reason=reason,
        finished_at=stamp(s.now),
        model_version=s.canary.model_version,
        message=message,
        started_at=s.rollout.started_at,
        requested_by=s.rollout.requested_by,
    )
    others = [past for past in s.status.history if (past.revision, past.outcome) != (entry.revision, outcome)]
    # The stable revision's own entry is not a former one: the limit counts those one can go back to.
    return [entry, *others][: s.resource.spec.revision_history_limit + 1]
