"""What outshines what when a resource is told in a word."""

from typing import Any

import pytest

from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning.headline import Headline, headline

SERVING = ("Ready", "True", "Serving")
STEPPING = ("Reconciling", "True", "Stepping")
TAKEN_BACK = ("Stalled", "True", "AnalysisFailed")


def status(*conditions: tuple[str, str, str], **more: Any) -> ModelDeploymentStatus:
    written = [
        {"type": kind, "status": value, "reason": reason, "message": f"{kind} says so", "lastTransitionTime": "2026"}
        for kind, value, reason in conditions
    ]
    return ModelDeploymentStatus.model_validate({"conditions": written, "observedGeneration": 3, **more})


ROWS: tuple[tuple[str, ModelDeploymentStatus, Headline], ...] = (
    ("it serves", status(SERVING), Headline("Healthy", "Serving", "Ready says so")),
    ("a rollout outshines it", status(SERVING, STEPPING), Headline("Progressing", "Stepping", "Reconciling says so")),
    (
        "a pause is no progress",
        status(SERVING, ("Reconciling", "True", "Paused")),
        Headline("Paused", "Paused", "Reconciling says so"),
    ),
    (
        "what needs a person outshines everything",
        status(SERVING, STEPPING, TAKEN_BACK),
        Headline("Stalled", "AnalysisFailed", "Stalled says so"),
    ),
    (
        "what is false says nothing",
        status(SERVING, ("Reconciling", "False", "AtRest"), ("Stalled", "False", "AtRest")),
        Headline("Healthy", "Serving", "Ready says so"),
    ),
    (
        "it does not serve",
        status(("Ready", "False", "NoPodAvailable"), reason="CrashLoop"),
        Headline("NotReady", "CrashLoop", "Ready says so"),
    ),
    ("nothing is known", status(), Headline("Unknown", "NotSeen", "the operator has not seen this spec yet")),
    (
        "the spec is newer",
        status(SERVING, observedGeneration=2),
        Headline("Unknown", "NotSeen", "the operator has not seen this spec yet"),
    ),
)


@pytest.mark.parametrize(("found", "told"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_in_a_word(found: ModelDeploymentStatus, told: Headline) -> None:
    assert headline(found, generation=3) == told
