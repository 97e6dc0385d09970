"""Fitted state in a package that needs no Python to be served: in the graph's own metadata, for a later warm start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper

from sluice_training.errors import TrainingError

KEY = "sluice.state"
MAX_BYTES = 1024**2


def with_state(graph: onnx.ModelProto, state: Mapping[str, Any]) -> onnx.ModelProto:
    """The graph with the state; equal states give equal bytes.

    Raises:
        TrainingError: it holds what is neither an array nor JSON, or is too large.
    """
    if not state:
        return graph
    try:
        text = json.dumps({name: _plain(value) for name, value in state.items()}, sort_keys=True, allow_nan=True)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"state holds what is neither an array of numbers or text nor JSON: {error}") from error
    if len(text) > MAX_BYTES:
        raise TrainingError(f"state has {len(text)} bytes as JSON; {MAX_BYTES} are the most where no code is served")
    clean = onnx.ModelProto()
    clean.CopyFrom(graph)
    helper.set_model_props(clean, {**{prop.key: prop.value for prop in graph.metadata_props}, KEY: text})
    return clean


def state_of(graph: onnx.ModelProto) -> dict[str, Any]:
    """The state that a graph holds; empty where it holds none."""
    text = next((prop.value for prop in graph.metadata_props if prop.key == KEY), "{}")
    return {name: _restored(value) for name, value in json.loads(text).items()}


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return {"value": value}
    if value.dtype.hasobject:
        raise ValueError("an array of objects; make it .astype(str), or a list")
    return {"dtype": value.dtype.str, "shape": list(value.shape), "array": value.ravel().tolist()}


def _restored(value: Mapping[str, Any]) -> Any:
    if "value" in value:
        return value["value"]
    return np.array(value["array"], dtype=np.dtype(value["dtype"])).reshape(value["shape"])
