"""THE PATH from a class and its data to a package: read, hold out, search, fit, export, evaluate, describe.

What the package says of the model was measured on the very model that is in it: held-out rows are not added afterwards,
and predictions are those of the graph, not of the estimator, with what a package keeps of the state around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from sluice.contract import FeatureReferences, Variable
from sluice.manifest import Card, Training, explain
from sluice.model import Model, to_columns, to_tensors
from sluice.statistics import Statistics
from sluice_training import describing, evaluation, export, record, sampling
from sluice_training.data import digest, rows, taken
from sluice_training.declared import check_declared, check_searched, checked_features
from sluice_training.errors import TrainingError
from sluice_training.evaluation import Task
from sluice_training.fitting import Fitted, Parameters, copied, fit
from sluice_training.guarding import guarded
from sluice_training.plan import Plan
from sluice_training.previous import Previous, read_previous
from sluice_training.rows import Rows, rows_of
from sluice_training.searching import FOLDS, Search, defaults, drawn, search
from sluice_training.serving import Graph, Served
from sluice_training.splitting import folds
from sluice_training.trained import Trained

MAX_SLICES = 256
"""On a card."""


@dataclass(frozen=True, slots=True)
class _Course:
    """One training: what is trained, with what, from what."""

    kind: type[Model]
    plan: Plan
    found: Rows
    references: FeatureReferences | None
    previous: Previous | None

    def fit(self, inputs: dict[str, NDArray[Any]], target: NDArray[Any], parameters: Parameters) -> Fitted:
        """A model of these rows."""
        before = self.previous.model if self.previous else None
        return fit(self.kind, inputs, target, seed=self.plan.seed, parameters=parameters, previous=before)

    def task(self, fitted: Fitted) -> Task:
        """What its predictions are judged as."""
        target = self.found.target
        classes = fitted.classifies or target.dtype == np.object_
        return Task(tuple(evaluation.labels(np.unique(target)).tolist()) if classes else None)


def train(kind: type[Model], data: Any, plan: Plan) -> Trained:
    """Train, evaluate and describe a model of a class.

    Raises:
        TrainingError: one line that says what to change; nothing is written.
    """
    check_declared(kind)
    check_searched(kind, plan.candidates)
    model = guarded(kind, "__init__", kind)
    references = checked_features(kind, guarded(model, "features", model.features)) or plan.references
    previous = read_previous(kind, plan.previous) if plan.previous else None
    course = _Course(kind, plan, rows_of(model, taken(data), references, plan), references, previous)
    searched = _searched(course) if plan.candidates else None
    parameters = searched.winner.parameters if searched else defaults(kind.parameters)
    fitted = course.fit(*course.found.chosen(~course.found.out), parameters).as_served()
    return _described(course, fitted, _exported(course, fitted), searched)


def _searched(course: _Course) -> Search:
    found, plan = course.found, course.plan
    inputs, target = found.chosen(~found.out)
    parts = folds(found.table.filter(pa.array(~found.out)), FOLDS, plan.seed, keys=found.keys)

    def loss(parameters: Parameters, judged: NDArray[np.bool_]) -> float:
        fitted = course.fit(rows(inputs, ~judged), target[~judged], parameters)
        predicted = fitted.predictions(rows(inputs, judged), found.targets)
        return course.task(fitted).loss(target[judged], predicted)

    candidates, total = drawn(course.kind.parameters, plan.candidates, plan.seed)
    return search(candidates, total, parts, loss)


def _exported(course: _Course, fitted: Fitted) -> onnx.ModelProto:
    """The graph, which has been seen to do on every row what the estimator does."""
    if isinstance(fitted.estimator, onnx.ModelProto):
        return fitted.estimator
    inputs = copied(course.found.inputs)
    prepared = guarded(fitted.model, "preprocess", lambda: to_columns(to_tensors(fitted.model.preprocess(inputs))))
    wanted = export.expected(fitted.estimator, prepared)
    name = type(fitted.estimator).__name__

    def check(graph: onnx.ModelProto) -> None:
        given = Graph(graph).run(to_tensors(prepared)).values()
        for place, (one, other) in enumerate(zip(given, wanted, strict=False)):
            if (row := export.disagreement(one, other, probabilities=place > 0)) is not None:
                told = f"in row {row} it gives {one[row]}, and scikit-learn {other[row]}"
                raise TrainingError(f"the graph disagrees with {name}: {told}; nothing was written")

    first = rows(prepared, np.arange(len(course.found.target)) < 1)
    return export.export(fitted.estimator, first, fitted.outputs(course.found.targets), check)


def _described(course: _Course, fitted: Fitted, graph: onnx.ModelProto, searched: Search | None) -> Trained:
    served = Served(fitted.model, Graph(graph), course.found.first)
    found, code = course.found, record.code_of(course.kind)
    used = [spec.name for spec in served.inputs]
    held, _ = found.chosen(found.out)
    return Trained(
        model=fitted.model,
        graph=graph,
        inputs=served.inputs,
        outputs=served.outputs,
        variables=tuple(variable for variable in found.variables.values() if variable.tensor in used),
        references=_references(course.references, used, found.variables),
        training=_recorded(course, code, fitted.parameters),
        card=_card(course, fitted, served),
        statistics=_statistics(found, served),
        sample=sampling.sample(served, held),
        code=code,
        lock=course.plan.lock,
        searched=searched,
    )


def _recorded(course: _Course, code: record.Code, parameters: Parameters) -> Training:
    return Training(
        seed=course.plan.seed,
        data=digest(course.found.table),
        code=code.digest,
        libraries=record.libraries(code),
        parameters=dict(parameters),
        previous=course.previous.digest if course.previous else None,
    )


def _references(
    references: FeatureReferences | None, used: list[str], variables: Mapping[str, Variable]
) -> FeatureReferences | None:
    if references is None:
        return None
    if missing := [feature.name for feature in references.features if feature.tensor not in used]:
        raise TrainingError(f"feature {missing[0]!r} goes to no input of the model; its inputs are {', '.join(used)}")
    for feature in references.features:
        variable = variables.get(feature.tensor)
        if variable is not None and feature.default is not None and not describing.allows(variable, feature.default):
            raise TrainingError(
                f"the default of feature {feature.name!r}, {feature.default!r}, is not what {variable.name!r} may be "
                f"({describing.told(variable)}); correct it, or declare the variable"
            )
    return references


def _statistics(found: Rows, served: Served) -> Statistics:
    trained, _ = found.chosen(~found.out)
    used = {spec.name: trained[spec.name] for spec in served.inputs}
    return describing.statistics(used, to_columns(served.answer(served.tensors(used))))


def _card(course: _Course, fitted: Fitted, served: Served) -> Card:
    found, task = course.found, course.task(fitted)
    inputs, wanted = found.chosen(found.out)
    given = served.predictions(inputs, found.targets)
    used = {spec.name: inputs[spec.name] for spec in served.inputs}
    slices = evaluation.by_slices(task, found.beside(course.kind.slices), wanted, given)
    said = {
        "data": _data(found, course.plan),
        "metrics": task.metrics(wanted, given) | task.baseline(found.target[~found.out], wanted),
        "slices": slices[:MAX_SLICES] or None,
        "fairness": evaluation.fairness(task, found.beside(course.kind.groups), wanted, given) or None,
        "importance": evaluation.importance(
            task, lambda values: served.predictions(values, found.targets), used, wanted, course.plan.seed
        ),
    }
    try:
        return Card.model_validate({**said, **course.kind.card})
    except ValidationError as error:
        raise TrainingError(f"the card of {course.kind.__name__}: {explain(error)}") from error


def _data(found: Rows, plan: Plan) -> str:
    by = f"the latest by {plan.timestamp}" if plan.timestamp else f"by a hash of {', '.join(found.keys) or 'the row'}"
    return f"{len(found.out)} rows; {int(found.out.sum())} of them were held out ({by}), and all metrics are of those."
