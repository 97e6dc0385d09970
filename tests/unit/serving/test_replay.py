"""How exactly an answer must be the one of training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.manifest import Sample
from sluice_runtime.replay import Recorded, within

NUMBERS = st.floats(-1e12, 1e12)
SHARES = st.floats(1e-7, 0.1)


def near(expected: float, given_value: float, tolerance: Sample) -> bool:
    return bool(within(np.array(expected), np.array(given_value), tolerance))


@given(expected=NUMBERS, share=SHARES, part=st.floats(-0.99, 0.99))
def test_what_lies_within_the_tolerance_is_the_same(expected: float, share: float, part: float) -> None:
    tolerance = Sample(relative=share, absolute=1e-6)
    assert near(expected, expected + part * (1e-6 + share * abs(expected)), tolerance)


@given(expected=NUMBERS, share=SHARES, part=st.floats(1.01, 1e6), sign=st.sampled_from([-1, 1]))
def test_what_lies_beyond_it_never_is(expected: float, share: float, part: float, sign: int) -> None:
    tolerance = Sample(relative=share, absolute=1e-6)
    assert not near(expected, expected + sign * part * (1e-6 + share * abs(expected)), tolerance)


@given(NUMBERS)
def test_only_nan_is_nan_and_an_infinity_is_nothing_that_was_recorded(number: float) -> None:
    tolerance = Sample(relative=0.1, absolute=1e300)
    assert near(math.nan, math.nan, tolerance)
    assert not near(math.nan, number, tolerance)
    assert not near(number, math.nan, tolerance)
    assert not near(number, math.inf, tolerance)


@pytest.mark.parametrize(
    ("expected", "given_values"),
    [
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([True, False]), np.array([True, True])),
        (np.array(["a", "b"], object), np.array(["a", "B"], object)),
    ],
)
def test_all_else_is_the_same_or_not(expected: np.ndarray, given_values: np.ndarray) -> None:
    assert within(expected, given_values, Sample(relative=0.1, absolute=10)).tolist() == [True, False]


def test_recorded_rows_are_repeated_to_any_number() -> None:
    recorded = Recorded({"x": np.array([[1], [2], [3]]), "y": np.array(["a", "b", "c"], object)}, {}, Sample())
    rows = recorded.repeated(batchable=True)(5)
    assert rows["x"].ravel().tolist() == [1, 2, 3, 1, 2]
    assert rows["y"].tolist() == ["a", "b", "c", "a", "b"]
    assert recorded.repeated(batchable=False)(5) is recorded.inputs
