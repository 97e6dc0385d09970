"""What a person would want to be told, once: the difference between two statuses."""

from collections.abc import Iterable
from typing import Literal

from sluice_operator.api.status import Condition, FeaturesStatus, ModelDeploymentStatus, Phase, RolloutStatus
from sluice_operator.planning import comparing
from sluice_operator.planning.materialization import failing
from sluice_operator.planning.plan import EventNote

_BAD = {
    "Stalled": "True",
    "ModelLoaded": "False",
    "RouterReady": "False",
    "ScalingActive": "False",
    "ReferenceFollowed": "False",
    "FeaturesReady": "False",
}
_VERDICTS = {"Pass": "Passed", "Fail": "Failed", "Inconclusive": "Inconclusive", "Error": "NotMade"}
_QUIET_REASONS = ("Loading", "NotReady", "ConfigPending", "FixedReplicas")


def notes(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[EventNote, ...]:
    """Events for the step from one status to the next; none where nothing worth telling changed."""
    return (
        *_requests(before, after),
        *_resolved(before, after),
        *_rollout(before, after),
        *_measured(before.rollout, after.rollout),
        *_compared(before.rollout, after.rollout),
        *_gates(before.rollout, after.rollout),
        *_materialized(before.features, after.features),
        *_ends(before, after),
        *_troubles(before, after),
    )


def _requests(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterable[EventNote]:
    answer = after.requests[0] if after.requests else None
    if answer is None or answer in before.requests:
        return
    asked = f"{answer.action or 'request'}{f' by {answer.by}' if answer.by else ''}: {answer.message}"
    done = answer.outcome == "Done"
    yield EventNote("Normal" if done else "Warning", "RequestDone" if done else "RequestRefused", asked)


def _resolved(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterable[EventNote]:
    now, was = after.resolved, before.resolved
    if now is None or now == was:
        return
    stood = f"{now.reference} is {now.uri}, " if now.reference else f"{now.uri} is "
    moved = was is not None and was.spec_hash == now.spec_hash and was.uri != now.uri
    yield EventNote("Normal", "ReferenceMoved" if moved else "ModelResolved", f"{stood}{now.digest}")


def _rollout(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterable[EventNote]:
    canary, now, was = after.canary, after.rollout, before.rollout
    if canary is None or now is None:
        return
    if was is None:
        yield EventNote("Normal", "RolloutStarted", f"{canary.revision} ({canary.uri}) is started")
        return
    if now.phase is Phase.rolling_back and was.phase is not Phase.rolling_back and now.failure:
        kind = "Warning" if now.failure.blocks else "Normal"
        yield EventNote(kind, now.failure.reason, f"{canary.revision} is taken back: {now.failure.message}")  # type: ignore[arg-type]
    if now.pause and was.pause is None:
        yield EventNote("Normal", "Paused", f"{canary.revision} waits for a person (cause: {now.pause.cause})")
    if now.phase is Phase.mirroring and was.phase is not Phase.mirroring:
        yield EventNote("Normal", "Mirroring", f"{canary.revision} gets copies of requests and answers nobody")
    if now.verified_weight != was.verified_weight and now.verified_weight:
        yield EventNote("Normal", "WeightShifted", f"{now.verified_weight} % of the requests go to {canary.revision}")


def _measured(was: RolloutStatus | None, now: RolloutStatus | None) -> Iterable[EventNote]:
    """Each failed measurement, and each that came to another verdict than the one before it in its step."""
    if was is None or now is None or now.analysis.last_measured_at == was.analysis.last_measured_at:
        return
    last, before = now.analysis.measurements[-1], was.analysis.measurements[-1:]
    if last.left_out and not (before and before[0].left_out):
        yield EventNote("Warning", "AnswersLeftOut", last.message)
    in_step = [one.verdict for one in was.analysis.measurements if one.time >= (was.hold_started_at or "")]
    if last.verdict != "Fail" and in_step[-1:] == [last.verdict]:
        return
    kind: Literal["Normal", "Warning"] = "Warning" if last.verdict in ("Fail", "Error") else "Normal"
    said = f"{last.message} ({last.requests} canary requests)"
    yield EventNote(kind, f"Measurement{_VERDICTS[last.verdict]}", said)


def _compared(was: RolloutStatus | None, now: RolloutStatus | None) -> Iterable[EventNote]:
    """What the comparison came to, when the last copy was sent."""
    if was and now and was.phase is Phase.mirroring and now.phase is not Phase.mirroring and now.comparison:
        yield EventNote("Normal", "AnswersCompared", comparing.sentence(now.comparison))


def _gates(was: RolloutStatus | None, now: RolloutStatus | None) -> Iterable[EventNote]:
    known = {gate.name: gate for gate in was.gates} if was else {}
    for gate in now.gates if now else ():
        before = known.get(gate.name)
        if before is None:
            yield EventNote("Normal", "GateWaiting", f"{gate.gate}: {gate.name} is asked")
        elif (before.answer, before.message) != (gate.answer, gate.message):
            kind: Literal["Normal", "Warning"] = "Normal" if gate.answer == "Confirmed" else "Warning"
            yield EventNote(kind, f"Gate{gate.answer}", f"{gate.gate}: {gate.name} says {gate.message}")


def _materialized(was: FeaturesStatus | None, now: FeaturesStatus | None) -> Iterable[EventNote]:
    """The first run that wrote, and the first after others that failed; the condition tells of those."""
    if now is None or now.last_success is None or was is None or was.last_success == now.last_success:
        return
    if was.last_success is None or failing(was):
        yield EventNote("Normal", "FeaturesMaterialized", f"the feature store was filled at {now.last_success}")


def _ends(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterable[EventNote]:
    stable = after.stable
    if stable and (before.stable is None or before.stable.revision != stable.revision):
        yield EventNote("Normal", "Promoted", f"{stable.revision} carries 100 % of the requests")


def _troubles(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterable[EventNote]:
    """Conditions that turned bad for a new reason. What a rollout was taken back for is told once, when that begins."""
    told = {part.failure.reason for part in (before.rollout, after.rollout) if part and part.failure}
    was = {condition.type: condition for condition in before.conditions}
    for condition in after.conditions:
        if _is_bad(condition) and _is_news(condition, was.get(condition.type)) and condition.reason not in told:
            told.add(condition.reason)
            yield EventNote("Warning", condition.reason, condition.message)


def _is_bad(condition: Condition) -> bool:
    return _BAD.get(condition.type) == condition.status and condition.reason not in _QUIET_REASONS


def _is_news(condition: Condition, was: Condition | None) -> bool:
    return was is None or (was.status, was.reason) != (condition.status, condition.reason)
