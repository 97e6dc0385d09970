"""Training from a notebook or a script: `from sluice_training import train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sluice.contract import FeatureReferences
from sluice.model import Model
from sluice_training.plan import TEST_SHARE, Plan
from sluice_training.trained import Trained
from sluice_training.trainer import train as run


def train(
    model: type[Model] | Model,
    data: Any,
    *,
    seed: int = 0,
    test_share: float = TEST_SHARE,
    timestamp: str | None = None,
    keys: str | Sequence[str] = (),
    search: int = 0,
    previous: Path | str | None = None,
    lock: Path | str | None = None,
    references: FeatureReferences | None = None,
) -> Trained:
    """Train a model, as `sluice train` does. The result shows its card, and `write` makes the package of it.

    `data`: paths of CSV and Parquet files, a data frame, a `pyarrow.Table` (such as `sluice_features` gives), or arrays
    by name. For the same digest everywhere use the command, which also fixes what an interpreter's start decides.

    Raises:
        TrainingError: one line that says what to change.
    """
    plan = Plan(
        seed=seed,
        test_share=test_share,
        timestamp=timestamp,
        keys=(keys,) if isinstance(keys, str) else tuple(keys),
        candidates=search,
        previous=None if previous is None else Path(previous),
        lock=None if lock is None else Path(lock),
        references=references,
    )
    return run(model if isinstance(model, type) else type(model), data, plan)
