"""On the cluster: a skewed package never takes over, and one with Python code is served from the image made for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from integrations.preprocessing.building import Builder, builder_in, removed, with_a_library
from localcluster.components import ctr
from localcluster.shell import run
from localcluster.transfer import to_containerd
from runtime.skews import changed, fitted, graph, matrix, package_of, scaler, training
from sluice.archive import write_archive
from sluice.package import open_package
from support.client import Client, run_client
from support.cluster import Cluster
from support.deployments import model_deployment, stable, until_promoted, until_stalled
from support.kube import Kube, Object, condition
from support.store import Store, run_store

NAME = "shop"
COLUMNS = {"size": "FP32", "staff": "FP32", "hours": "FP32", "town": "BYTES"}


def archived(folder: Path) -> bytes:
    write_archive(folder, folder.with_suffix(".tar.gz"))
    return folder.with_suffix(".tar.gz").read_bytes()


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, Path]:
    """Training's own, one whose scaler was fitted on other rows, and one with Python code."""

    def refitted(pipeline: object) -> None:
        scaler(pipeline).mean_ *= 1.01

    return {
        "right": package_of(graph(fitted()), tmp_path / "right"),
        "skewed": package_of(graph(changed(refitted)), tmp_path / "skewed"),
        "coded": with_a_library(tmp_path / "coded"),
    }


@pytest.fixture
def store(kube: Kube, cluster: Cluster, packages: dict[str, Path]) -> Store:
    files = {f"{name}.tar.gz": archived(folder) for name, folder in packages.items()}
    return run_store(kube, cluster.images["runtime"], files)


@pytest.fixture
def client(kube: Kube, cluster: Cluster) -> Client:
    return run_client(kube, cluster.images["runtime"])


@pytest.fixture
def image(cluster: Cluster, packages: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    """The image for the package with code, where the cluster finds it."""
    assert cluster.local, "another cluster pulls from a registry"
    name = f"sluice.local/built-for-a-package:{open_package(packages['coded']).digest[-12:]}"
    with builder_in(tmp_path) as builder, removed(name):
        build(builder, packages["coded"], name)
        to_containerd(name)
    yield name
    run(*ctr("images", "remove", name))


def build(builder: Builder, package: Path, name: str) -> None:
    built = builder.build(package, name)
    assert built.returncode == 0, built.stderr


def of(store: Store, package: str, **runtime: str) -> Object:
    return model_deployment(
        NAME, store.uri(f"{package}.tar.gz"), runtime=RUNTIME | runtime, router=ROUTER, rollout=QUICK
    )


def asks(client: Client, rows: slice) -> list[float]:
    columns, _ = training()
    count = len(columns["size"][rows])
    inputs = [
        {"name": name, "datatype": kind, "shape": [count, 1], "data": columns[name][rows].tolist()}
        for name, kind in COLUMNS.items()
    ]
    answer = client.ask(f"http://{NAME}.{client.kube.namespace}.svc/v2/models/{NAME}/infer", {"inputs": inputs})
    assert answer.status == 200, answer.body
    data: list[float] = answer.json["outputs"][0]["data"]
    return data


def expected(rows: slice) -> list[float]:
    columns, _ = training()
    values = fitted().predict(matrix({name: column[rows] for name, column in columns.items()}))
    return [float(value) for value in values]


@pytest.mark.timeout(1800)
def test_only_what_answers_as_in_training_serves(kube: Kube, store: Store, client: Client, image: str) -> None:
    # Given the package of training
    kube.apply(of(store, "right"))
    first = until_promoted(kube, NAME)
    assert first["status"]["stable"]["card"]["description"] == "Revenue of shops"
    assert asks(client, slice(0, 50)) == pytest.approx(expected(slice(0, 50)), rel=1e-5)

    # When one comes whose scaler was fitted on other rows, it never serves
    kube.apply(of(store, "skewed"))
    refused = until_stalled(kube, NAME)
    assert condition(refused, "Stalled")["reason"] == "SampleMismatch"
    assert "row 0: expected 1389064" in condition(refused, "Stalled")["message"]
    assert stable(refused) == stable(first)
    assert asks(client, slice(0, 50)) == pytest.approx(expected(slice(0, 50)), rel=1e-5)

    # And one with Python code serves from the image that has its libraries, and from no other
    kube.apply(of(store, "coded"))
    refused = until_stalled(kube, NAME)
    assert condition(refused, "Stalled")["reason"] == "EnvironmentMismatch"
    assert "sluice build" in condition(refused, "Stalled")["message"]
    kube.apply(of(store, "coded", image=image))
    assert stable(until_promoted(kube, NAME)) != stable(first)
    assert asks(client, slice(0, 400)) == pytest.approx(expected(slice(0, 400)), rel=1e-5)
