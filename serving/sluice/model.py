"""The base class that data scientists inherit, and the little that training and serving must do alike around it.

`sluice train` runs such a class and writes the package. Where `preprocess` and `postprocess` are not overridden, all of
the package is one ONNX graph, and no Python is needed to serve it. Where they are, their module travels in the package,
and the runtime calls the very same methods. So this module imports NumPy alone, and a class's module should import what
only training needs inside `train`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sluice.contract import Clock, FeatureReferences, Variable

Columns: TypeAlias = Mapping[str, NDArray[Any]]
"""Values by name, one a row: arrays of shape [rows], or [rows, n] where a name has several. Text is `str` in arrays of
objects. Missing: NaN in numbers, empty text; integers have none."""

ARRAYS_FILE = "state.npz"
VALUES_FILE = "state.json"
"""Below the package's `code/`: the fitted state, without pickles."""


class Model:
    """A model, from its features to its answers. Override what differs; `train` always does.

    All attributes are of the class:
    `name`, `version`: as callers and stores will say it.
    `target`: the column to predict, or several.
    `inputs`: the columns it is asked with; None: all but the target, the entities' keys and the timestamp.
    `clock`: the input that the runtime fills with the time; in training it is the row's timestamp.
    `variables`: what is declared of inputs, in place of what training data show.
    `parameters`: values that `--search` chooses among, the first of each being what is used without it.
    `slices`, `groups`: columns, of the data if not of the inputs, by whose values the card tells metrics and fairness.
    `card`: what the card says in words: description, owner, license, intendedUse, limitations.
    """

    name: str = ""
    version: str = "1"
    target: str | Sequence[str] = ""
    inputs: Sequence[str] | None = None
    clock: Clock | None = None
    variables: Sequence[Variable] = ()
    parameters: Mapping[str, Sequence[bool | int | float | str]] = {}
    slices: Sequence[str] = ()
    groups: Sequence[str] = ()
    card: Mapping[str, str] = {}

    def __init__(self) -> None:
        # Fitted by `prepare`: arrays and JSON values that `preprocess` and `postprocess` read.
        self.state: dict[str, Any] = {}
        # Of `previous`: the `onnx.ModelProto` of the package that it was read from.
        self.graph: Any = None

    def features(self) -> FeatureReferences | None:
        """Which inputs a feature store fills; None: callers give them all."""
        return None

    def prepare(self, inputs: Columns) -> None:
        """Fit `state` on the training rows, before they are preprocessed."""

    def preprocess(self, inputs: Columns) -> Columns:
        """From what the model is asked with to what its graph takes, row by row: no row may depend on another."""
        return inputs

    def train(self, data: Columns, target: Any, *, seed: int, previous: Model | None = None, **parameters: Any) -> Any:
        """Fit on preprocessed columns; `sluice.model.table` makes of them what scikit-learn takes with names.

        `target`: [rows], or [rows, n] for several. Returns a fitted scikit-learn estimator, or an `onnx.ModelProto`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method train; it must return what it has fitted")

    def postprocess(self, outputs: Columns) -> Columns:
        """From what the graph gives to what callers are answered, row by row."""
        return outputs

    def restore(self, folder: Path) -> None:
        """Read `state` from a package's `code/`.

        Raises:
            OSError: a file cannot be read. ValueError: it is not what `save` wrote, or holds a pickle.
        """
        self.state = {}
        if (folder / VALUES_FILE).is_file():
            self.state |= json.loads((folder / VALUES_FILE).read_text(encoding="utf-8"))
        if (folder / ARRAYS_FILE).is_file():
            with np.load(folder / ARRAYS_FILE, allow_pickle=False) as arrays:
                self.state |= {name: arrays[name] for name in arrays.files}

    def save(self, folder: Path) -> None:
        """Write `state` for `restore`; equal states give equal bytes.

        Raises:
            ValueError: a value is neither an array of numbers or text nor JSON.
        """
        arrays = {name: value for name, value in sorted(self.state.items()) if isinstance(value, np.ndarray)}
        values = {name: value for name, value in self.state.items() if name not in arrays}
        if pickled := [name for name, value in arrays.items() if value.dtype.hasobject]:
            raise ValueError(f"state[{pickled[0]!r}] is an array of objects; make it .astype(str), or a list")
        if values:
            (folder / VALUES_FILE).write_text(_json(values), encoding="utf-8")
        if arrays:
            np.savez(folder / ARRAYS_FILE, allow_pickle=False, **arrays)


def overrides(model: Model | type[Model]) -> bool:
    """Whether serving needs the class's Python: whether it overrides `preprocess` or `postprocess`."""
    kind = model if isinstance(model, type) else type(model)
    return kind.preprocess is not Model.preprocess or kind.postprocess is not Model.postprocess


def to_columns(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Tensors of requests or of a graph as the methods of a model take them: [rows, 1] becomes [rows]."""
    return {name: array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array for name, array in tensors.items()}


def to_tensors(columns: Columns) -> dict[str, NDArray[Any]]:
    """Columns as the tensors of a graph or an answer: [rows] becomes [rows, 1], and text `str` in arrays of objects."""
    return {name: _tensor(np.asarray(array)) for name, array in columns.items()}


def table(columns: Columns) -> Any:
    """Columns as a `pyarrow.Table`, which scikit-learn (1.9 or newer) selects from by name and whose names it keeps."""
    import pyarrow as pa  # noqa: PLC0415 whoever serves needs none

    return pa.table({name: pa.array(array, from_pandas=False) for name, array in columns.items()})


def _tensor(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "US":
        array = array.astype(str).astype(np.object_)
    return array[:, np.newaxis] if array.ndim == 1 else array


def _json(values: Mapping[str, Any]) -> str:
    try:
        return json.dumps(values, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except TypeError as error:
        raise ValueError(f"state holds what is neither an array nor JSON: {error}") from error
