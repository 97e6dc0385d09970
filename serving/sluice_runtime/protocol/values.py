"""Turns the values of JSON into numpy arrays.

Strict where a silent conversion would change a prediction: text is no number, 1.5 is no integer, 300 is no UINT8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime import bfloat16
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.signature import NUMPY_TYPES, Tensor

# Names of this module's own, compared by identity: looking a member up in its enumeration, or hashing it, is a call.
_BYTES, _BOOL, _BF16 = Datatype.BYTES, Datatype.BOOL, Datatype.BF16
_FP32, _FP64, _FP16 = Datatype.FP32, Datatype.FP64, Datatype.FP16
_SINGLE = np.dtype(np.float32)


def to_array(data: list[Any], spec: TensorSpec, blank: bool = False) -> Tensor:
    """The values of a tensor, in whatever nesting they came. `blank`: among texts `null` stands for an empty one.

    Raises:
        RequestError: INVALID when a value would have to be bent.
    """
    try:
        if spec.datatype is _BYTES:
            return _to_strings(data, blank)
        return _to_numbers(data, spec)
    except (ValueError, OverflowError, FloatingPointError) as error:
        message = f"the data of input {spec.name!r} does not fit {spec.datatype!s}: {error}"
        raise RequestError(Kind.INVALID, message) from error


def _to_numbers(data: list[Any], spec: TensorSpec) -> Tensor:
    """Let numpy see what the values are before they become the wanted type: it would convert almost anything."""
    datatype = spec.datatype
    array: Tensor = np.array(data)
    kind = array.dtype.kind
    if array.size == 0:
        return array.astype(NUMPY_TYPES[datatype])
    if datatype is _FP32 or datatype is _FP64 or datatype is _FP16 or datatype is _BF16:
        if kind == "O":
            array = _with_nulls(array)
        elif kind not in "fiu":
            raise ValueError("it must hold numbers")
        return _to_floats(array, datatype)
    if datatype is _BOOL:
        if kind != "b":
            raise ValueError("it must hold true and false")
        return array
    return _to_integers(array, data, NUMPY_TYPES[datatype])


@np.errstate(over="raise")
def _to_floats(array: Tensor, datatype: Datatype) -> Tensor:
    if datatype is _FP32:
        return array.astype(_SINGLE)
    if datatype is _BF16:
        return bfloat16.from_float32(array.astype(_SINGLE))
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


def _to_strings(data: list[Any], blank: bool) -> Tensor:
    array = np.array(data, dtype=np.object_)
    if blank:
        array[array == None] = ""  # noqa: E711 - numpy compares each element
    if not _all_of(array, (str,)):
        raise ValueError("it must hold text")
    return array


def _all_of(array: Tensor, kinds: tuple[type, ...]) -> bool:
    return array.dtype.kind != "O" or all(type(value) in kinds for value in array.flat)
