"""`sluice push` and `sluice list` against a real OCI registry, and `sluice list` of a real MLflow registry."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from integrations.environments import environment
from integrations.registries.fetching import digest_at
from integrations.registries.servers import HTPASSWD, MLFLOW, PASSWORD, USER, Server, oci_registry
from sluice.package import open_package
from unit.store.packages import make_package

pytestmark = pytest.mark.timeout(1800)  # the first run on a machine brings the servers

PATIENCE = 300.0


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that wants a password."""
    folder = tmp_path_factory.mktemp("oci")
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "these tests", "path": f"{folder}/htpasswd"}}
    with oci_registry(folder / "locked", auth) as server:
        yield server


@pytest.fixture
def login(registry: Server, tmp_path: Path) -> Mapping[str, str]:
    """What `docker login` leaves."""
    word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": word}}}))
    return {"DOCKER_CONFIG": str(tmp_path / "docker")}


def sluice(environ: Mapping[str, str], *words: object) -> tuple[int, Any, str]:
    argv = [sys.executable, "-m", "sluice", *map(str, words), "-o", "json"]
    inherited = {key: os.environ[key] for key in ("PATH",) if key in os.environ}
    done = subprocess.run(
        argv, env={**inherited, "HOME": "/nonexistent", **environ}, capture_output=True, text=True, check=False,
        timeout=PATIENCE,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_a_package_goes_into_a_registry_and_back(registry: Server, login: Mapping[str, str], tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", owner="team-a")
    store = f"oci://{registry.host}/team"
    status, pushed, err = sluice(login, "push", package, store)
    assert status == 0, err
    assert pushed == {"uri": f"{store}/iris:1", "digest": open_package(package).digest, "new": True}
    secret = {"username": USER, "password": PASSWORD}
    assert digest_at(pushed["uri"], tmp_path / "pod", secret) == pushed["digest"]
    assert sluice(login, "push", package, store)[1] == {**pushed, "new": False}
    other = make_package(tmp_path / "other", extra=b"x")
    status, nothing, err = sluice(login, "push", other, store)
    assert (status, nothing) == (1, None)
    assert "another artifact" in err
    assert sluice(login, "push", make_package(tmp_path / "two", version="2", owner="team-b"), store)[0] == 0
    wanted = [("team/iris", "1", "team-a", pushed["digest"]), ("team/iris", "2", "team-b")]
    for place in (store, f"{store}/iris", f"oci://{registry.host}"):
        status, found, err = sluice(login, "list", place)
        assert status == 0, err
        mine = [entry for entry in found if entry["model"] == "team/iris"]
        shown = [(entry["model"], entry["version"], entry["owner"], entry["digest"]) for entry in mine]
        assert [shown[0], shown[1][:3]] == wanted
        assert mine[0]["uri"] == pushed["uri"]


def test_a_stranger_is_refused_in_one_line(registry: Server, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", name="refused")
    for words in (("push", package, f"oci://{registry.host}/team"), ("list", f"oci://{registry.host}/team/refused")):
        status, nothing, err = sluice({}, *words)
        assert (status, nothing) == (1, None)
        assert err.count("\n") == 1


def test_the_models_of_an_mlflow_server_are_listed(mlflow: Server, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    register(mlflow, "iris", package, tmp_path)
    register(mlflow, "not iris", package, tmp_path)
    status, everything, err = sluice({}, "list", "models:/", "--endpoint", mlflow.url)
    assert status == 0, err
    assert {"iris", "not iris"} <= {entry["model"] for entry in everything}
    found = [entry for entry in everything if entry["model"] == "iris"]
    assert [(entry["model"], entry["version"], entry["uri"]) for entry in found] == [
        ("iris", "1", "models:/iris/1"),
        ("iris", "2", "models:/iris/2"),
    ]
    assert found[1]["aliases"] == ["champion"]
    assert found[1]["owner"] == "team-a"
    assert found[1]["digest"] == open_package(package).digest
    assert "digest" not in found[0]
    assert all(entry["modified"].startswith("20") for entry in found)


def register(server: Server, name: str, package: Path, tmp_path: Path) -> None:
    """Two versions by MLflow's own client; the second with what an author may say of it."""
    script = tmp_path / "register.py"
    script.write_text(
        f"""
import mlflow
mlflow.set_tracking_uri({server.url!r})
client = mlflow.MlflowClient()
client.create_registered_model({name!r})
for _ in range(2):
    with mlflow.start_run() as run:
        mlflow.log_artifacts({str(package)!r}, "package")
    version = client.create_model_version({name!r}, run.info.artifact_uri + "/package", run.info.run_id)
client.set_model_version_tag({name!r}, version.version, "sluice.digest", {open_package(package).digest!r})
client.set_model_version_tag({name!r}, version.version, "sluice.owner", "team-a")
client.set_registered_model_alias({name!r}, "champion", version.version)
"""
    )
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(server.folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [str(environment("mlflow", MLFLOW)), str(script)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
