"""JSON's values to numpy.

Strict where a silent conversion would change a prediction: text is no number, 1.5 is no integer, 300 is no UINT8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime import bfloat16
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.signature import NUMPY_TYPES, Tensor

_FLOATS = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16})


def to_array(data: list[Any], spec: TensorSpec) -> Tensor:
    """The values of a tensor, in whatever nesting they came.

    Raises:
        RequestError: INVALID when a value would have to be bent.
    """
    try:
        if spec.datatype is Datatype.BYTES:
            return _to_strings(data, spec.name)
        return _to_numbers(data, spec)
    except (ValueError, OverflowError, FloatingPointError) as error:
        message = f"the data of input {spec.name!r} does not fit {spec.datatype!s}: {error}"
        raise RequestError(Kind.INVALID, message) from error


def _to_numbers(data: list[Any], spec: TensorSpec) -> Tensor:
    """Let numpy see what the values are before they become the wanted type: it would convert almost anything."""
    dtype = NUMPY_TYPES[spec.datatype]
    array: Tensor = np.array(data)
    kind = array.dtype.kind
    if array.size == 0:
        return array.astype(dtype)
    if spec.datatype in _FLOATS:
        if kind == "O":
            array = _with_nulls(array)
        elif kind not in "fiu":
            raise ValueError("it must hold numbers")
        return _to_floats(array, spec.datatype)
    if spec.datatype is Datatype.BOOL:
        if kind != "b":
            raise ValueError("it must hold true and false")
        return array
    return _to_integers(array, data, dtype)


def _to_floats(array: Tensor, datatype: Datatype) -> Tensor:
    with np.errstate(over="raise"):
        if datatype is Datatype.BF16:
            return bfloat16.from_float32(array.astype(np.float32))
        return array.astype(NUMPY_TYPES[datatype], copy=False)


def _to_integers(array: Tensor, data: list[Any], dtype: np.dtype[Any]) -> Tensor:
    if array.dtype.kind in "fO":
        # numpy joins small and very large integers to floats; only Python's own integers tell.
        array = np.array(data, dtype=np.object_)
    if array.dtype.kind not in "iuO" or not _all_of(array, (int,)):
        raise ValueError("it must hold whole numbers")
    limits = np.iinfo(dtype)
    if int(array.min()) < limits.min or int(array.max()) > limits.max:
        raise ValueError(f"values must lie between {limits.min} and {limits.max}")
    return array.astype(dtype, copy=False)


def _with_nulls(array: Tensor) -> Tensor:
    if not _all_of(array, (int, float, type(None))):
        raise ValueError("it must hold numbers")
    return array.astype(np.float64)


def _to_strings(data: list[Any], name: str) -> Tensor:
    array = np.array(data, dtype=np.object_)
    if not _all_of(array, (str,)):
        raise ValueError("it must hold text")
    return array


def _all_of(array: Tensor, kinds: tuple[type, ...]) -> bool:
    return array.dtype.kind != "O" or all(type(value) in kinds for value in array.flat)
