"""What the answers are held against: the data scientist's own scikit-learn pipeline, on the data set's own values.

Neither the warehouse, the feature store, ONNX nor anything of serving is in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from demo_store.dataset import Row
from sluice import model

FEATURES: Mapping[str, str] = {
    "margin_percent": "margin",
    "owners": "nown",
    "full_timers": "nfull",
    "part_timers": "npart",
    "helpers": "naux",
    "hours_week": "hoursw",
    "hours_per_worker": "hourspw",
    "invested_in_shop": "inv1",
    "invested_in_automation": "inv2",
    "floor_m2": "ssize",
}
"""The columns of the data set behind the features of the example, in the model's order."""

Floats = npt.NDArray[np.float64]


def columns(rows: Sequence[Row]) -> dict[str, Floats]:
    """The model's inputs for some stores."""
    return {feature: np.array([row[column] for row in rows]) for feature, column in FEATURES.items()}


def table(rows: Sequence[Row]) -> Any:
    """The same as scikit-learn takes it, with names."""
    return model.table(columns(rows))


def largest_difference(expected: Floats, given: Sequence[float]) -> float:
    """The largest relative one; infinite where the numbers of values differ."""
    found = np.asarray(given, dtype=np.float64)
    if found.shape != expected.shape:
        return float("inf")
    return float(np.max(np.abs(found - expected) / np.abs(expected)))


def row_of(features: Mapping[str, Any]) -> Row:
    """A store as these features describe it."""
    return {column: float(features[feature]) for feature, column in FEATURES.items()}
