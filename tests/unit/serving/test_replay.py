"""How exactly an answer must be the one of training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.manifest import Sample
from sluice.sample import absolute_of
from sluice_runtime.replay import Recorded, within

NUMBERS = st.floats(-1e12, 1e12)
SHARES = st.floats(1e-7, 0.1)


def near(expected: float, given_value: float, relative: float, absolute: float) -> bool:
    return bool(within(np.array(expected), np.array(given_value), relative, absolute))


@given(expected=NUMBERS, share=SHARES, part=st.floats(-0.99, 0.99))
def test_what_lies_within_the_tolerance_is_the_same(expected: float, share: float, part: float) -> None:
    assert near(expected, expected + part * (1e-6 + share * abs(expected)), share, 1e-6)


@given(expected=NUMBERS, share=SHARES, part=st.floats(1.01, 1e6), sign=st.sampled_from([-1, 1]))
def test_what_lies_beyond_it_never_is(expected: float, share: float, part: float, sign: int) -> None:
    assert not near(expected, expected + sign * part * (1e-6 + share * abs(expected)), share, 1e-6)


@given(NUMBERS)
def test_only_nan_is_nan_and_an_infinity_is_nothing_that_was_recorded(number: float) -> None:
    tolerance = 0.1, 1e300
    assert near(math.nan, math.nan, *tolerance)
    assert not near(math.nan, number, *tolerance)
    assert not near(number, math.nan, *tolerance)
    assert not near(number, math.inf, *tolerance)


@pytest.mark.parametrize(
    ("expected", "given_values"),
    [
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([True, False]), np.array([True, True])),
        (np.array(["a", "b"], object), np.array(["a", "B"], object)),
    ],
)
def test_all_else_is_the_same_or_not(expected: np.ndarray, given_values: np.ndarray) -> None:
    assert within(expected, given_values, 0.1, 10).tolist() == [True, False]


@pytest.mark.parametrize(
    ("expected", "tolerance", "absolute"),
    [
        ([1.0, -1e9], Sample(), 1e-6),
        ([0.0, -1e-3], Sample(), 1e-8),
        ([5e-7, math.nan], Sample(), 5e-12),
        ([0.0, math.nan], Sample(), 0),
        ([math.nan], Sample(), 0),
        ([], Sample(), 0),
        ([5e-7], Sample(relative=0.01), 5e-9),
        ([5e-7], Sample(absolute=1e-6), 1e-6),
        ([5e-7], Sample(absolute=0), 0),
    ],
)
def test_small_answers_are_held_to_what_is_small_beside_them(
    expected: list[float], tolerance: Sample, absolute: float
) -> None:
    assert absolute_of(tolerance, np.array(expected)) == pytest.approx(absolute)
    assert absolute_of(tolerance, np.array(expected, np.float32)) == pytest.approx(absolute)


def test_recorded_rows_are_repeated_to_any_number() -> None:
    recorded = Recorded({"x": np.array([[1], [2], [3]]), "y": np.array(["a", "b", "c"], object)}, {}, Sample())
    rows = recorded.repeated(batchable=True)(5)
    assert rows["x"].ravel().tolist() == [1, 2, 3, 1, 2]
    assert rows["y"].tolist() == ["a", "b", "c", "a", "b"]
    assert recorded.repeated(batchable=False)(5) is recorded.inputs
