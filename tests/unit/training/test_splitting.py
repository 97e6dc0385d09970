"""Rows are held out by what they say, so that the same ones are, whatever else comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from sluice_training.data import canonical
from sluice_training.errors import TrainingError
from sluice_training.splitting import folds, held_out
from unit.training.shops import shops


def test_a_row_stays_on_its_side_when_others_come_and_when_they_are_shuffled() -> None:
    table = canonical(shops(300))
    out = held_out(table, 0.2, 1)
    assert 0.12 < out.mean() < 0.28
    assert (held_out(table.slice(0, 200), 0.2, 1) == out[:200]).all()
    order = np.random.default_rng(0).permutation(300)
    assert (held_out(table.take(order), 0.2, 1) == out[order]).all()
    assert (held_out(table, 0.2, 2) != out).any()


def test_the_rows_of_one_entity_are_on_one_side_and_in_one_fold() -> None:
    table = canonical(pa.table({"shop": np.arange(400) % 40, "x": np.arange(400.0)}))
    for sides in (held_out(table, 0.3, 0, keys=["shop"]), folds(table, 5, 0, keys=["shop"])):
        assert all(len(set(sides[shop::40])) == 1 for shop in range(40))


def test_by_time_the_latest_are_held_out_and_moments_are_not_cut() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(days=day // 5) for day in range(100)]
    order = np.random.default_rng(0).permutation(100)
    table = canonical(pa.table({"at": [times[i] for i in order]}))
    out = held_out(table, 0.22, 0, timestamp="at")
    chosen = [times[i] for i, held in zip(order, out, strict=True) if held]
    kept = [times[i] for i, held in zip(order, out, strict=True) if not held]
    assert min(chosen) > max(kept)
    assert len(chosen) == 25


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["now"] * 40, "'at' is no time: row 0 has 'now'"),
        ([None] * 40, "of type double"),
        ([datetime(2026, 1, 1)] * 40, "no row is earlier"),
    ],
)
def test_times_that_split_nothing_are_refused(column: list[object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        held_out(canonical(pa.table({"at": column})), 0.2, 0, timestamp="at")


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(TrainingError, match="are the least"):
        held_out(canonical(shops(20)), 0.2, 0)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2026-01-01T08:00:00Z", "2026-01-02T08:00:00"], "row 0 has '2026-01-01T08:00:00Z' with a zone, and row 1 "),
        (["2026-01-01", None, "02-01-2026"], "'week' is no time: row 2 has '02-01-2026'; write 2026-11-22T14:00:00Z"),
        ([3, 4], "'week' is no time: it is of type int64"),
        ([datetime(2026, 1, 1), None], "1 rows have no time in 'week', the first of them row 1"),
    ],
)
def test_a_column_that_is_no_time_is_told_by_its_first_row_that_is_none(times: list[object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        held_out(canonical(pa.table({"week": times})), 0.2, 0, timestamp="week")
