"""How a ModelDeployment fares, in a word and a reason: the same at a terminal and on the dashboard.

A version that was taken back outshines the one that serves, for somebody has to act; and nothing is said of a spec that
the operator has not seen yet.
"""

from typing import Literal, NamedTuple

from sluice_operator.api.status import ModelDeploymentStatus

Health = Literal["Healthy", "Progressing", "Paused", "Stalled", "NotReady", "Unknown"]


class Headline(NamedTuple):
    """Health in a word, and why."""

    health: Health
    reason: str
    message: str


def headline(status: ModelDeploymentStatus, generation: int) -> Headline:
    """What stands above everything else about a resource whose spec has this generation."""
    said = {condition.type: condition for condition in status.conditions}
    true = {kind: condition for kind, condition in said.items() if condition.status == "True"}
    if not said or status.observed_generation < generation:
        return Headline("Unknown", "NotSeen", "the operator has not seen this spec yet")
    if stalled := true.get("Stalled"):
        return Headline("Stalled", stalled.reason, stalled.message)
    if moving := true.get("Reconciling"):
        return Headline("Paused" if moving.reason == "Paused" else "Progressing", moving.reason, moving.message)
    if ready := true.get("Ready"):
        return Headline("Healthy", ready.reason, ready.message)
    told = said.get("Ready")
    return Headline("NotReady", status.reason, told.message if told else "")
