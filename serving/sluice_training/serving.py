"""A trained model as it will be served, which is what is measured: preprocessing, graph, postprocessing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from sluice.graph import signature_of
from sluice.manifest import Datatype, TensorSpec
from sluice.model import Columns, Model, overrides, to_columns, to_tensors
from sluice_training.errors import TrainingError
from sluice_training.export import serialized
from sluice_training.guarding import guarded

_DATATYPES = {
    "float64": Datatype.FP64,
    "float32": Datatype.FP32,
    "float16": Datatype.FP16,
    "int64": Datatype.INT64,
    "int32": Datatype.INT32,
    "int16": Datatype.INT16,
    "int8": Datatype.INT8,
    "uint64": Datatype.UINT64,
    "uint32": Datatype.UINT32,
    "uint16": Datatype.UINT16,
    "uint8": Datatype.UINT8,
    "bool": Datatype.BOOL,
    "object": Datatype.BYTES,
}

_DTYPES = {datatype: name for name, datatype in _DATATYPES.items()}


class Graph:
    """A graph that is loaded, on one thread."""

    def __init__(self, model: onnx.ModelProto) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(serialized(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise TrainingError(f"ONNX Runtime cannot load the graph: {_line(error)}") from error
        self.inputs, self.outputs = signature_of(model)

    def run(self, tensors: Columns) -> dict[str, NDArray[Any]]:
        """Run it on tensors by name; those that it does not take are left out.

        Raises:
            TrainingError: a tensor is missing, or the graph fails.
        """
        names = [spec.name for spec in self.outputs]
        if lacking := [spec.name for spec in self.inputs if spec.name not in tensors]:
            raise TrainingError(f"the graph takes {', '.join(lacking)}, and nothing gives it")
        try:
            given = self._session.run(names, {spec.name: tensors[spec.name] for spec in self.inputs})
        except Exception as error:
            raise TrainingError(f"ONNX Runtime cannot run the graph: {_line(error)}") from error
        return dict(zip(names, given, strict=True))


class Served:
    """What callers of the package will ask and be answered; `inputs` and `outputs` are its signature."""

    def __init__(self, model: Model, graph: Graph, example: Columns) -> None:
        self._model, self._graph = model, graph
        self._python = overrides(model)
        if not self._python:
            self.inputs, self.outputs = graph.inputs, graph.outputs
            return
        tensors = to_tensors(example)
        self.inputs = tuple(_spec(name, array) for name, array in tensors.items())
        self.outputs = tuple(_spec(name, array) for name, array in self.answer(tensors).items())

    def tensors(self, values: Columns) -> dict[str, NDArray[Any]]:
        """Inputs by name as requests would carry them: in the types that a graph may have of its own."""
        tensors = to_tensors(values)
        return {spec.name: tensors[spec.name].astype(_DTYPES[spec.datatype], copy=False) for spec in self.inputs}

    def answer(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name for inputs by name, as tensors.

        Raises:
            TrainingError: the graph fails, or the class's Python does.
        """
        if not self._python:
            return self._graph.run(tensors)
        model, own = self._model, to_columns({name: tensor.copy() for name, tensor in tensors.items()})
        prepared = guarded(model, "preprocess", lambda: to_tensors(model.preprocess(own)))
        given = to_columns(self._graph.run(prepared))
        return guarded(model, "postprocess", lambda: to_tensors(model.postprocess(given)))

    def predictions(self, values: Columns, targets: Sequence[str]) -> NDArray[Any]:
        """What it predicts for the target, or the targets side by side: the output of that name, or the first."""
        given = to_columns(self.answer(self.tensors(values)))
        if all(name in given for name in targets) and len(targets) > 1:
            return np.column_stack([given[name] for name in targets])
        return np.asarray(given.get(targets[0], next(iter(given.values()))))


def _spec(name: str, array: NDArray[Any]) -> TensorSpec:
    datatype = _DATATYPES.get(array.dtype.name)
    if datatype is None:
        raise TrainingError(f"{name!r} is of NumPy's type {array.dtype}, which no request can carry; cast it")
    return TensorSpec(name=name, datatype=datatype, shape=(-1, *array.shape[1:]))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
