"""What training data show of a variable never excludes the training data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_training.describing import inferred


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([1_712_346_000.0, 1_712_346_099.0], (1_712_345_901, 1_712_346_198)),
        ([1.0, 3.0], (0, 5)),
        ([-1.0, 1.0], (-3, 3)),
        ([0.0, 1 / 3], (0, 0.666667)),
        ([-1 / 3, 0.0], (-0.666667, 0.333334)),
    ],
)
def test_bounds_lie_outside_by_the_width(values: list[float], bounds: tuple[float, float]) -> None:
    found = inferred("at", np.array(values))
    assert found is not None
    assert (found.minimum, found.maximum) == bounds


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2))
def test_no_row_of_the_data_is_outside(values: list[float]) -> None:
    array = np.array(values)
    found = inferred("any", array)
    if found is not None and found.minimum is not None and found.maximum is not None:
        assert found.minimum <= array.min()
        assert found.maximum >= array.max()


def test_what_is_wider_than_any_number_has_no_bounds() -> None:
    assert inferred("any", np.array([-1e308, 1e308])) is None
