"""Parquet, Delta and what Spark left, in an object store: by URI, with the cloud's own variables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deltalake
import pyarrow.parquet as pq
import pytest

from integrations.stores.servers import BUCKET, S3_PASSWORD, S3_USER, Server, versitygw
from integrations.warehouse.rows import definitions, known, view
from sluice_features.sources.spark import part_of

LAKE = f"s3://{BUCKET}/lake"
QUERY = "SELECT * FROM stores"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server that keeps objects as files, and the folder that is LAKE."""
    folder = tmp_path_factory.mktemp("s3")
    server = versitygw(folder)
    server.start()
    yield server, folder / "data" / BUCKET / "lake"
    server.kill()


def checked(server: Server, folder: Path, password: str = S3_PASSWORD) -> subprocess.CompletedProcess[str]:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": S3_USER,
        "AWS_SECRET_ACCESS_KEY": password,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    words = [sys.executable, "-m", "sluice", "features", "check", str(folder / "features.yaml")]
    return subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=300)


def in_lake(folder: Path, kind: str, place: Path) -> None:
    """Definitions in `folder`, and their rows below `place`, which is LAKE."""
    sources: dict[str, Any] = {
        "parquet": {"tables": f"{LAKE}/parquet"},
        "delta": {"tables": {"stores": f"{LAKE}/delta"}},
        "spark": {"output": f"{LAKE}/spark"},
    }
    asked = {"query": QUERY} if kind == "spark" else {}
    table = {"table": "stores"} if kind == "delta" else {}
    features = definitions(folder, {kind: {kind: sources[kind]}}, [view(kind, **asked, **table)])
    if kind == "delta":
        deltalake.write_deltalake(str(place / "delta"), known())
        return
    target = place / "parquet"
    if kind == "spark":
        target = place / "spark" / part_of(features.definitions.views[0])
    target.mkdir(parents=True)
    pq.write_table(known(), target / "part-0.parquet")
    (target / "_SUCCESS").touch()


@pytest.mark.parametrize("kind", ["parquet", "delta", "spark"])
def test_a_bucket_is_read(kind: str, lake: tuple[Server, Path], tmp_path: Path) -> None:
    server, place = lake
    in_lake(tmp_path, kind, place)
    done = checked(server, tmp_path)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert done.stdout.startswith(f"{kind}: 200 rows of 40 keys")
    refused = checked(server, tmp_path, password="another-secret")
    assert (refused.returncode, refused.stderr.count("\n")) == (3, 1), refused.stderr
    assert "another-secret" not in refused.stderr
    assert "check the credentials in the environment" in refused.stderr
