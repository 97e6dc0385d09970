"""From a fitted estimator to a graph: one named input a column, the same bytes on every machine.

Numbers are 64 bits wide inside (`converters`), whatever the inputs are. Where an estimator has no such converter, the
graph is tried with inputs as they are and then with 32 bits; which one it is, the agreement with the estimator decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import skl2onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from sluice.model import Columns, table, to_tensors
from sluice_training import trees
from sluice_training.converters import converters, convertible, shape_calculators
from sluice_training.errors import TrainingError
from sluice_training.targets import untransformed

OPSETS = {"": 18, "ai.onnx.ml": 3}
"""The newest that skl2onnx writes."""
IR_VERSION = 9
PRODUCER = "sluice"

RELATIVE = 1e-5
"""How closely the graph gives what the estimator gives, by value."""

ABSOLUTE = 1e-6
"""The same where values are near zero, by the standard deviation of their own column; of probabilities, as it is."""

_WIDTHS: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "64 bits": lambda array: array if array.dtype == np.object_ else array.astype(np.float64),
    "as given": lambda array: array,
    "32 bits": lambda array: array if array.dtype == np.object_ else array.astype(np.float32),
}
_ONNX = {
    np.dtype(np.float64): (DoubleTensorType, TensorProto.DOUBLE),
    np.dtype(np.float32): (FloatTensorType, TensorProto.FLOAT),
    np.dtype(np.int64): (Int64TensorType, TensorProto.INT64),
    np.dtype(np.bool_): (BooleanTensorType, TensorProto.BOOL),
    np.dtype(np.object_): (StringTensorType, TensorProto.STRING),
}


def export(
    estimator: Any, sample: Columns, outputs: Sequence[str], check: Callable[[onnx.ModelProto], None]
) -> onnx.ModelProto:
    """The graph of an estimator that was fitted on these columns. `outputs`: names for what it gives, in order.

    `check` raises TrainingError for a graph that does not do what the estimator does.

    Raises:
        TrainingError: no graph can be made of the estimator, or none that agrees with it.
    """
    inner, undo = untransformed(estimator)
    wrapped, refused = _by_name(inner, list(sample)), list[TrainingError]()
    for width, widened in _WIDTHS.items():
        try:
            graph = _named(undo(_converted(wrapped, sample, widened)), outputs)
            check(graph)
            return graph
        except TrainingError as error:
            refused.append(TrainingError(f"{error} (computing with {width})"))
    raise refused[0]


def tidy(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph without who made it and when, so that equal models are equal bytes."""
    clean = onnx.ModelProto()
    clean.CopyFrom(graph)
    clean.producer_name, clean.producer_version, clean.domain, clean.doc_string = PRODUCER, "", "", ""
    clean.model_version = 0
    del clean.metadata_props[:]
    clean.graph.name, clean.graph.doc_string = "model", ""
    for node in clean.graph.node:
        node.doc_string = ""
    return clean


def serialized(graph: onnx.ModelProto) -> bytes:
    """Bytes of a graph; equal graphs give equal bytes."""
    return graph.SerializeToString(deterministic=True)


def expected(estimator: Any, values: Columns) -> list[NDArray[Any]]:
    """What the estimator says of rows, in the order of the graph's outputs: predictions, then probabilities, if any."""
    given = table(values)
    predicted = [np.asarray(estimator.predict(given))]
    if is_classifier(estimator) and hasattr(estimator, "predict_proba"):
        predicted.append(np.asarray(estimator.predict_proba(given)))
    return predicted


def disagreement(given: NDArray[Any], wanted: NDArray[Any], *, probabilities: bool = False) -> int | None:
    """The first row where a graph's output is not what the estimator says; None where there is none."""
    wanted = wanted.reshape(given.shape) if wanted.size == given.size else wanted
    if given.shape != wanted.shape:
        return 0
    if wanted.dtype.kind == "f":
        numbers = given.astype(np.float64)
        floor = ABSOLUTE * (1.0 if probabilities else np.nanstd(wanted, axis=0))
        same = np.isclose(numbers, wanted, rtol=RELATIVE, atol=floor, equal_nan=True)
    else:
        same = given.astype(str) == wanted.astype(str)
    wrong = np.flatnonzero(~same.reshape(len(same), -1).all(axis=1))
    return int(wrong[0]) if len(wrong) else None


