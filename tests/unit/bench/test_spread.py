"""Contenders are compared within rounds, so that what slows a whole round changes no ratio."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.serving.cores import busy_of
from bench.serving.messages import Encoding
from bench.serving.rounds import calmest, turn_order
from bench.serving.samples import Cell, Sample
from bench.serving.spread import per_round, ratio, spread
from bench.serving.stage import LONGEST_SECONDS, long_enough

POSITIVE = st.floats(0.01, 1000.0)


def test_a_spread_is_median_lowest_and_highest() -> None:
    found = spread([3.0, 1.0, 2.0, 10.0])
    assert found is not None
    assert (found.median, found.low, found.high, found.rounds) == (2.5, 1.0, 10.0, 4)
    assert str(found) == "2.50 [1.00 .. 10.00]"


def test_nothing_measured_has_no_spread() -> None:
    assert spread([]) is None
    assert ratio([{"a": 1.0}], "a", "b") is None


@given(st.lists(POSITIVE, min_size=1, max_size=9), POSITIVE)
def test_rounds_of_any_speed_keep_their_ratio(speeds: list[float], factor: float) -> None:
    found = ratio([{"a": speed * factor, "b": speed} for speed in speeds], "a", "b")
    assert found is not None
    assert found.low == pytest.approx(factor)
    assert found.high == pytest.approx(factor)


def test_one_disturbed_round_does_not_move_the_median() -> None:
    calm = [{"a": 6.0, "b": 10.0}] * 4
    found = ratio([*calm, {"a": 1.0, "b": 10.0}], "a", "b")
    assert found is not None
    assert (found.median, found.low) == (0.6, 0.1)


def test_a_round_in_which_one_is_missing_does_not_count() -> None:
    rounds = [{"own": 3.0, "echo": 1.0, "run": 0.5}, {"own": 9.0, "run": 0.5}]
    found = per_round(rounds, lambda own, echo, run: own - echo - run, "own", "echo", "run")
    assert found is not None
    assert (found.median, found.rounds) == (1.5, 1)


def test_everybody_has_every_place_in_the_order_once() -> None:
    orders = [turn_order("abc", number) for number in range(3)]
    assert orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]
    assert turn_order([], 4) == []


def test_a_core_is_busy_for_all_but_idling_and_waiting() -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice, in ticks of 10 ms
    assert busy_of("cpu0 100 20 30 9000 800 1 2 7 50 0") == pytest.approx(1.60)


@pytest.mark.parametrize(
    ("pace", "connections", "lasts"), [(0.001, 16, 2.0), (0.25, 16, 8.0), (0.5, 64, LONGEST_SECONDS), (0.5, 1, 2.0)]
)
def test_a_slow_server_is_asked_for_longer_within_a_bound(pace: float, connections: int, lasts: float) -> None:
    assert long_enough(2.0, pace, connections) == lasts


@pytest.mark.parametrize(
    ("shares", "repeats", "kept", "measured"),
    [
        ([0.0], 2, 0.0, 1),
        ([0.5, 0.05], 2, 0.05, 2),
        ([0.5, 0.3, 0.4], 2, 0.3, 3),
        ([0.5], 0, 0.5, 1),
    ],
)
def test_a_disturbed_measurement_is_repeated_and_the_calmest_counts(
    shares: list[float], repeats: int, kept: float, measured: int
) -> None:
    cell, left = Cell("tabular", Encoding.JSON, 16), list(shares)
    found = calmest(lambda: Sample(cell, "a", 0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, left.pop(0)), repeats)
    assert (found.foreign, len(shares) - len(left)) == (kept, measured)
