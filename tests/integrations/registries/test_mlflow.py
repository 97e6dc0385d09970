"""Packages in a real MLflow registry: by version and by alias, moved, and refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx

from integrations.environments import environment
from integrations.registries.fetching import config_for, digest_at, refusal_of
from integrations.registries.servers import MLFLOW, PATIENCE, Server
from integrations.stores.conftest import s3_store
from integrations.stores.lines import line_to, nothing
from integrations.stores.packing import Shelf
from runtime.harness import run
from sluice.archive import write_archive
from sluice.digest import package_digest
from sluice.failures import Reason, Resolved
from unit.store.packages import make_package

__all__ = ["s3_store"]

REGISTER = Path(__file__).with_name("register.py")


def register(server: Server, name: str, *wanted: str) -> list[str]:
    """Versions of packages that MLflow's own client registered."""
    command = [str(environment("mlflow", MLFLOW)), str(REGISTER), server.url, name, *wanted]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(server.folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return [line.split()[1] for line in result.stdout.splitlines() if line.startswith("version ")]


def call(server: Server, path: str, **body: str) -> None:
    answer = httpx.post(f"{server.url}/api/2.0/mlflow/{path}", json=body, trust_env=False, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text


def point(server: Server, name: str, alias: str, version: str) -> None:
    call(server, "registered-models/alias", name=name, alias=alias, version=version)


def at(server: Server) -> dict[str, dict[str, str]]:
    return {"store": {"endpoint": server.url}}


def test_each_way_to_register_a_package_can_be_served(mlflow: Server, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    (package / "notes").mkdir()
    (package / "notes/of the author.txt").write_text("deeper")
    archive = tmp_path / "iris-1.tar.gz"
    write_archive(package, archive)
    digest = package_digest(package)
    ways = (f"folder:{package}:{digest}", f"register:{package}", f"archive:{archive}:{digest}", f"nested:{package}")
    versions = register(mlflow, "each way", *ways)
    assert versions == ["1", "2", "3", "4"]
    for version in versions:
        assert digest_at(f"models:/each way/{version}", tmp_path / version, **at(mlflow)) == digest


def test_a_moved_alias_is_another_reference_and_the_old_version_stays(mlflow: Server, tmp_path: Path) -> None:
    one, two = make_package(tmp_path / "one"), make_package(tmp_path / "two", version="2")
    register(mlflow, "moving", f"folder:{one}", f"folder:{two}")
    point(mlflow, "moving", "champion", "1")
    uri, pinned = "models:/moving@champion", "models:/moving/1"
    found = Resolved(digest=package_digest(one), name="iris", version="1", uri=pinned)
    assert run("sluice_runtime.resolve", config_for(uri, tmp_path / "step", **at(mlflow))) == (0, found)
    known = config_for(uri, tmp_path / "again", known_uri=pinned, **at(mlflow))
    assert run("sluice_runtime.resolve", known) == (0, Resolved(digest="", name="", version="", uri=pinned))
    assert not (tmp_path / "again/models").exists(), "nothing was downloaded"
    point(mlflow, "moving", "champion", "2")
    moved = Resolved(digest=package_digest(two), name="iris", version="2", uri="models:/moving/2")
    assert run("sluice_runtime.resolve", known) == (0, moved)
    assert digest_at(uri, tmp_path / "by-alias", **at(mlflow)) == package_digest(two)
    assert digest_at(pinned, tmp_path / "old", **at(mlflow)) == package_digest(one)


def test_a_version_that_is_not_what_its_tag_says_is_refused(mlflow: Server, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    register(mlflow, "changed", f"folder:{package}:{package_digest(package)}", f"folder:{package}")
    for stored in mlflow.folder.glob("artifacts/**/model.onnx"):
        stored.write_bytes(b"\x08\x07other")
    error = refusal_of("models:/changed/1", tmp_path / "tagged", **at(mlflow))
    assert error.reason is Reason.DIGEST_MISMATCH
    assert "sluice.digest" in error.message
    wanted = package_digest(package)
    error = refusal_of("models:/changed/2", tmp_path / "pinned", digest=wanted, **at(mlflow))
    assert error.reason is Reason.DIGEST_MISMATCH


def test_what_is_not_there_is_named(mlflow: Server, tmp_path: Path) -> None:
    register(mlflow, "empty")
    for uri in ("models:/empty/1", "models:/empty@champion", "models:/unheard of/1"):
        error = refusal_of(uri, tmp_path / "none", **at(mlflow))
        assert error.reason is Reason.SOURCE_NOT_FOUND
        assert uri in error.message
    error = refusal_of("models:/empty/1", tmp_path / "no-endpoint")
    assert error.reason is Reason.INVALID_CONFIG
    assert "spec.model.endpoint" in error.message
    error = refusal_of("models:/empty/1", tmp_path / "elsewhere", store={"endpoint": f"{mlflow.url}/static-files"})
    assert error.reason is Reason.SOURCE_NOT_FOUND


def test_artifacts_on_the_servers_own_disk_are_not_looked_for_in_the_pod(mlflow: Server, tmp_path: Path) -> None:
    call(mlflow, "registered-models/create", name="elsewhere")
    sources = ("dbfs:/models/1", "hdfs://host/path")
    for source in sources:
        call(mlflow, "model-versions/create", name="elsewhere", source=source)
    for version, source in enumerate(sources, start=1):
        error = refusal_of(f"models:/elsewhere/{version}", tmp_path / str(version), **at(mlflow))
        assert error.reason is Reason.INVALID_CONFIG, source
        assert "--serve-artifacts" in error.message


def test_artifacts_in_an_object_store_are_read_from_there(mlflow: Server, s3_store: Shelf, tmp_path: Path) -> None:
    call(mlflow, "registered-models/create", name="objects")
    for key in ("shop/3", "shop/3.tar.gz"):
        call(mlflow, "model-versions/create", name="objects", source=s3_store.uri(key))
    secret = {**s3_store.server.secret, "MLFLOW_S3_ENDPOINT_URL": s3_store.server.endpoint}
    for version in ("1", "2"):
        uri = f"models:/objects/{version}"
        assert digest_at(uri, tmp_path / version, secret, **at(mlflow)) == s3_store.digest


def test_a_line_that_is_cut_costs_only_what_was_on_it(mlflow: Server, tmp_path: Path) -> None:
    size = 24_000_000
    package = make_package(tmp_path / "package", weights=os.urandom(size))
    register(mlflow, "large", f"folder:{package}")
    cuts = {size * part // 5: nothing for part in range(1, 5)}
    with line_to(mlflow.port, cuts) as line:
        through = {"endpoint": f"http://127.0.0.1:{line.port}"}
        assert digest_at("models:/large/1", tmp_path / "pulled", store=through) == package_digest(package)
    assert line.cuts == len(cuts)
    assert line.passed < size * 2, "what had come was not sent again"
