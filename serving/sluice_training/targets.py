"""A regressor of a transformed target, its logarithm, say: skl2onnx has no converter, and a graph says it in a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline

Undo = Callable[[onnx.ModelProto], onnx.ModelProto]


def untransformed(estimator: Any) -> tuple[Any, Undo]:
    """The estimator without the target's transformation, and what puts it behind the estimator's graph.

    An estimator that is transformed otherwise than by NumPy's log, log1p or sqrt is given back as it is.
    """
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(last, TransformedTargetRegressor):
        return estimator, lambda graph: graph
    operators = _INVERSES.get(last.inverse_func) if last.transformer is None else None
    if operators is None:
        return estimator, lambda graph: graph
    inner = last.regressor_
    before = estimator.steps[:-1] if isinstance(estimator, Pipeline) else []
    kept = Pipeline([*before, (estimator.steps[-1][0], inner)]) if before else inner
    return kept, lambda graph: _behind(graph, operators)


def _behind(graph: onnx.ModelProto, operators: tuple[str, ...]) -> onnx.ModelProto:
    (output,) = graph.graph.output
    name = output.name
    for number, operator in enumerate(operators):
        undone = f"{output.name}/undone{number}"
        graph.graph.node.append(helper.make_node(operator, _inputs(graph, operator, name), [undone], undone))
        name = undone
    output.name = name
    return graph


def _inputs(graph: onnx.ModelProto, operator: str, name: str) -> list[str]:
    if operator == "Mul":
        return [name, name]
    if operator != "Sub":
        return [name]
    dtype = helper.tensor_dtype_to_np_dtype(graph.graph.output[0].type.tensor_type.elem_type)
    graph.graph.initializer.append(numpy_helper.from_array(np.array([1], dtype), f"{name}/one"))
    return [name, f"{name}/one"]


_INVERSES: Mapping[Any, tuple[str, ...]] = {np.exp: ("Exp",), np.expm1: ("Exp", "Sub"), np.square: ("Mul",)}
"""By what undoes the transformation."""
