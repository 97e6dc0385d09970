"""The rendered job, run by Spark itself; what it leaves is the source."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from integrations.environments import environment
from integrations.warehouse.conftest import Online
from integrations.warehouse.rows import FEATURES, NOW, STORES, definitions, known, view
from localcluster import packages
from sluice_features.errors import FeaturesError
from sluice_features.history import Features
from sluice_features.materialize import Run, check
from sluice_features.sources.spark import render_jobs

SPARK = ("pyspark==4.0.1",)
SUBMIT = "--master local[1] --driver-memory 512m --conf spark.ui.enabled=false pyspark-shell"


def lake(folder: Path, condition: str = "store_id > 0") -> Features:
    """Spark reads files below `raw`, and writes below `out`."""
    (folder / "raw").mkdir(exist_ok=True)
    pq.write_table(known(), folder / "raw" / "stores.parquet")
    query = f"SELECT *, 'it''s' AS extra\nFROM parquet.`{folder}/raw` WHERE {condition};"
    return definitions(
        folder, {"lake": {"spark": {"output": "out"}}}, [view("spark", query=query) | {"source": "lake"}]
    )


def run_job(job: Path, *words: str) -> None:
    packages.ensure(("openjdk-17-jre-headless",))
    python = environment("spark", SPARK)
    environ = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(job.parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_SUBMIT_ARGS": SUBMIT,
    }
    done = subprocess.run(
        [str(python), str(job), *words],
        env=environ,
        cwd=job.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Features:
    folder = tmp_path_factory.mktemp("lake")
    features = lake(folder)
    [job] = render_jobs(features.definitions, folder, folder)
    run_job(job)
    run_job(job)
    return features


def test_what_a_job_wrote_is_read(done: Features, sqlite: Online) -> None:
    report = sqlite.bring(done)
    assert (report.result, report.views[0].rows, report.written) == ("Written", known().num_rows, STORES)
    newest = known().slice(known().num_rows - STORES)
    found = sqlite.values("spark", newest["store_id"].to_pylist())
    names = [feature["name"] for feature in FEATURES]
    assert json.dumps({name: found[name] for name in names}) == json.dumps(newest.select(names).to_pydict())


def test_training_reads_it_too(done: Features) -> None:
    asked = known().select(["store_id", "at"])
    found = done.training_data("spark", asked, timestamp="at", now=NOW)
    assert found["size"].to_pylist() == known()["size"].to_pylist()


def _refused(features: Features) -> Any:
    with pytest.raises(FeaturesError, match="the Spark job of view spark has not run to its end") as raised:
        check(Run(features.definitions, features.context, NOW))
    return raised.value


def test_what_another_query_wrote_is_not_read(done: Features) -> None:
    _refused(lake(done.context.folder, "store_id > 1"))


def test_what_a_job_did_not_finish_is_not_read(tmp_path: Path) -> None:
    features = lake(tmp_path)
    error = _refused(features)
    place = Path(error.message.partition("there is no ")[2].partition("/_SUCCESS")[0])
    place.mkdir(parents=True)
    pq.write_table(pa.table(known()), place / "part-0.parquet")
    _refused(features)
