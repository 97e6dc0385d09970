"""What holds of the online store when data are bad, the server dies, or Redis keeps what it has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from integrations.warehouse.conftest import Online
from integrations.warehouse.rows import FEATURES, NOW, STORES, definitions, known, view
from sluice.failures import Reason
from sluice_features.errors import FeaturesError
from sluice_features.history import Features

EVERYBODY = list(range(1, STORES + 1))


@pytest.fixture(params=["sqlite", "redis"])
def online(request: pytest.FixtureRequest) -> Online:
    found: Online = request.getfixturevalue(request.param)
    return found


def stores(folder: Path, rows: pa.Table, concurrency: int = 1, **changes: Any) -> Features:
    pq.write_table(rows, folder / "stores.parquet")
    sources = {"files": {"parquet": {"tables": "stores.parquet"}}}
    return definitions(folder, sources, [_stores(changes)], concurrency=concurrency)


def _stores(changes: dict[str, Any]) -> dict[str, Any]:
    return view("stores") | {"source": "files"} | changes


def moved(rows: pa.Table, hours: int = 0, **columns: Any) -> pa.Table:
    """Rows so many hours later, with other values."""
    for name, values in columns.items():
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, rows.schema.field(name).type))
    later = pc.add(rows["at"], pa.scalar(timedelta(hours=hours), pa.duration("us")))
    return rows.set_column(rows.column_names.index("at"), "at", later)


def test_a_failed_batch_keeps_the_old_values_and_says_so(online: Online, tmp_path: Path) -> None:
    rows = moved(known(), hours=-2)
    assert online.bring(stores(tmp_path, rows)).result == "Written"
    old = online.values("stores", EVERYBODY)
    sizes = [0.5 if number == rows.num_rows - 1 else 7.0 for number in range(rows.num_rows)]
    report = online.bring(stores(tmp_path, moved(rows, hours=1, size=sizes)))
    assert (report.result, report.written) == ("Refused", 0)
    assert "stores.size: a value is below 1 [minimum] (1 of 200 rows)" in report.message
    assert report.message.startswith("Nothing was written, the old values stay: ")
    assert online.values("stores", EVERYBODY) == old


def test_corrected_rows_of_the_same_time_replace_what_is_there(online: Online, tmp_path: Path) -> None:
    assert online.bring(stores(tmp_path, known())).result == "Written"
    corrected = moved(known(), size=[55.0] * known().num_rows)
    assert online.bring(stores(tmp_path, corrected)).result == "Written"
    assert online.values("stores", EVERYBODY)["size"] == [55.0] * STORES


def test_redis_that_keeps_rows_of_the_same_time_is_found_out(careful_redis: Online, tmp_path: Path) -> None:
    assert careful_redis.bring(stores(tmp_path, known())).result == "Written"
    assert careful_redis.bring(stores(tmp_path, known())).result == "Written"
    report = careful_redis.bring(stores(tmp_path, moved(known(), size=[77.0] * known().num_rows)))
    assert (report.result, report.reason) == ("Failed", Reason.FEATURES_INVALID)
    assert "the online store holds other values of view stores than were written" in report.message
    assert "skip_dedup: true" in report.message


def test_keys_whose_values_all_went_missing_are_told_as_missing(online: Online, tmp_path: Path) -> None:
    sparse: dict[str, Any] = {"features": [{**feature, "nullable": True} for feature in FEATURES]}
    assert online.bring(stores(tmp_path, moved(known(), hours=-2), **sparse)).result == "Written"
    # The first batches, of 16 keys each, have no value at all.
    gone: dict[str, Any] = {name: [None] * (STORES - 1) for name in ("size", "margin", "staff", "city", "is_open")}
    newest = known().slice(known().num_rows - STORES)
    rows = pa.concat_tables([moved(newest.slice(0, STORES - 1), **gone), newest.slice(STORES - 1)])
    assert online.bring(stores(tmp_path, rows, **sparse)).result == "Written"
    assert online.values("stores", EVERYBODY)["size"] == [None] * (STORES - 1) + [newest["size"][-1].as_py()]


@pytest.fixture
def dying(sqlite: Online) -> Iterator[Online]:
    yield sqlite
    sqlite.server.kill()
    sqlite.server.begin()


def test_a_server_that_dies_in_the_middle_leaves_what_a_second_run_completes(dying: Online, tmp_path: Path) -> None:
    assert dying.bring(stores(tmp_path, moved(known(), hours=-2))).result == "Written"
    features = stores(tmp_path, moved(known(), hours=-1, size=[9.0] * known().num_rows))

    def kill(line: str) -> None:
        if line == f"stores: 16 of {STORES} keys written":
            dying.server.kill()

    report = dying.bring(features, say=kill)
    assert (report.result, report.reason, report.written) == ("Failed", Reason.FEATURES_UNAVAILABLE, 16)
    perhaps = "and perhaps some of 16 whose write failed; the others keep their old values"
    assert f"Written were 16 of {STORES} keys of stores, {perhaps}" in report.message
    dying.server.begin()
    sizes = dying.values("stores", EVERYBODY)["size"]
    assert [size == 9.0 for size in sizes] == [key <= 16 for key in EVERYBODY]
    assert dying.bring(features).result == "Written"
    assert dying.values("stores", EVERYBODY)["size"] == [9.0] * STORES


@pytest.fixture
def dying_redis(redis: Online) -> Iterator[Online]:
    yield redis
    redis.server.kill()
    redis.server.begin()


def test_of_writes_under_way_at_once_no_more_is_told_than_is_there(dying_redis: Online, tmp_path: Path) -> None:
    dying = dying_redis
    assert dying.bring(stores(tmp_path, moved(known(), hours=-2))).result == "Written"
    features = stores(tmp_path, moved(known(), hours=-1, size=[9.0] * known().num_rows), concurrency=2)
    report = dying.bring(features, say=lambda line: dying.server.kill() if "keys written" in line else None)
    assert report.result == "Failed"
    dying.server.begin()
    there = sum(size == 9.0 for size in dying.values("stores", EVERYBODY)["size"])
    told = report.views[0]
    assert told.written <= there <= told.written + told.doubtful
    assert dying.bring(features).result == "Written"
    assert dying.values("stores", EVERYBODY)["size"] == [9.0] * STORES


def test_a_view_that_the_server_does_not_know_is_found_before_a_write(online: Online, tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="run `sluice features render` and `feast apply`") as raised:
        online.bring(stores(tmp_path, known(), name="unknown"))
    assert raised.value.reason is Reason.FEATURES_INVALID


def test_a_feature_that_the_server_does_not_know_is_found_before_a_write(online: Online, tmp_path: Path) -> None:
    rows = known().append_column("more", pa.array([1.0] * known().num_rows))
    features = [*FEATURES, {"name": "more", "datatype": "FP32"}]
    with pytest.raises(FeaturesError, match="run `sluice features render` and `feast apply`"):
        online.bring(stores(tmp_path, rows, features=features))


def test_values_are_those_that_the_source_had_at_its_newest(online: Online, tmp_path: Path) -> None:
    rows = moved(known(), hours=0, staff=[2**53 - number for number in range(known().num_rows)])
    assert online.bring(stores(tmp_path, rows)).result == "Written"
    assert online.values("stores", EVERYBODY)["staff"] == rows["staff"].to_pylist()[-STORES:]
    assert NOW.year == rows["at"][-1].as_py().year
