"""Runs what a data scientist wrote, the same way every time: seeded, on one thread, and with errors that say where."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from sklearn.base import is_classifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from sluice.model import Columns, Model, overrides, table, to_columns, to_tensors
from sluice_training.arrow_frames import adapt
from sluice_training.errors import TrainingError
from sluice_training.guarding import guarded
from sluice_training.serving import Graph

Parameters = Mapping[str, bool | int | float | str]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model with its state, and what its `train` returned."""

    model: Model
    estimator: Any
    parameters: Parameters

    @property
    def classifies(self) -> bool:
        """Whether the answer is a class."""
        return not isinstance(self.estimator, onnx.ModelProto) and bool(is_classifier(self.estimator))

    def as_served(self) -> Fitted:
        """The same with a model as the runtime makes it: a new one, with what a package keeps of the state.

        Raises:
            TrainingError: the state cannot be kept.
        """
        if not overrides(self.model):
            return self
        kind = type(self.model)
        model = guarded(kind, "__init__", kind)
        with tempfile.TemporaryDirectory(prefix="sluice-") as scratch:
            saved(self.model, Path(scratch))
            guarded(model, "restore", lambda: model.restore(Path(scratch)))
        return replace(self, model=model)

    def outputs(self, targets: Sequence[str]) -> list[str]:
        """Names for what a graph of the estimator gives."""
        if self.classifies:
            return [targets[0], "probabilities" if hasattr(self.estimator, "predict_proba") else "scores"]
        return [targets[0] if len(targets) == 1 else "prediction"]

    def predictions(self, inputs: Columns, targets: Sequence[str]) -> NDArray[Any]:
        """What it predicts, before there is a graph of it: enough to compare candidates."""
        prepared = guarded(self.model, "preprocess", lambda: self.model.preprocess(copied(inputs)))
        if isinstance(self.estimator, onnx.ModelProto):
            given = to_columns(Graph(self.estimator).run(to_tensors(prepared)))
        else:
            given = {self.outputs(targets)[0]: np.asarray(self.estimator.predict(table(prepared)))}
            if self.classifies and hasattr(self.estimator, "predict_proba"):
                given["probabilities"] = np.asarray(self.estimator.predict_proba(table(prepared)))
        answered = guarded(self.model, "postprocess", lambda: self.model.postprocess(given))
        return np.asarray(answered.get(targets[0], next(iter(answered.values()))))


def fit(
    kind: type[Model],
    inputs: Columns,
    target: NDArray[Any],
    *,
    seed: int,
    parameters: Parameters,
    previous: Model | None,
) -> Fitted:
    """Make a model of the class, and train it.

    Raises:
        TrainingError: one of its methods failed, saying where.
    """
    adapt()
    model = guarded(kind, "__init__", kind)
    with threadpool_limits(1):
        _seed(seed)
        guarded(model, "prepare", lambda: model.prepare(copied(inputs)))
        prepared = guarded(model, "preprocess", lambda: model.preprocess(copied(inputs)))
        _check(model, prepared, len(target))
        _seed(seed)
        estimator = guarded(
            model, "train", lambda: model.train(prepared, target, seed=seed, previous=previous, **parameters)
        )
    if not isinstance(estimator, onnx.ModelProto) and not hasattr(estimator, "predict"):
        raise TrainingError(
            f"{kind.__name__}.train returned {type(estimator).__name__}; return a fitted scikit-learn estimator, "
            "or an onnx.ModelProto"
        )
    return Fitted(model, estimator, parameters)


def saved(model: Model, folder: Path) -> None:
    """Write a model's state.

    Raises:
        TrainingError: it holds what no package keeps.
    """
    try:
        model.save(folder)
    except ValueError as error:
        raise TrainingError(str(error)) from error


def copied(inputs: Columns) -> Columns:
    """Columns that a method may change without changing what others are given, as in serving."""
    return {name: array.copy() for name, array in inputs.items()}


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)


def _check(model: Model, prepared: Columns, rows: int) -> None:
    for name, array in prepared.items():
        if len(np.asarray(array)) != rows:
            raise TrainingError(
                f"{type(model).__name__}.preprocess made {len(np.asarray(array))} values of {name!r} from {rows} rows; "
                "it must keep the rows as they are"
            )
