"""How many pods each revision needs, so that no revision ever gets traffic it cannot carry.

Stable keeps the pods it had when the rollout began until its traffic has moved; the canary has its share of them before
it gets that share of the requests.
"""

import math

from sluice_operator.api.scaling import Scaling
from sluice_operator.api.status import ModelDeploymentStatus, RolloutStatus


def base(scaling: Scaling) -> int:
    """Fewest pods of a revision that owns all traffic."""
    return scaling.replicas or scaling.min_replicas


def stable_floor(scaling: Scaling, rollout: RolloutStatus | None) -> int:
    """Fewest pods of stable: never below what it had when the rollout began."""
    return max(base(scaling), rollout.stable_replicas) if rollout else base(scaling)


def canary_need(scaling: Scaling, rollout: RolloutStatus, weight: int) -> int:
    """Pods the canary needs to carry `weight` percent of the requests that stable carries alone."""
    return max(1, math.ceil(stable_floor(scaling, rollout) * weight / 100))


def floors(scaling: Scaling, status: ModelDeploymentStatus, next_weight: int) -> dict[str, int]:
    """Fewest pods by revision. `next_weight` is what the canary carries next."""
    wanted: dict[str, int] = {}
    if status.stable:
        wanted[status.stable.revision] = stable_floor(scaling, status.rollout)
    if status.canary and status.rollout:
        wanted[status.canary.revision] = canary_need(scaling, status.rollout, next_weight)
    return wanted
