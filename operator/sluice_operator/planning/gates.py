"""Webhooks that must say yes before a rollout goes on: what is waited for is in status, so it can be seen and resumed.

A gate never waits in the way of safety: the very first version has nothing to protect, a return to a former version is
a way out, and a rollback is delayed for its deadline only.
"""

from sluice_operator.api.analysis import Gate, Webhook
from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import Failure, GateStatus, ModelDeploymentStatus
from sluice_operator.planning.clock import seconds_since, stamp
from sluice_operator.planning.questions import gate_id
from sluice_operator.planning.situation import Situation

ROLLBACK_DEADLINE = "5m"
JUDGED = ("AnalysisFailed", "AnalysisInconclusive", "AnalysisError")
"""Reasons that are a judgement, with which a person may disagree; a canary that is broken is taken back at once."""


def hold(s: Situation, gate: Gate) -> ModelDeploymentStatus | None:
    """Wait for the webhooks of a gate. None where all have said yes, or none has to."""
    if s.status.stable is None or s.rollout.skip_steps:
        return None
    hooks = [hook for hook in s.resource.spec.rollout.webhooks if hook.gate is gate and not _overdue(s, hook)]
    asked = [_asked(s, hook) for hook in hooks]
    others = [known for known in s.rollout.gates if known.name not in {hook.name for hook in hooks}]
    if all(known.answer == "Confirmed" and known in s.rollout.gates for known in asked):
        return None
    return s.progress(gates=[*others, *asked], waiting_since=None)


def hold_rollback(s: Situation, failure: Failure) -> ModelDeploymentStatus | None:
    """Wait for a word on a judgement, but never longer than its deadline."""
    return hold(s, Gate.confirm_rollback) if failure.reason in JUDGED else None


def _asked(s: Situation, hook: Webhook) -> GateStatus:
    known = _known(s, hook) or GateStatus(
        name=hook.name, gate=hook.gate.value, answer="Waiting", since=stamp(s.now), message="not asked yet"
    )
    answer = s.observed.answers.get(gate_id(hook.name))
    if answer is None or known.answer == "Confirmed":
        return known
    word = "Waiting" if answer.fault else "Confirmed" if answer.yes else "Refused"
    return known.model_copy(update={"answer": word, "message": answer.message})


def _known(s: Situation, hook: Webhook) -> GateStatus | None:
    found = (gate for gate in s.rollout.gates if (gate.name, gate.gate) == (hook.name, hook.gate.value))
    return next(found, None)


def _overdue(s: Situation, hook: Webhook) -> bool:
    known = _known(s, hook)
    if hook.gate is not Gate.confirm_rollback or known is None or known.answer == "Confirmed":
        return False
    return seconds_since(known.since, s.now) >= seconds(hook.deadline or ROLLBACK_DEADLINE)
