"""Options of `sluice train` that mean something only beside others: refused before hours of training, never ignored."""

from __future__ import annotations

import argparse
from pathlib import Path

from sluice.model import Model, overrides
from sluice_training.errors import TrainingError
from sluice_training.trained import lock_of

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


def check_files(chosen: argparse.Namespace) -> None:
    """Whether the files that are needed late are there early.

    Raises:
        TrainingError: naming the option and the file that is not.
    """
    for option in ("features", "previous", "lock"):
        path = getattr(chosen, option)
        if path is not None and not path.exists():
            raise TrainingError(f"{_flag(option)}: there is no {path}")


def check_lock(kind: type[Model], lock: Path | None, *, here: bool = True) -> None:
    """Whether the class's own Python has its libraries, and a class without any none. `here`: a lock is a file here.

    Raises:
        TrainingError: saying which option to give, or to leave out.
    """
    if overrides(kind):
        if here or lock is None:
            lock_of(kind, lock)
    elif lock is not None:
        raise TrainingError(f"--lock is of no use: {kind.__name__} overrides neither preprocess nor postprocess")


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
