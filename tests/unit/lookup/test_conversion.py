"""A store's values as inputs take them: the same value, or a reason why there is none."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.manifest import Datatype
from sluice_runtime import bfloat16
from sluice_runtime.features.conversion import Unusable, can_be_missing, column, converter
from sluice_runtime.signature import NUMPY_TYPES

JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "1", "true", ""]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=1),
)
FLOATS = {Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16}


@given(JSON, st.sampled_from(list(Datatype)))
def test_a_value_becomes_itself_or_nothing(value: Any, datatype: Datatype) -> None:
    found = converter(datatype)(value)
    if isinstance(found, Unusable):
        return
    if found is None:
        assert value in (None, "", "NaN") or math.isnan(value)
        return
    held = column([found], datatype)
    assert held.shape == (1,)
    assert held.dtype == NUMPY_TYPES[datatype]
    back = bfloat16.to_float32(held)[0] if datatype is Datatype.BF16 else held[0]
    if datatype is Datatype.BYTES:
        assert back == value
    elif datatype in FLOATS:
        wanted = float(value) if not isinstance(value, str) else {"Infinity": math.inf, "-Infinity": -math.inf}[value]
        assert math.isinf(back) == math.isinf(wanted)
        assert back == pytest.approx(wanted, rel=0.01, abs=1e-4)
    else:
        assert back == value


@pytest.mark.parametrize(
    ("value", "datatype", "found"),
    [
        (3.0, Datatype.INT64, 3),
        (2**62 + 1, Datatype.INT64, 2**62 + 1),
        (True, Datatype.FP32, 1.0),
        (1, Datatype.BOOL, True),
        (0.0, Datatype.BOOL, False),
        ("NaN", Datatype.FP32, None),
        ("NaN", Datatype.INT64, None),
        ("", Datatype.BYTES, None),
        ("NaN", Datatype.BYTES, "NaN"),
    ],
)
def test_values_that_mean_the_same_are_taken(value: Any, datatype: Datatype, found: Any) -> None:
    assert converter(datatype)(value) == found


@pytest.mark.parametrize(
    ("value", "datatype", "why"),
    [
        ("12", Datatype.FP32, "is a text, and the model takes a number"),
        ("12", Datatype.INT64, "is a text, and the model takes a whole number"),
        (2.5, Datatype.INT64, "is no whole number"),
        (math.inf, Datatype.INT64, "is no whole number"),
        (300, Datatype.UINT8, "is too large for UINT8"),
        (-1, Datatype.UINT8, "is too large for UINT8"),
        (1e39, Datatype.FP32, "is too large for FP32"),
        (70000, Datatype.FP16, "is too large for FP16"),
        (3.4e38, Datatype.BF16, "is too large for BF16"),
        (2, Datatype.BOOL, "is a number, and the model takes true or false"),
        (7, Datatype.BYTES, "is a number, and the model takes a text"),
        ([1.0], Datatype.FP32, "is a list, and the model takes a number"),
        ({}, Datatype.BYTES, "is an object, and the model takes a text"),
    ],
)
def test_values_that_mean_something_else_are_not(value: Any, datatype: Datatype, why: str) -> None:
    found = converter(datatype)(value)
    assert isinstance(found, Unusable)
    assert found.why.startswith(why)


def test_a_missing_value_is_said_as_each_datatype_can() -> None:
    assert np.isnan(column([None, 1.0], Datatype.FP32)[0])
    assert np.isnan(bfloat16.to_float32(column([None], Datatype.BF16))[0])
    assert column([None, "x"], Datatype.BYTES).tolist() == ["", "x"]
    assert {datatype for datatype in Datatype if can_be_missing(datatype)} == FLOATS | {Datatype.BYTES}
