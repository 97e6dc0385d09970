"""`sample.json`: rows that the model was asked with where it was trained, and what it answered there.

Whoever serves the package asks again before anyone else may. A scaler that was fitted on other data, columns in another
order, a library that computes otherwise: each of them gives other answers, and none of them is an error by itself.

The file is a request and an answer of the Open Inference Protocol in one: `{"inputs": [...], "outputs": [...]}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.manifest import Sample

SAMPLE_LIMIT = 32 * 1024**2
"""Bytes. Some dozens of rows are enough."""

_ABSOLUTE = 1e-6

_DATATYPES = {
    np.dtype(np.bool_): "BOOL",
    np.dtype(np.uint8): "UINT8",
    np.dtype(np.uint16): "UINT16",
    np.dtype(np.uint32): "UINT32",
    np.dtype(np.uint64): "UINT64",
    np.dtype(np.int8): "INT8",
    np.dtype(np.int16): "INT16",
    np.dtype(np.int32): "INT32",
    np.dtype(np.int64): "INT64",
    np.dtype(np.float16): "FP16",
    np.dtype(np.float32): "FP32",
    np.dtype(np.float64): "FP64",
}


def dump_sample(inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]]) -> str:
    """The text of `sample.json`; equal tensors give equal text.

    `inputs`: every input of the model by name, those that features and the clock fill included, with as many rows each.
    `outputs`: what the model gave for them in training. Text is `str` in arrays of objects; NaN is allowed.

    Raises:
        ValueError: a tensor holds what JSON has no form for, naming it.
    """
    document = {
        "inputs": [_tensor(name, tensor) for name, tensor in inputs.items()],
        "outputs": [_tensor(name, tensor) for name, tensor in outputs.items()],
    }
    return json.dumps(document, allow_nan=False, ensure_ascii=False) + "\n"


def absolute_of(tolerance: Sample, expected: NDArray[Any]) -> float:
    """The absolute part of the tolerance of one output, of which these are all expected values."""
    if tolerance.absolute is not None:
        return tolerance.absolute
    if expected.dtype.kind != "f":
        return 0.0
    # A model whose every answer lies below 1e-6 could otherwise answer anything.
    largest = np.abs(expected[np.isfinite(expected)], dtype=np.float64).max(initial=0.0)
    return min(_ABSOLUTE, tolerance.relative * float(largest))


def _tensor(name: str, tensor: NDArray[Any]) -> dict[str, Any]:
    if tensor.dtype.kind in "OUT":
        return {"name": name, "datatype": "BYTES", "shape": list(tensor.shape), "data": _text(name, tensor)}
    datatype = _DATATYPES.get(tensor.dtype.newbyteorder("="))
    if datatype is None:
        raise ValueError(f"{name!r} is of type {tensor.dtype}, for which the protocol has no name")
    if tensor.dtype.kind == "f" and np.isinf(tensor).any():
        raise ValueError(f"{name!r} holds an infinity, which a sample cannot; take other rows")
    return {"name": name, "datatype": datatype, "shape": list(tensor.shape), "data": _numbers(tensor)}


def _numbers(tensor: NDArray[Any]) -> list[Any]:
    if tensor.dtype.kind != "f":
        values: list[Any] = tensor.ravel().tolist()
        return values
    # The shortest number that is read back as the same one; JSON has no NaN, for which the protocol has null.
    return [None if np.isnan(value) else float(str(value)) for value in tensor.ravel()]


def _text(name: str, tensor: NDArray[Any]) -> list[str]:
    values: list[Any] = tensor.ravel().tolist()
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name!r} holds objects that are no text")
    return values
