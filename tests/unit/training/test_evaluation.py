"""How well a model does is measured on what it says, in whatever type it says it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sluice.model import Columns, Model, table
from sluice_training import train
from sluice_training.evaluation import Task, labels

RANDOM = np.random.default_rng(0)
SIZES = RANDOM.normal(size=300)
CITIES = np.where(RANDOM.random(300) < 0.5, "Assen", "Zwolle")


class Large(Model):
    """Whether a size is above zero, by a class in the target's own type."""

    name = "large"
    target = "large"
    inputs = ("size",)
    slices = ("city",)
    groups = ("city",)

    def train(self, data: Columns, target: Any, *, seed: int, previous: Model | None = None, **parameters: Any) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression().fit(table(data), target)


def test_a_class_is_the_same_in_every_type() -> None:
    rows = {"size": SIZES, "city": CITIES, "shop": np.arange(len(SIZES))}
    found = [
        train(Large, {**rows, "large": (SIZES > 0).astype(kind)}, keys=["shop"]).card
        for kind in (np.float64, np.int64, np.bool_)
    ]
    assert found[0].metrics == found[1].metrics == found[2].metrics
    assert found[0].metrics is not None
    assert found[0].metrics["accuracy"] > 0.9
    assert found[0].slices == found[1].slices
    assert found[0].fairness == found[1].fairness
    rates = next(fair for fair in found[0].fairness or () if fair.metric == "positive_rate")
    assert all(0.2 < rate < 0.8 for rate in rates.values.values())


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ([1.0, 0.0], ["1", "0"]),
        ([True, False], ["1", "0"]),
        ([1, 0], ["1", "0"]),
        ([0.5, 1.0], ["0.5", "1.0"]),
    ],
)
def test_labels(classes: list[Any], text: list[str]) -> None:
    assert labels(np.array(classes)).tolist() == text


def test_the_loss_of_a_search_compares_classes_too() -> None:
    assert Task(("0", "1")).loss(np.array([1.0, 0.0]), np.array([[1], [1]])) == 0.5
