"""Small models and data that training is tried with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sluice.contract import Clock, OnViolation, Variable
from sluice.model import Columns, Model, table
from sluice.package import Package

CITIES = ("Utrecht", "Zwolle", "Assen")


def unchecked(package: Package) -> None:
    """In place of a replay, which takes a process of its own."""


def shops(rows: int = 120, seed: int = 0) -> pa.Table:
    """Shops with a size, staff (sometimes unknown), a city, and what they earned."""
    random = np.random.default_rng(seed)
    size, staff = random.lognormal(5, 0.5, rows).round(3), random.integers(1, 20, rows)
    city = random.choice(CITIES, rows)
    known = random.random(rows) < 0.9
    revenue = size * 1000 + staff * 50 + (city == "Assen") * 10_000 + random.normal(0, 10, rows)
    return pa.table(
        {
            "shop": np.arange(rows),
            "size": size,
            "staff": pa.array([float(n) if there else None for n, there in zip(staff, known, strict=True)]),
            "city": city.tolist(),
            "open": random.random(rows) < 0.5,
            "revenue": revenue,
            "good": np.where(revenue > np.median(revenue), "yes", "no").tolist(),
        }
    )


def pipeline(estimator: Any) -> Any:
    """All of the columns, made numbers, before an estimator."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["size", "staff"]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
            ("flags", "passthrough", ["open"]),
        ],
        sparse_threshold=0,
    )
    return make_pipeline(columns, estimator)


class Revenue(Model):
    """What a shop earns."""

    name = "revenue"
    target: str | Sequence[str] = "revenue"
    inputs: Sequence[str] = ("size", "staff", "city", "open")
    parameters: Mapping[str, Any] = {"alpha": (1.0, 0.1, 10.0), "fit_intercept": (True, False)}
    slices: Sequence[str] = ("city", "size")
    groups: Sequence[str] = ("city",)
    card: Mapping[str, str] = {"description": "Revenue of a shop.", "owner": "retail", "intendedUse": "Planning."}

    def train(self, data: Columns, target: Any, *, seed: int, previous: Model | None = None, **parameters: Any) -> Any:
        from sklearn.linear_model import Ridge

        fitted = pipeline(Ridge(**parameters)).fit(table(data), target)
        start = previous.state["rounds"] if previous else 0
        self.state = {"rounds": start + 1, "weights": fitted[-1].coef_}
        return fitted


class Good(Revenue):
    """Whether a shop is one of the better half."""

    name = "good"
    target = "good"
    parameters: Mapping[str, Any] = {}

    def train(self, data: Columns, target: Any, *, seed: int, previous: Model | None = None, **parameters: Any) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return pipeline(RandomForestClassifier(10, random_state=seed)).fit(table(data), target)


class Coded(Revenue):
    """With Python before and after the graph, and state that it was fitted to."""

    name = "coded"
    parameters: Mapping[str, Any] = {}

    def prepare(self, inputs: Columns) -> None:
        known = inputs["staff"][~np.isnan(inputs["staff"])]
        self.state = {"staff": float(np.median(known)), "cities": sorted(set(inputs["city"])), "edges": np.arange(3.0)}

    def preprocess(self, inputs: Columns) -> Columns:
        staff = inputs["staff"]
        staff[np.isnan(staff)] = self.state["staff"]  # in its own columns, as in serving
        place = np.array([self.state["cities"].index(city) for city in inputs["city"]], dtype=np.float64)
        return {"logsize": np.log(inputs["size"]), "staff": staff, "place": place}

    def train(self, data: Columns, target: Any, *, seed: int, previous: Model | None = None, **parameters: Any) -> Any:
        from sklearn.linear_model import LinearRegression

        return LinearRegression().fit(table(data), np.log(target))

    def postprocess(self, outputs: Columns) -> Columns:
        return {"revenue": np.exp(outputs["revenue"])}


class Aged(Revenue):
    """By the time of the request, and with what is declared of its inputs."""

    name = "aged"
    inputs = ("size", "staff", "opened")
    clock = Clock(input="now")
    parameters: Mapping[str, Any] = {}
    slices = ()
    groups = ()
    variables = (
        Variable(name="staff", on_violation=OnViolation.IMPUTE, impute=5.0, maximum=15, nullable=False),
        Variable(name="size", unit="m2"),
    )

    def train(self, data: Columns, target: Any, *, seed: int, previous: Model | None = None, **parameters: Any) -> Any:
        from sklearn.linear_model import LinearRegression

        assert not np.isnan(data["staff"]).any()
        return LinearRegression().fit(table(data), target)
