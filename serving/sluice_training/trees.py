"""Regression trees as one operator that computes in 64 bits, so that sums of many trees are what scikit-learn sums.

ONNX's older operator, which skl2onnx writes, adds in 32 bits: some millionths of the answer for a few hundred trees.
This one (ai.onnx.ml 5, TreeEnsemble) compares and adds in the type of its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common.data_types import DoubleTensorType
from sklearn import ensemble, tree

DOMAIN, OPERATOR, OPSET = "ai.onnx.ml", "TreeEnsemble", 5
_LESS_OR_EQUAL = 0
_SUM = 1


@dataclass(frozen=True, slots=True)
class Node:
    """A split, or a leaf with its `value` (`left` is then negative). Values up to the threshold go left."""

    feature: int
    threshold: float
    left: int
    right: int
    missing_left: bool
    value: float


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees whose leaves are added to `base`. `narrow`: inputs are rounded to 32 bits first, as scikit-learn does.
    `exponential`: the answer is e to the power of the sum.
    """

    trees: list[list[Node]]
    base: float
    narrow: bool
    exponential: bool = False


@dataclass(slots=True)
class _Attributes:
    """The operator's lists: splits and leaves are numbered apart."""

    splits: list[tuple[int, float, int, int, int, int, int]] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def add(self, nodes: list[Node]) -> None:
        """Add a tree. One that is a leaf alone becomes a split with that leaf on both sides."""
        places, first, count = {}, len(self.splits), 0
        for number, node in enumerate(nodes):
            if node.left < 0:
                places[number] = (len(self.leaves), 1)
                self.leaves.append(node.value)
            else:
                places[number] = (first + count, 0)
                count += 1
        inner = [node for node in nodes if node.left >= 0] or [Node(0, 0.0, 0, 0, False, 0.0)]
        for node in inner:
            ends = (*places[node.left], *places[node.right])
            self.splits.append((node.feature, node.threshold, *ends, int(node.missing_left)))
        self.roots.append(first)

    def named(self) -> dict[str, Any]:
        """By the operator's names."""
        features, thresholds, true, true_leaf, false, false_leaf, missing = map(list, zip(*self.splits, strict=True))
        return {
            "aggregate_function": _SUM,
            "post_transform": 0,
            "n_targets": 1,
            "tree_roots": self.roots,
            "nodes_featureids": features,
            "nodes_modes": numpy_helper.from_array(np.full(len(features), _LESS_OR_EQUAL, np.uint8), "modes"),
            "nodes_splits": numpy_helper.from_array(np.array(thresholds, np.float64), "splits"),
            "nodes_truenodeids": true,
            "nodes_trueleafs": true_leaf,
            "nodes_falsenodeids": false,
            "nodes_falseleafs": false_leaf,
            "nodes_missing_value_tracks_true": missing,
            "leaf_targetids": [0] * len(self.leaves),
            "leaf_weights": numpy_helper.from_array(np.array(self.leaves, np.float64), "weights"),
        }


def convert(forest: Forest, scope: Any, operator: Any, container: Any) -> None:
    """Write a forest's nodes between the input and the output of an operator."""
    given = operator.inputs[0].full_name
    if forest.narrow:
        narrow, wide = scope.get_unique_variable_name("narrow"), scope.get_unique_variable_name("wide")
        container.add_node("Cast", [given], [narrow], name=narrow, to=TensorProto.FLOAT, op_version=13)
        container.add_node("Cast", [narrow], [wide], name=wide, to=TensorProto.DOUBLE, op_version=13)
        given = wide
    attributes = _Attributes()
    for nodes in forest.trees:
        attributes.add(nodes)
    total, base = scope.get_unique_variable_name("total"), scope.get_unique_variable_name("base")
    container.add_node(OPERATOR, [given], [total], name=total, op_domain=DOMAIN, op_version=1, **attributes.named())
    container.add_initializer(base, TensorProto.DOUBLE, [1, 1], [forest.base])
    answer = operator.outputs[0].full_name
    added = scope.get_unique_variable_name("added") if forest.exponential else answer
    container.add_node("Add", [total, base], [added], name=f"{total}_base", op_version=14)
    if forest.exponential:
        container.add_node("Exp", [added], [answer], name=f"{total}_exp", op_version=13)


def declared(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the opset that the operator is in, of which skl2onnx does not know."""
    if any(node.op_type == OPERATOR for node in graph.graph.node):
        kept = [entry for entry in graph.opset_import if entry.domain != DOMAIN]
        del graph.opset_import[:]
        graph.opset_import.extend([*kept, helper.make_opsetid(DOMAIN, OPSET)])
    return graph


def shape(operator: Any) -> None:
    """What it gives: one number a row."""
    operator.outputs[0].set_type(DoubleTensorType([operator.inputs[0].get_first_dimension(), 1]))


def forest_of(fitted: Any) -> Forest | None:
    """A fitted regressor's trees; None for one that this has no form for."""
    reader = _READERS.get(type(fitted))
    return reader(fitted) if reader is not None else None


def _single(fitted: Any) -> Forest | None:
    return _mean([fitted])


def _forest(fitted: Any) -> Forest | None:
    return _mean(fitted.estimators_)


def _mean(trees: Iterable[Any]) -> Forest | None:
    kept = list(trees)
    if any(one.tree_.n_outputs > 1 for one in kept):
        return None
    return Forest([list(_nodes(one.tree_, 1 / len(kept))) for one in kept], 0.0, narrow=True)


def _boosted(fitted: Any) -> Forest | None:
    if fitted.init == "zero":
        base = 0.0
    elif fitted.init is None and np.size(getattr(fitted.init_, "constant_", ())) == 1:
        base = float(np.ravel(fitted.init_.constant_)[0])
    else:
        return None
    trees = [list(_nodes(one.tree_, fitted.learning_rate)) for one in np.ravel(fitted.estimators_)]
    return Forest(trees, base, narrow=True)


def _histogram(fitted: Any) -> Forest | None:
    if fitted.is_categorical_ is not None:
        return None
    trees = [list(_binned(one.nodes)) for (one,) in fitted._predictors]
    return Forest(trees, float(np.ravel(fitted._baseline_prediction)[0]), False, fitted.loss in _LOGARITHMIC)


def _nodes(fitted: Any, weight: float) -> Iterator[Node]:
    values = fitted.value.reshape(fitted.node_count, -1)[:, 0] * weight
    missing = getattr(fitted, "missing_go_to_left", np.zeros(fitted.node_count))
    columns = (fitted.feature, fitted.threshold, fitted.children_left, fitted.children_right, missing, values)
    for feature, threshold, left, right, missing_left, value in zip(*columns, strict=True):
        yield Node(int(feature), float(threshold), int(left), int(right), bool(missing_left), float(value))


def _binned(nodes: Any) -> Iterator[Node]:
    for node in nodes:
        left = -1 if node["is_leaf"] else int(node["left"])
        missing, value = bool(node["missing_go_to_left"]), float(node["value"])
        yield Node(int(node["feature_idx"]), float(node["num_threshold"]), left, int(node["right"]), missing, value)


_LOGARITHMIC = ("poisson", "gamma")

_READERS: Mapping[type, Callable[[Any], Forest | None]] = {
    tree.DecisionTreeRegressor: _single,
    tree.ExtraTreeRegressor: _single,
    ensemble.RandomForestRegressor: _forest,
    ensemble.ExtraTreesRegressor: _forest,
    ensemble.GradientBoostingRegressor: _boosted,
    ensemble.HistGradientBoostingRegressor: _histogram,
}
