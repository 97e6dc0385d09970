"""What is read a few rows at a time is what Arrow's own scanner gives, and a failure on the way keeps its name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from sluice.failures import Reason
from sluice_features.errors import FeaturesError
from sluice_features.memory import READ_VARIABLE, read_memory
from sluice_features.secrets import Secrets
from sluice_features.sources.bounded import BoundedDataset
from sluice_features.sources.in_duckdb import open_files
from sluice_features.sources.reading import Context, Window
from sluice_features.sources.types import Parquet

QUERIES = (
    "SELECT * FROM {} ORDER BY ALL",
    "SELECT count(*) FROM {}",
    "SELECT region FROM {} ORDER BY ALL",
    "SELECT city FROM {} WHERE size > 3 AND region = 'north' ORDER BY ALL",
    "SELECT more FROM {} WHERE size IN (1, 7) ORDER BY ALL",
    "SELECT a.city FROM {} AS a JOIN {} AS b USING (size) WHERE b.city LIKE 'D%' ORDER BY ALL",
    "SELECT region, sum(size) FROM {} GROUP BY region ORDER BY ALL",
    "SELECT size FROM {} WHERE city IS NULL",
)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two regions; the files of one hold a narrower type and a column that the other's lack."""
    folder = tmp_path / "lake"
    for region, more, kind in (("north", {}, pa.int64()), ("south", {"more": ["m"] * 10}, pa.int32())):
        (folder / f"region={region}").mkdir(parents=True)
        cities = ["Delft", None, "Dokkum", "Assen", "Gouda"] * 2
        columns = {"size": pa.array(range(10), kind), "city": cities, **more}
        pq.write_table(pa.table(columns), folder / f"region={region}" / "rows.parquet", row_group_size=4)
    return folder


def context(folder: Path) -> Context:
    return Context(folder, Secrets({}))


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("memory", ["1B", "1GB"])
def test_every_query_is_answered_as_by_arrow(
    query: str, memory: str, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(READ_VARIABLE, memory)
    schema = pa.schema([("size", pa.int64()), ("city", pa.string()), ("more", pa.string()), ("region", pa.string())])
    plain = ds.dataset(lake, schema, format="parquet", partitioning="hive")
    with duckdb.connect() as connection:
        connection.register("plain", plain)
        connection.register("bounded", BoundedDataset("lake", plain, context(lake)))
        one, other = (connection.sql(query.replace("{}", name)).fetchall() for name in ("plain", "bounded"))
    assert one == other
    assert one


def test_no_more_rows_come_at_once_than_there_is_room_for(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for memory, most in (("1B", 1), ("1GB", 4)):
        monkeypatch.setenv(READ_VARIABLE, memory)
        found = BoundedDataset("lake", ds.dataset(lake, format="parquet", partitioning="hive"), context(lake))
        assert max(batch.num_rows for batch in found.batches(("size", "region"), None)) == most


def test_a_table_that_breaks_off_may_be_whole_the_next_time(tmp_path: Path) -> None:
    times = [datetime(2026, 1, 1, tzinfo=UTC)] * 1000
    pq.write_table(pa.table({"id": range(1000), "at": times}), tmp_path / "rows.parquet", compression="none")
    content = bytearray((tmp_path / "rows.parquet").read_bytes())
    content[4:200] = b"\xff" * 196
    (tmp_path / "rows.parquet").write_bytes(content)
    source = Parquet.model_validate({"tables": f"file://{tmp_path}/rows.parquet"})
    with (
        pytest.raises(FeaturesError, match=r"rows\.parquet cannot be read") as raised,
        open_files(source, None, None, context(tmp_path)) as reading,
    ):
        list(reading.batches(("id", "at"), "at", Window()))
    assert raised.value.reason is Reason.FEATURES_UNAVAILABLE


@pytest.mark.parametrize("place", ["https://lake.example/rows.parquet", "ftp://x/y"])
def test_a_place_of_no_known_kind_is_refused_for_good(place: str, tmp_path: Path) -> None:
    source = Parquet.model_validate({"tables": place})
    with (
        pytest.raises(FeaturesError, match="Unrecognized filesystem") as raised,
        open_files(source, None, None, context(tmp_path)),
    ):
        pass
    assert raised.value.reason is Reason.FEATURES_INVALID


@pytest.mark.parametrize(
    ("limit", "bytes_"), [("max", 256 * 1024**2), (str(1024**3), 128 * 1024**2), (str(64 * 1024**2), 32 * 1024**2)]
)
def test_an_eighth_of_the_container_is_for_reading(limit: str, bytes_: int, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(limit)
    assert read_memory({}, [tmp_path / "memory.max"]) == bytes_
    assert read_memory({READ_VARIABLE: "7MB"}, [tmp_path / "memory.max"]) == 7_000_000


def test_what_is_no_amount_of_memory_is_refused() -> None:
    with pytest.raises(FeaturesError, match=READ_VARIABLE):
        read_memory({READ_VARIABLE: "much"})
