"""Runs of graphs with BF16 tensors, which ONNX Runtime's ordinary call does not exchange with numpy."""

from __future__ import annotations

import ctypes
from collections.abc import Collection

import numpy as np
import onnxruntime as ort

from sluice_runtime.signature import Tensor, Tensors

_BFLOAT16 = 16
"""TensorProto.DataType.BFLOAT16 (onnx.proto)."""


def run_values(
    session: ort.InferenceSession,
    outputs: list[str],
    inputs: Tensors,
    bfloat16: Collection[str],
    options: ort.RunOptions,
) -> list[Tensor]:
    """Run a graph whose tensors named in `bfloat16` are bit patterns."""
    # A value made of patterns only points into its array, which has to outlive the run.
    arrays = {name: np.ascontiguousarray(tensor).reshape(tensor.shape) for name, tensor in inputs.items()}
    patterns = {
        name: ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, _BFLOAT16)
        for name, array in arrays.items()
        if name in bfloat16
    }
    if not any(name in bfloat16 for name in outputs):
        result: list[Tensor] = session.run(outputs, {**arrays, **patterns}, options)
        return result
    others = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items() if name not in patterns}
    return [_to_numpy(value) for value in session.run_with_ort_values(outputs, {**others, **patterns}, options)]


def _to_numpy(value: ort.OrtValue) -> Tensor:
    if value.element_type() != _BFLOAT16:
        tensor: Tensor = value.numpy()
        return tensor
    shape = tuple(value.shape())
    patterns = np.empty(shape, np.uint16)
    if patterns.size:
        ctypes.memmove(patterns.ctypes.data, value.data_ptr(), patterns.nbytes)
    return patterns
