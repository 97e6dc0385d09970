"""The graph does what the estimator does, to the last digits; and where it cannot, nothing is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from sklearn import ensemble, linear_model, neighbors, neural_network, svm, tree
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor

from sluice.model import table, to_tensors
from sluice_training import export
from sluice_training.arrow_frames import adapt
from sluice_training.data import canonical, columns
from sluice_training.errors import TrainingError
from sluice_training.serving import Graph
from unit.training.shops import pipeline, shops

TABLE = canonical(shops(200))
ROWS = columns(TABLE, ["size", "staff", "city", "open"])
REVENUE, GOOD = columns(TABLE, ["revenue", "good"]).values()

REGRESSORS = [
    linear_model.Ridge(),
    linear_model.PoissonRegressor(),
    tree.DecisionTreeRegressor(random_state=0),
    ensemble.RandomForestRegressor(10, random_state=0),
    ensemble.ExtraTreesRegressor(10, random_state=0),
    ensemble.GradientBoostingRegressor(loss="huber", n_estimators=50, random_state=0),
    ensemble.HistGradientBoostingRegressor(max_iter=20, random_state=0),
    ensemble.HistGradientBoostingRegressor(max_iter=20, loss="gamma", random_state=0),
    neighbors.KNeighborsRegressor(),
    TransformedTargetRegressor(linear_model.Ridge(), func=np.log, inverse_func=np.exp),
    TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1),
    TransformedTargetRegressor(tree.DecisionTreeRegressor(random_state=0), func=np.sqrt, inverse_func=np.square),
]
CLASSIFIERS = [
    linear_model.LogisticRegression(),
    ensemble.RandomForestClassifier(10, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0),
    neural_network.MLPClassifier((4,), max_iter=20, tol=10.0, random_state=0),
]


def fitted(estimator: Any, target: NDArray[Any]) -> Any:
    adapt()
    return pipeline(estimator).fit(table(ROWS), target)


def given(graph: onnx.ModelProto) -> list[NDArray[Any]]:
    return list(Graph(graph).run(to_tensors(ROWS)).values())


def runs(graph: onnx.ModelProto) -> None:
    given(graph)


def exported(estimator: Any, names: list[str]) -> onnx.ModelProto:
    """The first graph that can be run, whatever it gives."""
    first = {name: values[:1] for name, values in ROWS.items()}
    return export.export(estimator, first, names, runs)


@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda one: type(one).__name__)
def test_numbers_are_the_estimators_own(estimator: Any) -> None:
    model = fitted(estimator, REVENUE)
    (answers,) = given(exported(model, ["revenue"]))
    np.testing.assert_allclose(answers.ravel(), model.predict(table(ROWS)), rtol=1e-12)


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda one: type(one).__name__)
def test_classes_are_the_estimators_own_and_probabilities_nearly(estimator: Any) -> None:
    model = fitted(estimator, GOOD)
    labels, probabilities = given(exported(model, ["good", "probabilities"]))
    wanted = export.expected(model, ROWS)
    assert export.disagreement(labels, wanted[0]) is None
    assert export.disagreement(probabilities, wanted[1], probabilities=True) is None


def test_a_transformed_target_around_a_whole_pipeline_is_undone_too() -> None:
    adapt()
    model = TransformedTargetRegressor(pipeline(linear_model.Ridge()), func=np.log, inverse_func=np.exp)
    model.fit(table(ROWS), REVENUE)
    (answers,) = given(exported(model, ["revenue"]))
    np.testing.assert_allclose(answers.ravel(), model.predict(table(ROWS)), rtol=1e-12)


def test_inputs_are_of_the_datas_types_and_only_those_that_are_read() -> None:
    model = fitted(linear_model.Ridge(), REVENUE)
    more = {**ROWS, "unused": REVENUE}
    graph = export.export(model, {name: values[:1] for name, values in more.items()}, ["revenue"], lambda graph: None)
    types = {spec.name: spec.datatype for spec in Graph(graph).inputs}
    assert types == {"size": "FP64", "staff": "FP64", "city": "BYTES", "open": "BOOL"}
    assert [spec.name for spec in Graph(graph).outputs] == ["revenue"]


def test_an_estimator_without_a_column_transformer_is_given_its_columns_in_its_order() -> None:
    adapt()
    numbers = {"open": ROWS["open"], "size": ROWS["size"]}
    model = linear_model.Ridge().fit(table({"size": ROWS["size"], "open": ROWS["open"]}), REVENUE)
    graph = export.export(model, {name: values[:1] for name, values in numbers.items()}, ["r"], lambda graph: None)
    wanted = model.predict(table({"size": ROWS["size"], "open": ROWS["open"]}))
    (answers,) = Graph(graph).run(to_tensors(numbers)).values()
    np.testing.assert_allclose(answers.ravel(), wanted, rtol=1e-12)


def test_equal_estimators_are_equal_bytes_that_say_nothing_of_who_made_them() -> None:
    one, two = (exported(fitted(linear_model.Ridge(), REVENUE), ["revenue"]) for _ in range(2))
    assert export.serialized(one) == export.serialized(two)
    assert (one.producer_name, one.producer_version, list(one.metadata_props)) == ("sluice", "", [])


class Odd(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Nothing that anybody could convert."""

    def fit(self, x: Any, y: Any) -> Odd:
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, x: Any) -> NDArray[Any]:
        return np.full(len(x), self.mean_)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (Odd(), "Odd"),
        (ensemble.VotingRegressor([("odd", Odd()), ("ridge", linear_model.Ridge())]), "Odd"),
        (
            TransformedTargetRegressor(linear_model.Ridge(), func=np.cbrt, inverse_func=lambda y: y**3),
            "TransformedTargetRegressor",
        ),
    ],
)
def test_an_estimator_without_a_converter_is_named(estimator: Any, name: str) -> None:
    with pytest.raises(TrainingError, match=f"^{name} cannot become an ONNX graph"):
        exported(fitted(estimator, REVENUE), ["revenue"])


