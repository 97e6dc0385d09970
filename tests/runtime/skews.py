"""A model of shops' revenue from raw columns, as training left it, and ways in which packages come to differ."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from sluice.manifest import Card
from sluice.package import write_package
from sluice.parts import Code, Parts
from sluice.sample import dump_sample

Columns = dict[str, NDArray[Any]]

NUMBERS = ("size", "staff", "hours")
TOWNS = ("Breda", "Delft", "Utrecht")
CARD = Card(description="Revenue of shops", owner="team-a", intended_use="Stock", metrics={"rmse": 5000.5})


@cache
def training() -> tuple[Columns, NDArray[np.float64]]:
    """Four hundred made-up shops and their revenue, the same every time."""
    draw = np.random.default_rng(7)
    columns: Columns = {
        "size": draw.uniform(30, 400, 400).astype(np.float32),
        "staff": draw.integers(1, 40, 400).astype(np.float32),
        "hours": draw.uniform(20, 80, 400).astype(np.float32),
        "town": draw.choice(np.array(TOWNS, dtype=object), 400),
    }
    towns = np.array([{"Breda": 1e5, "Delft": 2e5, "Utrecht": 5e5}[town] for town in columns["town"]])
    revenue = 900.0 * columns["size"] + 12_000.0 * columns["staff"] + 7_000.0 * columns["hours"] + towns
    return columns, revenue + draw.normal(0, 5e3, 400)


def matrix(columns: Columns) -> NDArray[Any]:
    """The columns as scikit-learn takes them: one array of objects."""
    return np.column_stack([columns[name].astype(object) for name in (*NUMBERS, "town")])


@cache
def fitted() -> Any:
    """A scaler, an encoder and a regression in one pipeline."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns, revenue = training()
    towns = OneHotEncoder(categories=[list(TOWNS)], sparse_output=False, drop=None)
    parts = [("numbers", StandardScaler(), [0, 1, 2]), ("towns", towns, [3])]
    return make_pipeline(ColumnTransformer(parts), LinearRegression()).fit(matrix(columns), revenue)


def changed(change: Callable[[Any], object]) -> Any:
    """The pipeline after something happened to a copy of it."""
    pipeline = copy.deepcopy(fitted())
    change(pipeline)
    return pipeline


def scaler(pipeline: Any) -> Any:
    """Its fitted scaler."""
    return pipeline[0].named_transformers_["numbers"]


def encoder(pipeline: Any) -> Any:
    """Its fitted encoder."""
    return pipeline[0].named_transformers_["towns"]


def graph(pipeline: Any) -> onnx.ModelProto:
    """The pipeline as one graph with an input for each column."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    kinds = [(name, FloatTensorType([None, 1])) for name in NUMBERS] + [("town", StringTensorType([None, 1]))]
    model: onnx.ModelProto = to_onnx(pipeline, initial_types=kinds, target_opset=18)
    return model


def swapped(model: onnx.ModelProto, one: str, other: str) -> onnx.ModelProto:
    """The graph with two of its inputs under each other's names."""
    model = copy.deepcopy(model)
    names = {one: other, other: one}
    for value in model.graph.input:
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    return model


def sample_of(folder: Path, rows: int = 20) -> Path:
    """Rows as callers send them, and what training's own pipeline made of them, as a file."""
    columns, _ = training()
    some = {name: values[:rows] for name, values in columns.items()}
    tensors = {name: values[:, np.newaxis] for name, values in some.items()}
    answers = fitted().predict(matrix(some)).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sample.json").write_text(dump_sample(tensors, {"variable": answers[:, np.newaxis]}), encoding="utf-8")
    return folder / "sample.json"


def package_of(model: onnx.ModelProto, folder: Path, parts: Parts | None = None) -> Path:
    """A package of a graph with training's sample."""
    sample = sample_of(folder)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    parts = parts or Parts(sample=sample)
    write_package(folder / "m.onnx", "shop", "3", folder / "package", card=CARD, parts=parts)
    return folder / "package"


CODE = """\
import numpy as np

from sluice import Model
from helpers import scaled


class Revenue(Model):
    def preprocess(self, inputs):
        numbers = np.column_stack([inputs[name] for name in self.state["order"]]).astype(float)
        towns = np.column_stack([inputs["town"] == town for town in self.state["towns"]]).astype(float)
        return {"prepared": np.column_stack([scaled(numbers, self.state), towns]).astype(np.float32)}

    def postprocess(self, outputs):
        return {"variable": outputs["revenue"]}
"""

HELPERS = """\
def scaled(numbers, state):
    return (numbers - state["mean"]) / state["deviation"]
"""

CENTRED = """\
import numpy as np

from sluice import Model


class Revenue(Model):
    def preprocess(self, inputs):
        numbers = np.column_stack([inputs[name] for name in self.state["order"]]).astype(float)
        numbers = numbers - numbers.mean(axis=0) + self.state["rows"]
        towns = np.column_stack([inputs["town"] == town for town in self.state["towns"]]).astype(float)
        scaled = (numbers - self.state["mean"]) / self.state["deviation"]
        return {"prepared": np.column_stack([scaled, towns]).astype(np.float32)}

    def postprocess(self, outputs):
        return {"variable": outputs["revenue"]}
"""
"""Centres whatever rows it is given on those of training."""


def state() -> dict[str, Any]:
    """What the pipeline has fitted before its regression."""
    found = scaler(fitted())
    return {"mean": found.mean_, "deviation": found.scale_, "order": list(NUMBERS), "towns": list(TOWNS)}


def regression() -> onnx.ModelProto:
    """The pipeline's last step alone, as a graph."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model: onnx.ModelProto = to_onnx(
        fitted()[-1], initial_types=[("prepared", FloatTensorType([None, 6]))], target_opset=18, final_types=None
    )
    for value in model.graph.output:
        for node in model.graph.node:
            node.output[:] = ["revenue" if name == value.name else name for name in node.output]
        value.name = "revenue"
    return model


def coded(
    folder: Path, fitted_state: dict[str, Any] | None = None, files: dict[str, str] | None = None, lock: str = ""
) -> Path:
    """A package whose preprocessing is Python code."""
    from sluice.model import Model

    code = folder / "code"
    code.mkdir(parents=True, exist_ok=True)
    for name, text in ({"model.py": CODE, "helpers.py": HELPERS} if files is None else files).items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text, encoding="utf-8")
    model = Model()
    model.state = state() if fitted_state is None else fitted_state
    model.save(code)
    (folder / "lock.txt").write_text(lock, encoding="utf-8")
    parts = Parts(sample=sample_of(folder), code=Code(code, "model:Revenue", folder / "lock.txt"))
    return package_of(regression(), folder, parts)
