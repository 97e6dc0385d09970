"""What a package's code returns becomes what is wanted without losing what it is, or is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sluice.manifest import Datatype
from sluice_runtime.preprocessing.predictor import fitting
from unit.serving.fakes import spec


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([1, 2**31], np.int64), Datatype.INT32),
        (np.array([-(2**31) - 1], np.int64), Datatype.INT32),
        (np.array([2**63], np.uint64), Datatype.INT64),
        (np.array([256], np.uint16), Datatype.UINT8),
        (np.array([1e300]), Datatype.FP32),
        (np.array([-1e300, np.nan]), Datatype.FP32),
        (np.array([65_520], np.int64), Datatype.FP16),
    ],
)
def test_a_number_that_does_not_fit_neither_wraps_around_nor_becomes_infinite(values: Any, wanted: Datatype) -> None:
    with pytest.raises(ValueError, match=f"'x' holds {values.dtype} beyond the range of {wanted}"):
        fitting({"x": values}, (spec("x", wanted, -1),), None)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([-(2**31), 2**31 - 1], np.int64), Datatype.INT32),
        (np.array([2**63 - 1], np.uint64), Datatype.INT64),
        (np.array([0, 255], np.uint64), Datatype.UINT8),
        (np.array([3e38, np.inf, -np.inf, np.nan]), Datatype.FP32),
        (np.array([], np.int64), Datatype.INT8),
        (np.array([True, False]), Datatype.INT8),
        (np.array([7], np.int64), Datatype.FP32),
    ],
)
def test_a_number_that_fits_stays_itself(values: Any, wanted: Datatype) -> None:
    found = fitting({"x": values}, (spec("x", wanted, -1),), None)["x"]
    assert np.allclose(found.astype(float), values.astype(float), rtol=1e-7, atol=0, equal_nan=True)
