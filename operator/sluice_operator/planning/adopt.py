"""Finding the way back when status was lost (a restored backup): from what the routers carry, never from the spec."""

from sluice_operator.api.status import ModelDeploymentStatus, Phase, RolloutStatus
from sluice_operator.planning import requests
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.rollout import revision_status
from sluice_operator.planning.situation import Situation


def adopt(s: Situation) -> ModelDeploymentStatus:
    """Status rebuilt from the routers' weights: the heaviest revision is stable, a lighter one the canary under way.

    Unchanged where status is there, or where the routers carry nothing yet. No traffic moves by it: a canary keeps its
    weight and goes on at the step that has it.
    """
    weights = {rev: weight for rev, weight in s.observed.router.weights.items() if rev in s.observed.records}
    if s.status.stable or s.status.rollout or not weights:
        return s.status
    by_weight = sorted(weights, key=lambda revision: -weights[revision])
    stable = revision_status(s.observed.records[by_weight[0]])
    answers = requests.dismiss(s) if s.resource.request else s.status.requests
    if len(by_weight) == 1:
        return s.update(stable=stable, requests=answers)
    canary, weight = by_weight[1], weights[by_weight[1]]
    return s.update(
        stable=stable,
        canary=revision_status(s.observed.records[canary]),
        rollout=_rollout_at(s, stable.revision, weight),
        requests=answers,
    )


def _rollout_at(s: Situation, stable: str, weight: int) -> RolloutStatus:
    weights = [step.weight for step in s.resource.spec.rollout.steps]
    step = next((index for index, at in enumerate(weights) if at >= weight), len(weights))
    pods = s.observed.workloads.get(stable)
    return RolloutStatus(
        phase=Phase.stepping if step < len(weights) else Phase.promoting,
        started_at=stamp(s.now),
        mirrored=True,
        step=step,
        weight=weight,
        weight_set_at=stamp(s.now),
        stable_replicas=pods.wanted if pods else 0,
    )
