"""Two answers to one request: what counts as the same, and what many pairs amount to."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_operator.planning.comparison import OUTPUTS_KEPT, Output, Said, Tally, Tolerance

TOLERANCE = Tolerance(relative=1e-4, absolute=1e-6)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


def one(datatype: str, *values: float, shape: tuple[int, ...] | None = None) -> Said:
    return Said({"y": Output(datatype, shape or (len(values),), values)})


def compared(stable: Said, canary: Said, tolerance: Tolerance = TOLERANCE) -> Tally:
    tally = Tally()
    tally.add(stable, canary, tolerance)
    return tally


ERROR, OTHER = Said(error=500), Said(error=400)
BOTH = Said({"y": Output("FP32", (1,), (1.0,)), "z": Output("FP32", (1,), (1.0,))})

SAME: dict[str, tuple[Said, Said]] = {
    "the same numbers": (one("FP32", 0.5, -2), one("FP32", 0.5, -2)),
    "a large number within the relative tolerance": (one("FP32", 10_000), one("FP32", 10_000.9)),
    "a small number within the absolute tolerance": (one("FP64", 0.0), one("FP64", 9e-7)),
    "no number on both sides": (one("FP16", math.nan), one("FP16", math.nan)),
    "beyond all numbers on both sides": (one("BF16", math.inf), one("BF16", math.inf)),
    "class labels": (one("INT64", 2**63 - 1), one("INT64", 2**63 - 1)),
    "nothing": (one("FP32"), one("FP32")),
    "the same error": (ERROR, Said(error=500)),
}
DIFFERENT: dict[str, tuple[Said, Said]] = {
    "one number of many": (one("FP32", 1, 2, 3), one("FP32", 1, 2.001, 3)),
    "a number near zero": (one("FP32", 0.0), one("FP32", 2e-6)),
    "no number on one side": (one("FP32", 1.0), one("FP32", math.nan)),
    "beyond all numbers on one side": (one("FP32", 1e30), one("FP32", math.inf)),
    "beyond all numbers, the other way": (one("FP32", math.inf), one("FP32", -math.inf)),
    "class labels": (one("INT64", 2**63 - 1), one("INT64", 2**63 - 2)),
    "large class labels within the tolerance of numbers": (one("INT32", 100_000), one("INT32", 100_001)),
    "truth": (one("BOOL", 1), one("BOOL", 0)),
    "text": (one("BYTES", 77), one("BYTES", 78)),
    "shape": (one("FP32", 1, 1), one("FP32", 1, 1, shape=(1, 2))),
    "datatype": (one("FP32", 1), one("FP64", 1)),
    "an output more": (one("FP32", 1), BOTH),
    "an output less": (BOTH, one("FP32", 1)),
    "another error": (ERROR, OTHER),
    "an error of the canary": (one("FP32", 1), ERROR),
    "an error of stable": (ERROR, one("FP32", 1)),
}


@pytest.mark.parametrize(("stable", "canary"), SAME.values(), ids=SAME)
def test_answers_that_are_the_same(stable: Said, canary: Said) -> None:
    tally = compared(stable, canary)
    assert (tally.pairs, tally.different, tally.errors) == (1, 0, 0)


@pytest.mark.parametrize(("stable", "canary"), DIFFERENT.values(), ids=DIFFERENT)
def test_answers_that_differ(stable: Said, canary: Said) -> None:
    tally = compared(stable, canary)
    failed = stable.error is not None or canary.error is not None
    assert (tally.pairs, tally.different, tally.errors) == (1, 1, int(failed))


def test_the_largest_difference_is_told_whether_or_not_it_is_tolerated() -> None:
    tally = compared(one("FP32", 1.0, 5.0, math.nan), one("FP32", 1.0, 5.25, 0.0), Tolerance(0.1, 0))
    tally.add(one("FP32", 2.0), one("FP32", 2.125), Tolerance(0.1, 0))
    assert (tally.pairs, tally.different) == (2, 1)
    assert (tally.outputs["y"].different, tally.outputs["y"].largest) == (1, 0.25)


def test_an_answer_with_a_thousand_outputs_leaves_a_few_lines_and_counts_all_the_same() -> None:
    many: dict[str, Any] = {f"y{number}": Output("INT8", (1,), (number,)) for number in range(1000)}
    other = {**many, "y999": Output("INT8", (1,), (0,))}
    tally = compared(Said(many), Said(other))
    assert tally.different == 1
    assert len(tally.outputs) == OUTPUTS_KEPT


@given(st.lists(NUMBERS, max_size=5), st.sampled_from(["FP32", "INT32", "BYTES"]), st.floats(0, 1))
def test_an_answer_never_differs_from_itself(values: list[float], datatype: str, tolerance: float) -> None:
    whole = [0.0 if datatype != "FP32" and math.isnan(value) else value for value in values]
    assert compared(one(datatype, *whole), one(datatype, *whole), Tolerance(tolerance, tolerance)).different == 0


@given(NUMBERS, NUMBERS, st.floats(0, 1), st.floats(0, 1))
def test_more_tolerance_never_finds_more(stable: float, canary: float, less: float, more: float) -> None:
    less, more = sorted((less, more))
    strict = compared(one("FP32", stable), one("FP32", canary), Tolerance(less, less)).different
    assert compared(one("FP32", stable), one("FP32", canary), Tolerance(more, more)).different <= strict
