"""A feature's value as the model's input takes it, from the JSON that the store answers with.

What cannot be said in the input's datatype without another meaning is not forced into it: a text is no number, and
12.5 is no whole number. A package trained with another type of a feature is found by that, before it answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sluice.manifest import Datatype
from sluice_runtime import bfloat16
from sluice_runtime.signature import NUMPY_TYPES, Tensor


@dataclass(frozen=True, slots=True)
class Unusable:
    """A value that the input cannot hold; `why` does not repeat it."""

    why: str


Converted = bool | int | float | str | Unusable | None
"""None: missing."""

Convert = Callable[[Any], Converted]

_FLOATS = {
    Datatype.FP16: float(np.finfo(np.float16).max),
    Datatype.BF16: 3.3895313892515355e38,
    Datatype.FP32: float(np.finfo(np.float32).max),
    Datatype.FP64: math.inf,
}

_WORDS = {"Infinity": math.inf, "-Infinity": -math.inf}
"""Numbers that JSON has none for, as protobuf writes them; NaN is a missing value."""


def converter(datatype: Datatype) -> Convert:
    """What turns JSON values into values of this datatype."""
    if datatype in _FLOATS:
        return _to_float(datatype, _FLOATS[datatype])
    if datatype is Datatype.BYTES:
        return _to_text
    if datatype is Datatype.BOOL:
        return _to_bool
    return _to_whole(datatype)


def column(values: Sequence[Any], datatype: Datatype) -> Tensor:
    """Converted values as a tensor of one dimension. None is NaN or empty text, which other datatypes have not."""
    if datatype is Datatype.BYTES:
        texts = np.empty(len(values), np.object_)
        texts[:] = ["" if value is None else value for value in values]
        return texts
    if datatype is Datatype.BF16:
        return bfloat16.from_float32(np.array(values, np.float32))
    return np.array(values, NUMPY_TYPES[datatype])


def can_be_missing(datatype: Datatype) -> bool:
    """Whether a tensor of this datatype can say that there is no value."""
    return datatype in _FLOATS or datatype is Datatype.BYTES


def _to_float(datatype: Datatype, largest: float) -> Convert:
    def convert(value: Any) -> Converted:
        if type(value) is str:
            if value == "NaN":
                return None
            if value not in _WORDS:
                return Unusable("is a text, and the model takes a number")
            return _WORDS[value]
        if value is None:
            return None
        if not isinstance(value, bool | int | float):
            return Unusable(_what(value, "a number"))
        number = float(value)
        if abs(number) > largest and not math.isinf(number):
            return Unusable(f"is too large for {datatype}")
        return number

    return convert


def _to_whole(datatype: Datatype) -> Convert:
    bounds = np.iinfo(NUMPY_TYPES[datatype])
    low, high = int(bounds.min), int(bounds.max)

    def convert(value: Any) -> Converted:
        if value is None or value == "NaN":
            return None
        if not isinstance(value, bool | int | float):
            return Unusable(_what(value, "a whole number"))
        if isinstance(value, float) and not value.is_integer():
            return None if math.isnan(value) else Unusable("is no whole number, as the model takes")
        whole = int(value)
        return whole if low <= whole <= high else Unusable(f"is too large for {datatype}")

    return convert


def _to_bool(value: Any) -> Converted:
    if value is None or isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    return Unusable(_what(value, "true or false"))


def _to_text(value: Any) -> Converted:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else Unusable(_what(value, "a text"))


def _what(value: Any, wanted: str) -> str:
    return f"is {_KINDS.get(type(value), 'something else')}, and the model takes {wanted}"


_KINDS = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "a text",
}
