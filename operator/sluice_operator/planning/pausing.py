"""Waiting for a person: at a step that says so, because somebody asked, or because the spec says so.

A pause never moves traffic by itself: the step that has begun settles at its weight and is judged on; only the next one
does not begin. What must not wait is the very first version, and a rollback that a person asked for.
"""

from typing import Literal

from sluice_operator.api.status import ModelDeploymentStatus, Pause, Phase
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.situation import Situation

Cause = Literal["Step", "Request", "Spec"]


def frozen(s: Situation) -> bool:
    """Whether no further step may begin, wherever the rollout stands."""
    return _freezing(s) is not None


def never_waits(s: Situation) -> bool:
    """Whether this rollout is one that no pause holds."""
    blocked = s.status.blocked
    return s.status.stable is None or (blocked is not None and blocked.instead == s.canary.revision)


def pauses_here(s: Situation) -> bool:
    """Whether the present step ends with a pause that nobody has left yet."""
    steps, at = s.resource.spec.rollout.steps, s.rollout.step
    walks = not s.rollout.skip_steps and not s.rollout.full and not never_waits(s)
    return walks and at < len(steps) and steps[at].pause and s.rollout.released_step != at


def mark(s: Situation) -> ModelDeploymentStatus | None:
    """Write down a pause that has come or gone. None where status says it already."""
    have = s.rollout.pause.cause if s.rollout.pause else None
    wanted = _freezing(s) or _still_at_step(s, have)
    if wanted == have:
        return None
    return s.progress(pause=Pause(cause=wanted, since=stamp(s.now)) if wanted else None)


def wait_at_step(s: Situation) -> ModelDeploymentStatus:
    """The step is done and ends with a pause: wait for a person."""
    return s.status if s.rollout.pause else s.progress(pause=Pause(cause="Step", since=stamp(s.now)))


def _freezing(s: Situation) -> Cause | None:
    if never_waits(s):
        return None
    if s.rollout.pause and s.rollout.pause.cause == "Request":
        return "Request"
    return "Spec" if s.resource.spec.rollout.paused else None


def _still_at_step(s: Situation, have: Cause | None) -> Cause | None:
    waits = have == "Step" and s.rollout.phase is Phase.stepping and pauses_here(s)
    return "Step" if waits else None
