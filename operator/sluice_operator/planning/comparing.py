"""What the comparison of answers has come to, as status tells it: with each measurement, or now and then without."""

from typing import Any

from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.status import ComparisonStatus, ModelDeploymentStatus, OutputComparison, Phase
from sluice_operator.planning.clock import seconds_since, stamp
from sluice_operator.planning.comparison import Comparison, Tally
from sluice_operator.planning.situation import Situation

NOTED_EVERY = 15.0
"""Seconds, where no analysis measures and notes by its own interval."""
_NAME_AT_MOST = 64


def noted(s: Situation) -> dict[str, Any]:
    """The change of the rollout's status by which it tells the comparison; empty where nothing is compared."""
    compared = s.observed.comparison
    return {} if compared is None else {"comparison": _told(compared, stamp(s.now))}


def note(s: Situation) -> ModelDeploymentStatus | None:
    """Tell the comparison where nothing else does. None where it is not due, or nothing was compared since."""
    left, found = _seconds_left(s), noted(s)
    if left is None or left > 0:
        return None
    told, new = s.rollout.comparison, found["comparison"]
    return None if told and told.model_copy(update={"at": new.at}) == new else s.progress(**found)


def seconds_to_note(s: Situation) -> float | None:
    """Seconds until there may be something to tell; None where there will not, or it is told with the measurements."""
    left = _seconds_left(s)
    return NOTED_EVERY if left is not None and left <= 0 else left


def _seconds_left(s: Situation) -> float | None:
    if s.observed.comparison is None or s.resource.spec.rollout.analysis is not None or not copied(s.resource):
        return None
    told = s.rollout.comparison
    return NOTED_EVERY - seconds_since(told.at if told else s.rollout.hold_started_at or stamp(s.now), s.now)


def copied(resource: ModelDeployment) -> bool:
    """Whether the canary gets copies now, of which the answers can be found again."""
    status = resource.status
    mirroring = status.rollout is not None and status.rollout.phase is Phase.mirroring
    known = status.stable is not None and status.canary is not None and resource.spec.rollout.mirror is not None
    return mirroring and known and resource.spec.router.gateway is None


def _told(compared: Comparison, at: str) -> ComparisonStatus:
    tally = compared.total
    return ComparisonStatus(
        pairs=tally.pairs, different=tally.different, errors=tally.errors, outputs=_outputs(tally), at=at
    )


def _outputs(tally: Tally) -> list[OutputComparison]:
    told = [
        OutputComparison(
            name=name[:_NAME_AT_MOST], different=of.different, largest_difference=float(f"{of.largest:.6g}")
        )
        for name, of in tally.outputs.items()
    ]
    return sorted(told, key=lambda output: (-output.different, output.name))


def sentence(told: ComparisonStatus) -> str:
    """What was found, for a person."""
    if not told.pairs:
        return "no answers could be compared"
    share = f"{told.different} of {told.pairs} answers differ ({100 * told.different / told.pairs:.1f} %)"
    errors = [f"{told.errors} by an error"] if told.errors else []
    outputs = [
        f"{output.name} in {output.different}"
        + (f" by up to {output.largest_difference:.4g}" if output.largest_difference else "")
        for output in told.outputs
        if output.different
    ]
    return ": ".join(part for part in (share, ", ".join([*errors, *outputs])) if part)
