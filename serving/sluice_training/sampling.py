"""Rows of which the package remembers what the model answered, so that whoever serves it can ask again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.manifest import Sample
from sluice.model import Columns
from sluice.sample import absolute_of, dump_sample
from sluice_training.errors import TrainingError
from sluice_training.serving import Served

ROWS = 32


def sample(served: Served, values: Columns) -> str:
    """The text of `sample.json`, of rows that training did not see.

    Raises:
        TrainingError: a row alone is not answered as it is among others.
    """
    chosen = _chosen(values)
    inputs = {name: tensor[chosen] for name, tensor in served.tensors(values).items()}
    outputs = served.answer(inputs)
    _check_alone(served, inputs, outputs)
    try:
        return dump_sample(inputs, {spec.name: outputs[spec.name] for spec in served.outputs})
    except ValueError as error:
        raise TrainingError(f"no sample can be made: {error}") from error


def _chosen(values: Columns) -> NDArray[np.int64]:
    """Rows from first to last, and for every input the first where it is missing."""
    count = len(next(iter(values.values())))
    spread = np.unique(np.linspace(0, count - 1, min(ROWS, count)).astype(np.int64))
    missing = [np.flatnonzero(_missing(array))[:1] for array in values.values() if array.ndim == 1]
    return np.unique(np.concatenate([spread, *missing]))


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype == np.object_:
        return np.asarray(values == "", dtype=bool)
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)


def _check_alone(served: Served, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]]) -> None:
    allowed = Sample()
    for row in range(len(next(iter(inputs.values())))):
        alone = served.answer({name: tensor[row : row + 1] for name, tensor in inputs.items()})
        for name, whole in outputs.items():
            wanted = whole[row : row + 1]
            if wanted.dtype.kind == "f":
                absolute = absolute_of(allowed, whole)
                same = np.allclose(alone[name], wanted, allowed.relative, absolute, equal_nan=True)
            else:
                same = np.array_equal(alone[name], wanted)
            if not same:
                raise TrainingError(
                    f"output {name!r} of row {row} is {alone[name].tolist()} alone and {wanted.tolist()} among others; "
                    "no row may depend on another in preprocess and postprocess"
                )
