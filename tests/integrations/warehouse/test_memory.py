"""Five million rows are checked in the memory that two hundred thousand take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml

from integrations.warehouse.rows import NOW
from sluice_features.memory import VARIABLE

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
