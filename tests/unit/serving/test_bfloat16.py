"""BF16 as bit patterns: every pattern is a number, and every number becomes the nearest pattern."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.bfloat16 import from_float32, to_float32


def test_every_pattern_survives_the_way_to_a_number_and_back() -> None:
    patterns = np.arange(2**16, dtype=np.uint16)
    numbers = to_float32(patterns)
    there = ~np.isnan(numbers)
    assert (from_float32(numbers)[there] == patterns[there]).all()
    assert np.isnan(to_float32(from_float32(numbers[~there]))).all()


@given(st.floats(width=32, min_value=float(np.float32(-3e38)), max_value=float(np.float32(3e38))))
def test_the_nearest_pattern_is_taken(value: float) -> None:
    pattern = int(from_float32(np.array([value], np.float32))[0])
    near = [p for p in (pattern - 1, pattern, pattern + 1) if 0 <= p < 2**16]
    numbers = to_float32(np.array(near, np.uint16)).astype(np.float64)
    error = abs(float(to_float32(np.array([pattern], np.uint16))[0]) - value)
    assert error <= np.nanmin(np.abs(numbers - value))


@pytest.mark.parametrize(("value", "pattern"), [(1.00390625, 0x3F80), (1.01171875, 0x3F82), (-0.0, 0x8000)])
def test_ties_go_to_the_even_pattern(value: float, pattern: int) -> None:
    assert from_float32(np.array([value], np.float32)).tolist() == [pattern]


def test_a_number_too_large_for_bf16_is_refused_and_infinity_is_not() -> None:
    with pytest.raises(ValueError, match="too large"):
        from_float32(np.array([3.4e38], np.float32))
    assert from_float32(np.array([np.inf, -np.inf], np.float32)).tolist() == [0x7F80, 0xFF80]
