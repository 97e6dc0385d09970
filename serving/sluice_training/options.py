"""Options of `sluice train` that mean something only beside others: refused before hours of training, never ignored."""

from __future__ import annotations

import argparse

from sluice_training.errors import TrainingError

NEEDS = {
    "service": "features",
    "endpoint": "push",
    "name": "register",
    "alias": "register",
    "image": "as_job",
    "image_folder": "as_job",
    "claim": "as_job",
    "secret": "as_job",
    "namespace": "as_job",
}
"""An option, and the one without which nothing would come of it."""


def check(chosen: argparse.Namespace) -> None:
    """Whether each of the chosen options has what it needs.

    Raises:
        TrainingError: naming the first that has not.
    """
    for option, needed in NEEDS.items():
        if getattr(chosen, option) and not getattr(chosen, needed):
            raise TrainingError(f"{_flag(option)} is of no use without {_flag(needed)}")
    if chosen.as_job and chosen.output:
        raise TrainingError("--output is of no use with --as-job: what a job leaves in its pod is lost with it")


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