def test_an_estimator_that_knows_no_names_is_told_what_to_be_fitted_on() -> None:
    model = linear_model.Ridge().fit(ROWS["size"].reshape(-1, 1), REVENUE)
    with pytest.raises(TrainingError, match=r"fit it on sluice.model.table"):
        exported(model, ["revenue"])


def test_where_no_graph_agrees_the_first_disagreement_is_told() -> None:
    def refuse(graph: onnx.ModelProto) -> None:
        raise TrainingError("row 3")

    model = fitted(linear_model.Ridge(), REVENUE)
    with pytest.raises(TrainingError, match=r"row 3 \(computing with 64 bits\)"):
        export.export(model, {name: values[:1] for name, values in ROWS.items()}, ["revenue"], refuse)


@pytest.mark.parametrize(
    ("answers", "wanted", "row"),
    [
        ([[1.0], [2.0]], [1.0, 2.0], None),
        ([[1.0], [2.0001]], [1.0, 2.0], 1),
        ([[1e6], [1e-9]], [1e6, 0.0], None),
        ([[np.nan], [1.0]], [np.nan, 1.0], None),
        ([[np.nan], [1.0]], [0.5, 1.0], 0),
        ([[0.3, 0.7]], [[0.3, 0.7000001]], None),
        ([[0.3, 0.7]], [[0.31, 0.69]], 0),
    ],
)
def test_how_closely_they_must_agree(answers: list[Any], wanted: list[Any], row: int | None) -> None:
    assert export.disagreement(np.array(answers), np.array(wanted)) == row


def test_a_target_of_small_numbers_is_judged_beside_one_of_large_ones() -> None:
    wanted = np.column_stack([np.linspace(1e6, 2e6, 50), np.linspace(0.01, 0.02, 50)])
    given = wanted.copy()
    assert export.disagreement(given, wanted) is None
    given[7, 1] = 0.4
    assert export.disagreement(given, wanted) == 7


@pytest.mark.parametrize(("given", "row"), [([[1.0, 0.0], [0.9999999, 1e-7]], None), ([[1.0, 0.0], [0.9, 0.1]], 1)])
def test_probabilities_near_zero_are_judged_as_they_are(given: list[Any], row: int | None) -> None:
    assert export.disagreement(np.array(given), np.array([[1.0, 0.0], [1.0, 0.0]]), probabilities=True) == row


def test_labels_must_be_the_same() -> None:
    labels = np.array(["a", "b"], dtype=object)
    assert export.disagreement(labels, np.array(["a", "b"])) is None
    assert export.disagreement(labels, np.array(["a", "c"])) == 1


def test_support_vectors_are_within_the_tolerance() -> None:
    model = fitted(svm.SVR(), REVENUE)
    (answers,) = given(exported(model, ["revenue"]))
    assert export.disagreement(answers, model.predict(table(ROWS))) is None
