"""Five million rows are checked in the memory that two hundred thousand take; a table is read in less than its size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import deltalake
import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

from integrations.warehouse.rows import NOW
from sluice_features.memory import READ_VARIABLE, VARIABLE

MANY, FEW = 5_000_000, 200_000
BOUND_MB = 900
"""Peak of the process, libraries included, whatever is read."""

CHECK = """\
import datetime, resource, sys
from sluice_features import load
from sluice_features.materialize import Run, check

features = load(sys.argv[1], {})
report = check(Run(features.definitions, features.context, datetime.datetime.fromisoformat(sys.argv[2])))
assert report.result == "Checked", report.message
print(report.views[0].rows, report.views[0].entities, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def rows_in(folder: Path, rows: int) -> None:
    columns = (
        f"(i % {rows // 5})::BIGINT AS store_id, TIMESTAMP '{NOW:%Y-%m-%d %H:%M:%S}' - to_microseconds(i) AS at, "
        "(i % 100)::DOUBLE AS size, CASE WHEN i % 10 <> 0 THEN i / 7 END AS margin, 'a' || (i % 10) AS city"
    )
    duckdb.sql(f"COPY (SELECT {columns} FROM range({rows}) AS r(i)) TO '{folder}/rows.parquet'")


@pytest.mark.parametrize("rows", [FEW, MANY])
def test_memory_is_bounded_whatever_is_read(rows: int, tmp_path: Path) -> None:
    rows_in(tmp_path, rows)
    features = [
        {"name": "size", "datatype": "FP32", "minimum": 0, "outliers": {}},
        {"name": "margin", "datatype": "FP64", "nullable": True, "maxMissing": 0.2, "outliers": {"method": "zscore"}},
        {"name": "city", "datatype": "BYTES", "categories": [f"a{number}" for number in range(10)]},
    ]
    view = {"name": "big", "source": "files", "entities": ["store_id"], "timestamp": "at", "features": features}
    document = {
        "project": "shop",
        "entities": [{"name": "store_id"}],
        "sources": {"files": {"parquet": {"tables": "rows.parquet"}}},
        "views": [view],
    }
    (tmp_path / "features.yaml").write_text(yaml.safe_dump(document))
    words = [sys.executable, "-c", CHECK, str(tmp_path / "features.yaml"), NOW.isoformat()]
    environ = {**os.environ, "TMPDIR": str(tmp_path), VARIABLE: "256MB"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environ, timeout=500)
    assert done.returncode == 0, done.stderr
    read, entities, peak = map(int, done.stdout.split())
    print(f"{read} rows: {peak} MB at most")
    assert (read, entities) == (rows, rows // 5)
    assert peak < BOUND_MB
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("sluice-features-")] == []


READ = """\
import sys
import deltalake, duckdb, pyarrow.dataset, pyarrow.parquet
from sluice_features import load
from sluice_features.sources.opening import opened
from sluice_features.sources.reading import Window

def peak():
    # Of this program alone: what getrusage says begins with the peak of whoever started it.
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024

features = load(sys.argv[1], {})
(view,) = features.definitions.views
duckdb.sql("SELECT 1").fetchall()
before, rows = peak(), 0
with opened(features.definitions, view, features.context) as reading:
    for batch in reading.batches(view.columns, view.timestamp, Window()):
        rows += batch.num_rows
print(rows, peak() - before)
"""
LARGE_ROWS = 3_000_000
MORE_MB = 250
"""What a reading may add to the process, DuckDB's share included; Arrow's own scanner takes what the table does."""


def one_group(folder: Path, kind: str) -> str:
    """A table of more than 400 MiB whose rows are one group; the answer is where it is."""
    text = "md5(i::VARCHAR) || md5((i + 1)::VARCHAR) || md5((i + 2)::VARCHAR) || md5((i + 3)::VARCHAR)"
    columns = f"i::BIGINT AS store_id, TIMESTAMP '2026-01-01' AS at, (i % 100)::DOUBLE AS size, {text} AS city"
    found = duckdb.sql(f"SELECT {columns} FROM range({LARGE_ROWS}) AS r(i)")
    assert found is not None
    rows = found.to_arrow_table()
    assert rows.nbytes > 400 * 1024**2
    if kind == "delta":
        properties = deltalake.WriterProperties(max_row_group_size=LARGE_ROWS)
        deltalake.write_deltalake(str(folder / "delta"), rows, writer_properties=properties)
        return str(folder / "delta")
    pq.write_table(rows, folder / "rows.parquet", row_group_size=LARGE_ROWS, use_dictionary=["size"])
    return f"file://{folder}/rows.parquet"


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_table_is_read_in_less_than_its_size(kind: str, tmp_path: Path) -> None:
    features = [{"name": "size", "datatype": "FP32"}, {"name": "city", "datatype": "BYTES"}]
    view = {"name": "big", "source": "files", "entities": ["store_id"], "timestamp": "at", "features": features}
    document = {
        "project": "shop",
        "entities": [{"name": "store_id"}],
        "sources": {"files": {kind: {"tables": one_group(tmp_path, kind)}}},
        "views": [view],
    }
    (tmp_path / "features.yaml").write_text(yaml.safe_dump(document))
    words = [sys.executable, "-c", READ, str(tmp_path / "features.yaml")]
    environ = {**os.environ, VARIABLE: "256MB", READ_VARIABLE: "8MB"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environ, timeout=500)
    assert done.returncode == 0, done.stderr
    read, more = map(int, done.stdout.split())
    print(f"{kind}: {read} rows, {more} MB more")
    assert read == LARGE_ROWS
    assert more < MORE_MB
