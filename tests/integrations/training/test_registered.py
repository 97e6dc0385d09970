"""What `sluice train` registers and pushes is what a pod then fetches."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import yaml

from integrations.registries.conftest import mlflow
from integrations.registries.fetching import digest_at
from integrations.registries.servers import PATIENCE, Server
from integrations.stores.conftest import s3_store
from integrations.stores.packing import Shelf
from integrations.training.desks import desk, sluice, trained

__all__ = ["mlflow", "s3_store"]

pytestmark = pytest.mark.timeout(1800)  # the first run on a machine builds the servers

WORDS = ("model:Revenue", "--data", "shops.csv", "--output")


def asked(server: Server, path: str, **params: str) -> dict[str, object]:
    answer = httpx.get(f"{server.url}/api/2.0/mlflow/{path}", params=params, trust_env=False, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def block(said: str) -> dict[str, str]:
    """The `model:` block that a command printed."""
    found: dict[str, str] = yaml.safe_load(said[said.index("model:\n") :])["model"]
    return found


def test_a_version_is_registered_once_with_its_run_and_its_alias_moves(mlflow: Server, tmp_path: Path) -> None:
    place = desk(tmp_path / "desk")
    to = ("--register", mlflow.url, "--name", "shop revenue", "--alias", "champion")
    first = sluice(place, "train", *WORDS, "one.tar.gz", *to)
    again = sluice(place, "train", *WORDS, "again.tar.gz", *to)
    second = sluice(place, "train", *WORDS, "two.tar.gz", "--seed", "1", *to)
    blocks = [block(done.stdout) for done in (first, again, second)]
    uris = [said["uri"] for said in blocks]
    assert uris == ["models:/shop revenue/1", "models:/shop revenue/1", "models:/shop revenue/2"]
    assert blocks[0]["digest"] == blocks[1]["digest"] != blocks[2]["digest"]
    where = {"store": {"endpoint": blocks[0]["endpoint"]}}
    assert digest_at(uris[0], tmp_path / "fetched one", **where) == blocks[0]["digest"]
    assert digest_at("models:/shop revenue@champion", tmp_path / "fetched two", **where) == blocks[2]["digest"]
    version = asked(mlflow, "model-versions/get", name="shop revenue", version="1")["model_version"]
    assert isinstance(version, dict)
    run = asked(mlflow, "runs/get", run_id=str(version["run_id"]))["run"]
    assert isinstance(run, dict)
    assert run["info"]["status"] == "FINISHED"
    assert {"mae", "rmse", "r2"} <= {metric["key"] for metric in run["data"]["metrics"]}
    assert {"seed", "data", "code", "depth", "rate"} <= {param["key"] for param in run["data"]["params"]}


def test_what_was_pushed_is_registered_where_it_lies(mlflow: Server, s3_store: Shelf, tmp_path: Path) -> None:
    place, server, store = desk(tmp_path / "desk"), s3_store.server, s3_store.uri("trained")
    keys = {
        "AWS_ACCESS_KEY_ID": server.secret["accessKeyId"],
        "AWS_SECRET_ACCESS_KEY": server.secret["secretAccessKey"],
    }
    to = (
        "--push",
        store,
        "--endpoint",
        server.endpoint,
        "--register",
        mlflow.url,
        "--name",
        "pushed",
        "--alias",
        "new",
    )
    done = sluice(
        place, "train", *WORDS, "one.tar.gz", *to, environ={key: value.strip() for key, value in keys.items()}
    )
    assert done.returncode == 0, done.stderr
    said = block(done.stdout)
    assert said["uri"] == f"{store}/revenue/1.tar.gz"
    at = {"store": {"endpoint": server.endpoint}}
    assert digest_at(said["uri"], tmp_path / "from the store", server.secret, **at) == said["digest"]
    secret = {**server.secret, "MLFLOW_S3_ENDPOINT_URL": server.endpoint}
    registered = {"store": {"endpoint": mlflow.url}}
    assert digest_at("models:/pushed@new", tmp_path / "by the registry", secret, **registered) == said["digest"]


def test_where_no_registry_answers_the_package_is_there_all_the_same(tmp_path: Path) -> None:
    place = desk(tmp_path / "desk")
    done = sluice(place, "train", *WORDS, "one.tar.gz", "--register", "http://127.0.0.1:9")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot be reached" in done.stderr
    assert (place / "one.tar.gz").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--register", "mlflow:5000"), "is no address of an MLflow server"),
        (("--register", "http://me:word@mlflow:5000"), "credentials do not belong in --register"),
        (("--push", "ftp://x"), "no known store"),
    ],
)
def test_a_place_that_is_none_is_told_before_training(words: tuple[str, str], message: str, tmp_path: Path) -> None:
    place = desk(tmp_path / "desk")
    done = sluice(place, "train", *WORDS, "one.tar.gz", *words)
    assert (done.returncode, message in done.stderr, done.stderr.count("\n")) == (3, True, 1)
    assert not (place / "one.tar.gz").exists()


def test_a_package_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    place = desk(tmp_path / "desk")
    trained(place, *WORDS, "one.tar.gz")
    done = sluice(place, "train", *WORDS, "one.tar.gz")
    assert done.returncode == 3
    assert "one.tar.gz exists" in done.stderr
