"""A model that gives back what it is asked with, as a package with features, a clock and a contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from onnx import ModelProto, TensorProto, helper

from runtime.harness import Running
from sluice.contract import Clock, FeatureReferences, Variable
from sluice.package import write_package
from sluice.parts import Parts

FEATURES = {
    "service": "revenue",
    "entities": [{"name": "store_id"}],
    "features": [
        {"name": "size", "default": 9.5},
        {"name": "staff", "input": "crew", "column": 1, "default": 2},
        {"name": "city", "requestWins": True},
    ],
}
VARIABLES: list[dict[str, Any]] = [
    {"name": "size", "minimum": 0},
    {"name": "city", "categories": ["Delft", "Gouda"]},
    {"name": "rain", "minimum": 0, "maximum": 100, "onViolation": "Impute", "impute": 10},
    {"name": "boss", "input": "crew", "column": 0, "nullable": True, "maximum": 3, "onViolation": "Flag"},
]
ROW = {"size": 100.5, "staff": 3, "city": "Delft"}

_INPUTS = (
    ("size", TensorProto.FLOAT, 1),
    ("city", TensorProto.STRING, 1),
    ("rain", TensorProto.DOUBLE, 1),
    ("crew", TensorProto.FLOAT, 2),
    ("now", TensorProto.INT64, 1),
)
_DATATYPES = {"size": "FP32", "city": "BYTES", "rain": "FP64", "crew": "FP32", "now": "INT64", "store_id": "INT64"}


def echo() -> ModelProto:
    """Each input becomes an output."""
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in _INPUTS]
    inputs = [helper.make_tensor_value_info(name, kind, ("N", width)) for name, kind, width in _INPUTS]
    outputs = [helper.make_tensor_value_info(f"{name}_out", kind, ("N", width)) for name, kind, width in _INPUTS]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def shop_package(folder: Path, **changes: Any) -> Path:
    """The package's folder."""
    (folder / "m.onnx").write_bytes(echo().SerializeToString())
    fields = {
        "variables": tuple(map(Variable.model_validate, VARIABLES)),
        "features": FeatureReferences.model_validate(FEATURES),
        "clock": Clock(input="now"),
        **changes,
    }
    write_package(folder / "m.onnx", "shop", "3", folder / "package", parts=Parts(**fields))
    return folder / "package"


def tensors(**inputs: list[Any]) -> list[dict[str, Any]]:
    """Inputs of a request, flat."""
    widths = {name: width for name, _, width in _INPUTS}
    return [
        {
            "name": name,
            "datatype": _DATATYPES[name],
            "shape": [len(values) // widths[name], widths[name]] if name in widths else [len(values)],
            "data": values,
        }
        for name, values in inputs.items()
    ]


def ask(running: Running, **inputs: list[Any]) -> httpx.Response:
    """What the shop answers."""
    return running.infer(*tensors(**inputs))


def given(answer: httpx.Response) -> dict[str, list[Any]]:
    """What the model was asked with, flat, but for the time."""
    assert answer.status_code == 200, answer.text
    outputs = {output["name"][: -len("_out")]: output["data"] for output in answer.json()["outputs"]}
    assert outputs.pop("now")
    return outputs
