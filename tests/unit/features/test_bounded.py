"""What is read a few rows at a time is what Arrow's own scanner gives, and a failure on the way keeps its name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileOpener, LocalFileSystem  # type: ignore[import-untyped]

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


@pytest.mark.parametrize("dictionary", [True, False], ids=["told-once", "plain"])
def test_wide_rows_behind_narrow_ones_are_cut_as_well(
    dictionary: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a value that is repeated, the file says nothing of how much it is."""
    monkeypatch.setenv(READ_VARIABLE, "1MB")
    values = [""] * 300 + [f"{number % 3}" + "x" * 5000 for number in range(2700)]
    rows = pa.table({"number": range(3000), "text": values})
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=3000, use_dictionary=dictionary)
    found = list(BoundedDataset("lake", ds.dataset(tmp_path), context(tmp_path)).batches(("number", "text"), None))
    assert pa.Table.from_batches(found).equals(rows)
    # What is wider than all before it is cut from then on.
    sizes = sorted(batch.nbytes for batch in found)
    assert sizes[-2] <= 500_000
    assert sizes[-1] <= (256 * 5100 if dictionary else 500_000)


@pytest.mark.parametrize("width", [10, 1000])
def test_nothing_is_read_twice(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(READ_VARIABLE, "64MB")
    columns = {"number": range(20_000), "text": [f"{number:>{width}}" for number in range(20_000)]}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet", row_group_size=4000, compression="none")
    read: list[int] = []

    class Counting(LocalFileOpener):  # type: ignore[misc]
        def read(self, length: int = -1) -> bytes:
            found: bytes = self.f.read(length)
            read.append(len(found))
            return found

    class Local(LocalFileSystem):  # type: ignore[misc]
        def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
            return Counting(path, mode, fs=self, **more)

    lake = ds.dataset(str(tmp_path / "rows.parquet"), format="parquet", filesystem=Local())
    found = list(BoundedDataset("lake", lake, context(tmp_path)).batches(("number", "text"), None))
    assert sum(batch.num_rows for batch in found) == 20_000
    assert 0.9 < sum(read) / (tmp_path / "rows.parquet").stat().st_size < 1.5


def drifted(folder: Path) -> Parquet:
    for name, values in (("1", pa.array([1, 2])), ("2", pa.array([1.5, 2.5]))):
        at = pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 2)
        pq.write_table(pa.table({"id": values, "at": at, "size": values}), folder / f"{name}.parquet")
    return Parquet.model_validate({"tables": {"files": f"file://{folder}"}})


@pytest.mark.parametrize("query", ["SELECT * FROM files", "SELECT * FROM files WHERE size > 1"])
def test_a_column_of_two_types_is_told_with_its_file(query: str, tmp_path: Path) -> None:
    source = drifted(tmp_path)
    with (
        pytest.raises(FeaturesError, match=r"column size is double in .*2\.parquet, and int64 elsewhere") as raised,
        open_files(source, query, None, context(tmp_path)) as reading,
    ):
        list(reading.batches(("size",), "at", Window()))
    assert raised.value.reason is Reason.FEATURES_INVALID


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("new IS NULL", [1, 2]),
        ("new IS NULL AND id > 1", [2]),
        ("id IS NULL OR new IS NULL", [1, 2]),
        ("new = 'n'", [3]),
    ],
)
def test_what_a_delta_table_lacked_at_first_is_null_there(condition: str, found: list[int], tmp_path: Path) -> None:
    """Its log knows no bounds of such a column, which Arrow takes for a word that no row is null."""
    deltalake.write_deltalake(tmp_path, pa.table({"id": [1, 2], "part": ["a", "b"]}), partition_by=["part"])
    newer = pa.table({"id": [3], "part": ["c"], "new": ["n"]})
    deltalake.write_deltalake(tmp_path, newer, mode="append", schema_mode="merge")
    plain = deltalake.DeltaTable(tmp_path).to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("rows", BoundedDataset("lake", plain, context(tmp_path)))
        selected = connection.sql(f"SELECT id FROM rows WHERE {condition} ORDER BY id").fetchall()
    assert [number for (number,) in selected] == found


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
