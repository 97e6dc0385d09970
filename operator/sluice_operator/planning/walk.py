"""Steps that change while they are walked: where the rollout goes on.

Never at a higher weight than the one it was judged at, so that a changed spec is no way around the analysis: at the
last of the new steps that is not above the step it had reached, at the first where all are.
"""

from typing import Any

from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.status import ModelDeploymentStatus, Phase
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.situation import Situation


def weights_of(resource: ModelDeployment) -> list[int]:
    """Weights of the steps in the spec."""
    return [step.weight for step in resource.spec.rollout.steps]


def follow(s: Situation) -> ModelDeploymentStatus | None:
    """Take over changed steps. None where they are the ones that are walked."""
    old, new = s.rollout.walk, weights_of(s.resource)
    if old == new:
        return None
    if old is None or s.rollout.skip_steps:
        return s.progress(walk=new)
    if s.rollout.phase is Phase.mirroring:
        return s.progress(walk=new, step=0)
    if s.rollout.phase is Phase.promoting or s.rollout.step >= len(old):
        return s.progress(walk=new, step=len(new))
    reached = old[s.rollout.step]
    step = max((index for index, weight in enumerate(new) if weight <= reached), default=0)
    same = bool(new) and new[step] == reached
    return s.progress(walk=new, step=step, **({} if same else _begin_anew(s)))


def _begin_anew(s: Situation) -> dict[str, Any]:
    """The step is another one: its hold, its verdicts and its pause are still to come."""
    return {
        "phase": s.rollout.phase
        if s.resource.spec.rollout.steps or s.rollout.phase is Phase.starting
        else Phase.promoting,
        "hold_started_at": None,
        "released_step": None,
        "waiting_since": stamp(s.now),
        "analysis": s.rollout.analysis.model_copy(update={"passed_in_step": 0}),
    }