def _by_name(estimator: Any, names: list[str]) -> Any:
    """An estimator that selects its columns by name is left as it is; others are given all of them side by side."""
    fitted = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    if not fitted:
        raise TrainingError(
            f"{type(estimator).__name__} does not know the names of its columns; fit it on sluice.model.table(data)"
        )
    if missing := [name for name in fitted if name not in names]:
        raise TrainingError(f"{type(estimator).__name__} was fitted on columns that the data has not: {missing}")
    first = estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    if isinstance(first, ColumnTransformer):
        return estimator
    columns = ColumnTransformer([("columns", "passthrough", fitted)])
    columns.fit(table({name: np.zeros(2) for name in names}))
    return Pipeline([("columns", columns), ("estimator", estimator)])


def _converted(estimator: Any, sample: Columns, widened: Callable[[NDArray[Any]], NDArray[Any]]) -> onnx.ModelProto:
    tensors = to_tensors(sample)
    inner = {name: widened(array) for name, array in tensors.items()}
    types = [(name, _ONNX[array.dtype][0]([None, array.shape[1]])) for name, array in inner.items()]
    try:
        graph = skl2onnx.convert_sklearn(
            estimator,
            initial_types=types,
            options={"zipmap": False} if hasattr(estimator, "predict_proba") else None,
            target_opset=OPSETS,
            custom_conversion_functions=dict(converters()),
            custom_shape_calculators=dict(shape_calculators()),
            name="model",
        )
    except Exception as error:  # what converters raise has no base class
        raise TrainingError(_unconverted(estimator, error)) from error
    return _with_inputs(trees.declared(tidy(graph)), tensors, inner)


def _with_inputs(graph: onnx.ModelProto, tensors: Columns, inner: Columns) -> onnx.ModelProto:
    """Inputs of the data's own types, those alone that the graph reads, and casts to the types it computes with."""
    read = {name for node in graph.graph.node for name in node.input}
    casts, values = [], []
    for name in (name for name in tensors if name in read):
        given, wide = tensors[name], inner[name]
        values.append(helper.make_tensor_value_info(name, _ONNX[given.dtype][1], [None, given.shape[1]]))
        if given.dtype != wide.dtype:
            _rename(graph.graph.node, name, f"{name}/wide")
            casts.append(helper.make_node("Cast", [name], [f"{name}/wide"], f"{name}/cast", to=_ONNX[wide.dtype][1]))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.input[:], graph.graph.node[:]
    graph.graph.input.extend(values)
    graph.graph.node.extend(nodes)
    graph.ir_version = IR_VERSION
    return graph


def _named(graph: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Outputs by our names. A name that the graph has for something else is given to none of its tensors."""
    taken = {name for node in graph.graph.node for name in (*node.input, *node.output)}
    for output, wanted in zip(graph.graph.output, names, strict=True):
        name = f"{wanted}_predicted" if wanted in taken and wanted != output.name else wanted
        for node in graph.graph.node:
            node.output[:] = [name if old == output.name else old for old in node.output]
        _rename(graph.graph.node, output.name, name)
        output.name = name
    return graph


def _rename(nodes: Any, old: str, new: str) -> None:
    for node in nodes:
        node.input[:] = [new if name == old else name for name in node.input]


def _unconverted(estimator: Any, error: Exception) -> str:
    lacking = sorted({type(part).__name__ for part in _parts(estimator) if type(part).__name__ not in convertible()})
    if not lacking:
        return f"no graph can be made of {type(estimator).__name__}: {_line(error)}"
    return (
        f"{', '.join(lacking)} cannot become an ONNX graph: skl2onnx has no converter for it; use another estimator, "
        "or return an onnx.ModelProto from train"
    )


def _parts(estimator: Any) -> Iterator[Any]:
    """The estimators within an estimator, the innermost first."""
    if isinstance(estimator, list | tuple):
        for item in estimator:
            yield from _parts(item)
    elif hasattr(estimator, "get_params") and not isinstance(estimator, type):
        nested = [value for name, value in sorted(vars(estimator).items()) if name.endswith("_") or name == "steps"]
        for value in nested:
            if isinstance(value, list | tuple) or hasattr(value, "get_params"):
                yield from _parts(value)
        if not isinstance(estimator, Pipeline | ColumnTransformer):
            yield estimator


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
