"""The Job is the same command elsewhere, with what it needs and no rights."""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_training.commands import add
from sluice_training.errors import TrainingError
from sluice_training.job import applying, manifests

CODE = {"model.py": b"class Model: ...\n", "parts/deep.py": b"x = 1\n"}


def chosen(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    return parser.parse_args(["train", "model:Iris", "--as-job", *words])


def made(*words: str) -> list[Any]:
    return list(
        yaml.safe_load_all(manifests(chosen("--image", "tools:1", "--push", "s3://m", *words), "My_iris", CODE))
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("iris.csv").write_text("a,b\n1,2\n")
    return tmp_path


def test_code_and_small_data_travel_in_a_config_map() -> None:
    files, job = made("--data", "iris.csv", "--seed", "7", "--namespace", "shop")
    assert files["immutable"] is True
    volume = next(one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == "files")
    there = {item["path"]: files["data"][item["key"]] for item in volume["configMap"]["items"]}
    assert there == {"iris.csv": "a,b\n1,2\n", **{path: text.decode() for path, text in CODE.items()}}
    assert files["metadata"] == {"name": volume["configMap"]["name"], "namespace": "shop"} == job["metadata"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][:3] == ["sluice", "train", "model:Iris"]
    assert {"--data=iris.csv", "--seed=7", "--push=s3://m"} <= set(container["command"])
    assert not any(word.startswith(("--as-job", "--image")) for word in container["command"])


def test_what_fails_for_good_is_not_tried_again() -> None:
    spec = made("--data", "iris.csv")[-1]["spec"]
    drained, for_good = spec["podFailurePolicy"]["rules"]
    assert (drained["action"], drained["onPodConditions"]) == ("Ignore", [{"type": "DisruptionTarget"}])
    assert (for_good["action"], for_good["onExitCodes"]["values"]) == ("FailJob", [2, 3])
    (container,) = spec["template"]["spec"]["containers"]
    assert for_good["onExitCodes"]["containerName"] == container["name"]


@pytest.mark.parametrize(("size", "said"), [(10, False), (300_000, True)])
def test_how_to_apply_it_is_said_and_why_no_other_way(size: int, said: bool) -> None:
    Path("more.csv").write_text("a" * size)
    words = ("--image", "tools:1", "--push", "s3://m", "--data", "more.csv")
    line = applying(manifests(chosen(*words), "iris", CODE))
    assert "kubectl apply --server-side -f -" in line
    assert ("kubectl refuses" in line) is said


def test_what_is_no_text_travels_too() -> None:
    parquet = b"PAR1\x00\xff\xfe" * 100
    Path("iris.parquet").write_bytes(parquet)
    files, job = made("--data", "iris.parquet")
    volume = next(one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == "files")
    key = next(item["key"] for item in volume["configMap"]["items"] if item["path"] == "iris.parquet")
    assert base64.b64decode(files["binaryData"][key]) == parquet
    assert set(files["data"]).isdisjoint(files["binaryData"])


def test_the_pod_has_no_rights_and_goes_away() -> None:
    *_, job = made("--secret", "keys", "--claim", "lake", "--data", "/data/iris.parquet")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    claim = next(one for one in pod["volumes"] if one["name"] == "data")
    assert claim["persistentVolumeClaim"] == {"claimName": "lake", "readOnly": True}


def test_an_image_of_ones_own_needs_no_config_map() -> None:
    (job,) = made("--image-folder", "/app")
    assert job["spec"]["template"]["spec"]["containers"][0]["workingDir"] == "/app"


def test_equal_jobs_have_equal_names_and_others_others() -> None:
    (_, one), (_, two), (_, other) = made(), made(), made("--seed", "2")
    assert one["metadata"] == two["metadata"] != other["metadata"]
    assert one["metadata"]["name"].startswith("my-iris-train-")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--push", "s3://m"), "needs --image"),
        (("--image", "tools:1"), "needs --push or --register"),
        (("--image", "i", "--push", "s3://m", "--data", "/etc/iris.csv"), "must lie below the current folder"),
        (("--image", "i", "--push", "s3://m", "--data", "absent.csv"), "there is no file absent.csv; paths are from /"),
        (("--image", "i", "--push", "s3://m", "--data", "large.csv"), "more than 900000 bytes"),
    ],
)
def test_what_makes_no_job_is_refused(words: tuple[str, ...], message: str) -> None:
    Path("large.csv").write_text("a" * 1_000_000)
    with pytest.raises(TrainingError, match=message):
        manifests(chosen(*words), "iris", CODE)
