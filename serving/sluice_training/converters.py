"""What skl2onnx needs so that a pipeline computes in 64 bits wherever scikit-learn does.

A value that is scaled in 32 bits may fall on the other side of a tree's threshold. So all numbers are 64 bits wide up
to the trees, which round to 32 bits as scikit-learn's own do. These go with one conversion each and are registered
nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn import ensemble, tree
from sklearn.impute import SimpleImputer

from sluice_training import trees

Converter = Callable[[Any, Any, Any], None]
ShapeCalculator = Callable[[Any], None]

_TREES = (
    tree.DecisionTreeRegressor,
    tree.DecisionTreeClassifier,
    tree.ExtraTreeRegressor,
    tree.ExtraTreeClassifier,
    ensemble.RandomForestRegressor,
    ensemble.RandomForestClassifier,
    ensemble.ExtraTreesRegressor,
    ensemble.ExtraTreesClassifier,
    ensemble.GradientBoostingRegressor,
    ensemble.GradientBoostingClassifier,
    ensemble.HistGradientBoostingRegressor,
    ensemble.HistGradientBoostingClassifier,
)


def converters() -> Mapping[type, Converter]:
    """Ours, by type of estimator."""
    return {kind: _of_trees(get_converter(sklearn_operator_name_map[kind])) for kind in _TREES} | {
        SimpleImputer: _imputer
    }


def shape_calculators() -> Mapping[type, ShapeCalculator]:
    """What those give."""
    return {kind: _narrow_outputs(get_shape_calculator(sklearn_operator_name_map[kind])) for kind in _TREES} | {
        SimpleImputer: _imputed
    }


def convertible() -> frozenset[str]:
    """Names of estimators that can become a graph."""
    return frozenset(kind.__name__ for kind in sklearn_operator_name_map)


def _of_trees(convert: Converter) -> Converter:
    def converted(scope: Any, operator: Any, container: Any) -> None:
        forest = _wide(operator)
        if forest is not None:
            trees.convert(forest, scope, operator, container)
            return
        convert(scope, _narrowed(scope, operator, container), _PlainAttributes(container))

    # skl2onnx asks the converter which options it knows.
    converted.get_allowed_options = lambda *_: _OPTIONS  # type: ignore[attr-defined]
    return converted


_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "raw_scores": [True, False],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "decision_path": [True, False],
    "decision_leaf": [True, False],
}


def _wide(operator: Any) -> trees.Forest | None:
    """A regressor's trees where there is an operator that takes them in 64 bits."""
    wide = isinstance(operator.inputs[0].type, DoubleTensorType)
    return trees.forest_of(operator.raw_operator) if wide else None


def _narrowed(scope: Any, operator: Any, container: Any) -> Any:
    wide = operator.inputs[0]
    if not isinstance(wide.type, DoubleTensorType):
        return operator
    narrow = scope.declare_local_variable("narrow", FloatTensorType(wide.type.shape))
    container.add_node(
        "Cast",
        [wide.full_name],
        [narrow.full_name],
        name=f"{narrow.full_name}_cast",
        to=TensorProto.FLOAT,
        op_version=13,
    )
    return _WithInput(operator, narrow)


def _narrow_outputs(calculate: ShapeCalculator) -> ShapeCalculator:
    def calculated(operator: Any) -> None:
        if _wide(operator) is not None:
            trees.shape(operator)
            return
        calculate(operator)
        for output in operator.outputs:
            if isinstance(output.type, DoubleTensorType):
                output.set_type(FloatTensorType(output.type.shape))

    return calculated


class _WithInput:
    """An operator that is fed by another variable."""

    def __init__(self, operator: Any, variable: Any) -> None:
        self._operator = operator
        self.inputs = [variable]
        self.input_full_names = [variable.full_name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operator, name)


class _PlainAttributes:
    """A container that takes NumPy's numbers and truths as attributes, which onnx refuses and trees have."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *arguments: Any, **attributes: Any) -> None:
        """Add a node as the container does."""
        self._container.add_node(*arguments, **{name: _plain(value) for name, value in attributes.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, bool) else value


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    """Numbers: the statistic where the value is NaN, in any width."""
    fitted, given = operator.raw_operator, operator.inputs[0]
    if not isinstance(given.type, DoubleTensorType) or not _of_nan(fitted):
        get_converter(sklearn_operator_name_map[SimpleImputer])(scope, operator, container)
        return
    missing, statistics = scope.get_unique_variable_name("missing"), scope.get_unique_variable_name("statistics")
    container.add_initializer(statistics, TensorProto.DOUBLE, [1, len(fitted.statistics_)], fitted.statistics_)
    container.add_node("IsNaN", [given.full_name], [missing], name=f"{missing}_is", op_version=13)
    container.add_node(
        "Where",
        [missing, statistics, given.full_name],
        [operator.outputs[0].full_name],
        name=f"{missing}_where",
        op_version=9,
    )


def _imputed(operator: Any) -> None:
    get_shape_calculator(sklearn_operator_name_map[SimpleImputer])(operator)
    if isinstance(operator.inputs[0].type, DoubleTensorType):
        operator.outputs[0].set_type(DoubleTensorType(operator.outputs[0].type.shape))


def _of_nan(fitted: SimpleImputer) -> bool:
    given = fitted.missing_values
    kept = not fitted.add_indicator and fitted.statistics_.dtype.kind == "f" and not np.isnan(fitted.statistics_).any()
    return kept and isinstance(given, float) and np.isnan(given)
