"""Values as tensors hold them: which of them are missing, and what a value that YAML declares becomes in a tensor."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sluice.contract import Value
from sluice.manifest import Datatype
from sluice_runtime import bfloat16
from sluice_runtime.signature import NUMPY_TYPES, Tensor

FLOATS = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16})
BLANKABLE = FLOATS | {Datatype.BYTES}
"""Datatypes that have a value for what is missing: NaN, or empty text."""

Mask = NDArray[np.bool_]
Number = int | float
Stored = bool | int | float | str

_Kind = TypeVar("_Kind")


def numbers(tensor: Tensor, datatype: Datatype) -> Tensor:
    """Values that can be compared."""
    return bfloat16.to_float32(tensor) if datatype is Datatype.BF16 else tensor


def missing(values: Tensor, datatype: Datatype) -> Mask | None:
    """Which of these comparable values are missing; None where none can be."""
    if datatype in FLOATS:
        return np.isnan(values)
    if datatype is Datatype.BYTES:
        found: Mask = np.asarray(values == "", np.bool_)
        return found
    return None


def blank(datatype: Datatype) -> Stored:
    """What stands for a missing value in a tensor; of a datatype that has none, any value."""
    if datatype is Datatype.BYTES:
        return ""
    if datatype is Datatype.BF16:
        return _bits(math.nan)
    return math.nan if datatype in FLOATS else False


def stored(value: Value, datatype: Datatype) -> Stored:
    """A declared value as a tensor holds it.

    Raises:
        ValueError: a tensor of this datatype cannot hold it.
    """
    held = comparable(value, datatype)
    return _bits(float(held)) if datatype is Datatype.BF16 else held


def comparable(value: Value, datatype: Datatype) -> Stored:
    """A declared value as one compares it with those of a tensor: 0.1 is no more exact than the tensor has it.

    Raises:
        ValueError: a tensor of this datatype cannot hold it.
    """
    if datatype is Datatype.BYTES:
        return _of(value, str)
    if datatype is Datatype.BOOL:
        return _of(value, bool)
    if isinstance(value, (bool, str)):
        raise ValueError(f"{value!r} is no number")
    if datatype in FLOATS:
        return _float(value, datatype)
    limits = np.iinfo(NUMPY_TYPES[datatype])
    if value != value or value != math.floor(value) or not limits.min <= value <= limits.max:  # noqa: PLR0124 - NaN
        raise ValueError(f"{value!r} is no {datatype}")
    return int(value)


def _float(value: Number, datatype: Datatype) -> float:
    with np.errstate(over="ignore"):
        if datatype is Datatype.BF16:
            held = float(bfloat16.to_float32(np.array([_bits(value)], np.uint16))[0])
        else:
            held = float(NUMPY_TYPES[datatype].type(value))
    if math.isinf(held) and math.isfinite(value):
        raise ValueError(f"{value!r} is too large for {datatype}")
    return held


def _bits(value: float) -> int:
    return int(bfloat16.from_float32(np.array([value]))[0])


def _of(value: Value, kind: type[_Kind]) -> _Kind:
    if not isinstance(value, kind):
        raise ValueError(f"{value!r} is no {'text' if kind is str else 'true or false'}")
    return value
