"""How well a model does on rows that training did not see: overall, by slices, by groups, and because of what."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as scores

from sluice.manifest import Fairness, Importance, Slice
from sluice.model import Columns

Metrics = dict[str, float]
Predict = Callable[[Columns], NDArray[Any]]

MAX_SLICES = 20
MIN_SLICE = 5
"""Rows; fewer are told with no slice of their own."""

_BANDS = 4
"""Into which numbers are cut, at equal counts."""

_REPEATS = 5
_IMPORTANCE_ROWS = 2_000
"""Of the rows held out; more make importance no clearer, and each is asked for five times a variable."""


@dataclass(frozen=True, slots=True)
class Task:
    """What kind of answer is judged. `classes`: None for numbers; `positive`: the one of two that is looked for."""

    classes: tuple[Any, ...] | None = None

    @property
    def positive(self) -> Any:
        """The later of two classes in their order (1 of 0 and 1, "yes" of "no" and "yes"); None for more."""
        return self.classes[1] if self.classes is not None and len(self.classes) == 2 else None

    def metrics(self, wanted: NDArray[Any], given: NDArray[Any]) -> Metrics:
        """Metrics of predictions, by the names that scikit-learn's users know."""
        return _of_classes(wanted, given) if self.classes is not None else _of_numbers(wanted, given)

    def loss(self, wanted: NDArray[Any], given: NDArray[Any]) -> float:
        """One number, the smaller the better: mean squared error, or the share of wrong classes."""
        if self.classes is not None:
            return float((labels(wanted) != labels(given.reshape(wanted.shape))).mean())
        return float(((wanted.astype(np.float64) - given.reshape(wanted.shape).astype(np.float64)) ** 2).mean())

    def baseline(self, trained: NDArray[Any], wanted: NDArray[Any]) -> Metrics:
        """What one answer for everybody would reach: the mean of the training rows, or their most frequent class."""
        if self.classes is None:
            given = np.broadcast_to(trained.astype(np.float64).mean(axis=0), wanted.shape)
            return {"baseline_mae": _of_numbers(wanted, given)["mae"]}
        values, counts = np.unique(labels(trained), return_counts=True)
        return {"baseline_accuracy": float((labels(wanted) == values[counts.argmax()]).mean())}


def labels(classes: NDArray[Any]) -> NDArray[Any]:
    """Classes as text, equal where they are: 1, 1.0 and True are one class, whatever type a graph gives it."""
    if classes.dtype.kind == "b":
        classes = classes.astype(np.int64)
    if classes.dtype.kind == "f" and bool((classes == np.trunc(classes)).all()):
        classes = classes.astype(np.int64)
    return classes.astype(str)


def by_slices(task: Task, by: Columns, wanted: NDArray[Any], given: NDArray[Any]) -> tuple[Slice, ...]:
    """Metrics for every value of every variable: numbers in bands, and the most frequent texts."""
    return tuple(
        Slice(by=name, value=label, rows=int(mask.sum()), metrics=task.metrics(wanted[mask], given[mask]))
        for name, values in by.items()
        for label, mask in _parts(values)
        if mask.sum() >= MIN_SLICE
    )


def fairness(task: Task, groups: Columns, wanted: NDArray[Any], given: NDArray[Any]) -> tuple[Fairness, ...]:
    """Means and errors of what each group is told, and how far the groups lie apart."""
    found = []
    for name, values in groups.items():
        parts = [(label, mask) for label, mask in _parts(values) if mask.sum() >= MIN_SLICE]
        for metric, of in _fair(task).items():
            by = {label: of(wanted[mask], given[mask]) for label, mask in parts}
            if len(by) > 1:
                apart = max(by.values()) - min(by.values())
                found.append(Fairness(group=name, metric=metric, values=by, difference=apart))
    return tuple(found)


def importance(
    task: Task, predict: Predict, inputs: Columns, wanted: NDArray[Any], seed: int
) -> tuple[Importance, ...]:
    """How much worse predictions get when one variable's values go to other rows; shares of all that is lost."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(len(wanted))[:_IMPORTANCE_ROWS])
    values, wanted = {name: array[chosen] for name, array in inputs.items()}, wanted[chosen]

    def lost(name: str) -> float:
        shuffled = [{**values, name: values[name][random.permutation(len(wanted))]} for _ in range(_REPEATS)]
        return max(0.0, float(np.mean([task.loss(wanted, predict(given)) for given in shuffled])) - usual)

    usual = task.loss(wanted, predict(values))
    losses = {name: lost(name) for name in values}
    total = sum(losses.values())
    shares = {name: min(1.0, loss / total) if total > 0 else 0.0 for name, loss in losses.items()}
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Importance(variable=name, share=round(share, 6)) for name, share in ranked)


def _of_numbers(wanted: NDArray[Any], given: NDArray[Any]) -> Metrics:
    wanted, given = wanted.astype(np.float64), given.reshape(wanted.shape).astype(np.float64)
    found = {
        "mae": float(scores.mean_absolute_error(wanted, given)),
        "rmse": float(scores.root_mean_squared_error(wanted, given)),
    }
    if len(wanted) > 1 and float(wanted.std()) > 0:
        found["r2"] = float(scores.r2_score(wanted, given))
    return found


def _of_classes(wanted: NDArray[Any], given: NDArray[Any]) -> Metrics:
    wanted, given = labels(wanted), labels(given.reshape(wanted.shape))
    return {
        "accuracy": float(scores.accuracy_score(wanted, given)),
        "f1_macro": float(scores.f1_score(wanted, given, average="macro", zero_division=0.0)),
    }


def _fair(task: Task) -> Mapping[str, Callable[[NDArray[Any], NDArray[Any]], float]]:
    if task.classes is None:
        return {
            "mean_prediction": lambda _, given: float(given.astype(np.float64).mean()),
            "mean_error": lambda wanted, given: float((given.reshape(wanted.shape) - wanted).mean()),
            "mae": lambda wanted, given: _of_numbers(wanted, given)["mae"],
        }
    rates: dict[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {"error_rate": task.loss}
    if task.positive is not None:
        chosen = str(task.positive)
        rates["positive_rate"] = lambda _, given: float((labels(given) == chosen).mean())
    return rates


def _parts(values: NDArray[Any]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """A variable's values, or bands of them, with the rows that have them."""
    different = np.unique(values.astype(str) if values.dtype.kind in "Ob" else values[~_missing(values)])
    if values.dtype.kind not in "Ob" and len(different) > _BANDS * 2:
        yield from _bands(values)
        return
    counts = [(value, (values.astype(str) if values.dtype.kind in "Ob" else values) == value) for value in different]
    for value, mask in sorted(counts, key=lambda item: (-int(item[1].sum()), str(item[0])))[:MAX_SLICES]:
        yield f"{value:g}" if isinstance(value, np.floating) else str(value) or "(missing)", mask


def _bands(values: NDArray[Any]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    edges = np.unique(np.quantile(values[~_missing(values)], np.linspace(0, 1, _BANDS + 1)))
    for low, high in itertools.pairwise(edges):
        last = high == edges[-1]
        mask = (values >= low) & ((values <= high) if last else (values < high))
        yield f"{low:g} to {high:g}", mask


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
