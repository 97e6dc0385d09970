"""What training is given was known at the time: held against a reference that looks at every row."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sluice_features.errors import FeaturesError
from unit.features.shop import FEATURES, NOW, rows, shop

START = datetime(2026, 1, 1, tzinfo=UTC)


def moments(most: int) -> st.SearchStrategy[datetime]:
    return st.integers(0, most).map(lambda hours: START + timedelta(hours=hours))


@dataclass(frozen=True)
class Row:
    store_id: int
    at: datetime
    written: datetime
    size: float


ROWS = st.lists(
    st.builds(Row, st.integers(1, 3), moments(12), moments(14), st.integers(0, 99).map(float)),
    min_size=30,
    max_size=60,
    unique_by=lambda row: (row.store_id, row.at, row.written),
)
ASKED = st.lists(st.tuples(st.integers(1, 4) | st.none(), moments(16)), min_size=20, max_size=40)


def reference(known: list[Row], key: int | None, asked: datetime, age: timedelta | None, from_created: bool) -> Any:
    """The size that was known of a key at a time; of all rows, one by one."""
    best: Row | None = None
    for row in known:
        if row.store_id != key or row.at > asked or (from_created and row.written > asked):
            continue
        if best is None or (row.at, row.written) > (best.at, best.written):
            best = row
    return None if best is None or (age is not None and asked - best.at > age) else best.size


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    # A failure is told at once: to make it smaller takes minutes.
    phases=[Phase.generate],
)
@given(
    ROWS,
    ASKED,
    st.none() | st.integers(1, 3).map(lambda hours: timedelta(hours=hours)),
    st.booleans(),
)
def test_each_row_is_given_what_was_known_at_its_time(
    known: list[Row], asked: list[tuple[int | None, datetime]], age: timedelta | None, from_created: bool
) -> None:
    columns = {name: [getattr(row, name) for row in known] for name in ("store_id", "at", "written", "size")}
    changes: dict[str, Any] = {"created": "written", "features": FEATURES[:1], "minRows": 0}
    if age is not None:
        changes["maxAge"] = f"{age // timedelta(hours=1)}h"
    if from_created:
        changes["knownFrom"] = "created"
    with tempfile.TemporaryDirectory() as folder:
        features = shop(Path(folder), columns, **changes)
        entities = pa.table(
            {
                "store_id": pa.array([key for key, _ in asked], pa.int64()),
                "when": pa.array([when for _, when in asked], pa.timestamp("us", "UTC")),
            }
        )
        found = features.training_data("store-revenue", entities, timestamp="when", now=NOW)
    assert found.column_names == ["store_id", "when", "size"]
    assert found.select(["store_id", "when"]) == entities
    assert found.column("size").to_pylist() == [reference(known, key, when, age, from_created) for key, when in asked]


def test_nobody_who_asks_and_nothing_that_is_known(tmp_path: Path) -> None:
    nobody = asking().slice(0, 0)
    assert shop(tmp_path, rows(), maxAge="1h").training_data("store-revenue", nobody, now=NOW).num_rows == 0
    nothing = shop(tmp_path, rows(0), maxAge="1h").training_data("store-revenue", asking(), now=NOW)
    assert nothing.column("size").to_pylist() == [None, None]


def asking(**columns: Any) -> pa.Table:
    good = {"store_id": pa.array([1, 2]), "event_timestamp": pa.array([NOW, NOW], pa.timestamp("us", "UTC"))}
    return pa.table(good | columns)


def test_a_row_is_taken_as_a_whole(tmp_path: Path) -> None:
    columns = rows(2, store_id=[1, 1], staff=[None, 7])
    features = shop(tmp_path, columns)
    found = features.training_data("store-revenue", asking(), now=NOW)
    assert found.column("staff").to_pylist() == [None, None]
    assert found.column("size").to_pylist() == [100.0, None]


def test_features_have_the_types_of_the_definitions(tmp_path: Path) -> None:
    found = shop(tmp_path, rows()).training_data("store-revenue", asking(), now=NOW)
    types = [found.schema.field(name).type for name in ("size", "staff", "city")]
    assert types == [pa.float32(), pa.int64(), pa.string()]


@pytest.mark.parametrize("unit", ["s", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Amsterdam"])
def test_moments_of_any_form_are_the_same_moments(unit: str, zone: str | None, tmp_path: Path) -> None:
    kind = pa.timestamp(unit, zone)
    local = NOW if zone else NOW.replace(tzinfo=None)
    columns = rows(2, store_id=[1, 2], at=pa.array([local, local + timedelta(seconds=1)], kind))
    asked = asking(event_timestamp=pa.array([local, local], kind))
    found = shop(tmp_path, columns).training_data("store-revenue", asked, now=NOW)
    assert found.column("size").to_pylist() == [100.0, None]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (pa.table({"store_id": [1]}), "no column event_timestamp"),
        (asking(event_timestamp=pa.array(["2026-01-01", "2026-01-02"])), "holds the moment of each row"),
        (asking(event_timestamp=pa.array([None, NOW], pa.timestamp("us", "UTC"))), "none of them missing"),
        (asking(store_id=pa.array(["1", "2"])), "the key is Int64"),
        (asking(store_id=pa.array([1.0, 2.0**53])), "column store_id holds what is no key: .* may have been rounded"),
        (asking(store_id=pa.array([1.0, 2.5])), "column store_id holds what is no key"),
        (asking(size=pa.array([1.0, 2.0])), "columns of the features' names: size"),
    ],
)
def test_rows_that_cannot_ask_are_told_why(asked: pa.Table, words: str, tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match=words):
        shop(tmp_path, rows()).training_data("store-revenue", asked, now=NOW)


def test_rows_that_break_a_rule_are_not_trained_on(tmp_path: Path) -> None:
    features = shop(tmp_path, rows(size=[1.0, None, 2.0]))
    with pytest.raises(FeaturesError, match=r"stores.size: a value is missing \[nullable\] \(1 of 3 rows\)"):
        features.training_data("store-revenue", asking(), now=NOW)


def test_an_unknown_service_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="no service is called other; there are: store-revenue"):
        shop(tmp_path, rows()).training_data("other", asking(), now=NOW)
