"""Around the rollout: volumes, scaling and deletion."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME, SMALL, steps
from e2e.zoo import Zoo
from localcluster import layout
from support import operators, samples
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, until_promoted
from support.kube import Kube, Object
from support.load import Load
from support.store import Store

NAME = "store-revenue"
CHILDREN = "deployments,services,configmaps,jobs,hpa,poddisruptionbudgets,controllerrevisions,replicasets"
OURS = f"sluice.dev/deployment={NAME}"


def small(uri: str, **changes: Any) -> Object:
    return model_deployment(NAME, uri, **{"runtime": RUNTIME, "router": ROUTER, "rollout": QUICK} | changes)


def test_deletion_leaves_nothing_behind(kube: Kube, store: Store) -> None:
    # Given a ModelDeployment with every kind of child
    kube.apply(small(store.uri("v1.tar.gz"), scaling={"minReplicas": 1, "maxReplicas": 2}))
    until_promoted(kube, NAME)
    kinds = {child["kind"] for child in kube.select(CHILDREN, OURS)}
    assert {"Deployment", "Service", "ConfigMap", "HorizontalPodAutoscaler", "ControllerRevision"} <= kinds
    # When it is deleted
    kube.delete(KIND, NAME)
    # Then the garbage collector takes everything else away; pods are on their way, but finish what they have first
    kube.run("wait", CHILDREN, f"--selector={OURS}", "--for=delete", "--timeout=60s", timeout=90)
    assert kube.select(CHILDREN, OURS) == []
    assert all("deletionTimestamp" in pod["metadata"] for pod in kube.select("pods", OURS))


def test_deletion_does_not_need_the_operator(kube: Kube, store: Store, cluster: Cluster) -> None:
    # Given a ModelDeployment, and no operator
    kube.apply(small(store.uri("v1.tar.gz")))
    until_promoted(kube, NAME)
    try:
        operators.stop(cluster.system)
        # When it is deleted, then it goes at once
        kube.delete(KIND, NAME, timeout=20)
        kube.run("wait", "deployments", f"--selector={OURS}", "--for=delete", "--timeout=60s", timeout=90)
    finally:
        operators.scale(cluster.system)


@pytest.fixture
def volume(cluster: Cluster, kube: Kube, zoo: Zoo) -> Iterator[None]:
    """A volume with a package in it, bound to the sample's claim."""
    folder = layout.DATA / "e2e-volume"
    unpack(zoo.built["v1"].archive, folder / "store-revenue" / "1")
    claim = samples.read("pvc.yaml")[0]
    claim["spec"] |= {"storageClassName": "", "volumeName": kube.namespace}
    kube.apply(persistent_volume(kube.namespace, folder), claim)
    yield
    kube.run("delete", "persistentvolume", kube.namespace, "--wait=false")
    shutil.rmtree(folder)


def unpack(archive: bytes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as content:
        content.extractall(folder, filter="data")


def persistent_volume(name: str, folder: Path) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": "10Gi"},
            "hostPath": {"path": str(folder)},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }


@pytest.mark.usefixtures("volume")
def test_a_package_on_a_volume_is_served(kube: Kube, zoo: Zoo) -> None:
    kube.apply(samples.model_deployment("pvc.yaml", "pvc://models/store-revenue/1", runtime=RUNTIME, router=ROUTER))

    found = until_promoted(kube, NAME)

    assert found["status"]["stable"]["digest"] == zoo.built["v1"].digest


def test_stable_and_canary_are_autoscaled_each(kube: Kube, store: Store) -> None:
    # Given the autoscaled sample, serving v1
    spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": QUICK | {"steps": steps(50, hold="1h")}}
    kube.apply(samples.model_deployment("autoscaled.yaml", store.uri("v1.tar.gz"), **spec))
    first = until_promoted(kube, NAME)
    # When v2 has half of the requests
    kube.apply(samples.model_deployment("autoscaled.yaml", store.uri("v2.tar.gz"), **spec))
    found = kube.until(KIND, NAME, lambda seen: seen["status"].get("rollout", {}).get("verifiedWeight") == 50)
    # Then each has an autoscaler of its own, stable's with the floor of the spec, canary's with its share
    revisions = {role: found["status"][role]["revision"] for role in ("stable", "canary")}
    scalers = {hpa["metadata"]["name"]: hpa["spec"] for hpa in kube.select("hpa", OURS)}
    assert revisions["stable"] == first["status"]["stable"]["revision"]
    assert scalers.keys() == {f"{NAME}-{revision}" for revision in revisions.values()}
    assert scalers[f"{NAME}-{revisions['stable']}"]["minReplicas"] == 2
    assert scalers[f"{NAME}-{revisions['canary']}"]["minReplicas"] == 1
    assert {scaler["maxReplicas"] for scaler in scalers.values()} == {10}


class Scaled:
    """A ModelDeployment that serves v1 and whose scaling is changed, which restarts nothing."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self.kube, self.uri = kube, store.uri("v1.tar.gz")

    def with_scaling(self, **scaling: Any) -> Object:
        runtime = {"resources": SMALL | {"requests": {"cpu": "10m", "memory": "128Mi"}}}
        self.kube.apply(small(self.uri, runtime=runtime, scaling=scaling))
        return until_promoted(self.kube, NAME)

    def until_pods(self, count: int) -> Object:
        return self.kube.until(KIND, NAME, lambda seen: seen["status"].get("readyReplicas") == count)


@pytest.fixture(scope="module")
def scaled(module_kube: Kube, store: Store) -> Scaled:
    """No pods yet."""
    return Scaled(module_kube, store)


def test_load_adds_pods_and_the_operator_lets_them_be(scaled: Scaled, cluster: Cluster) -> None:
    # Given an autoscaled model whose request for CPU is small
    scaled.with_scaling(minReplicas=1, maxReplicas=2, target=100)
    # When load takes more than its target, then the autoscaler's pods are counted and kept
    with Load(scaled.kube, cluster.images["runtime"], NAME, rate=150):
        found = scaled.until_pods(2)
    assert found["status"]["stable"]["replicas"] == 2


def test_kubectl_scale_sets_the_number_of_pods(scaled: Scaled) -> None:
    scaled.with_scaling(replicas=1)
    scaled.until_pods(1)

    scaled.kube.run("scale", f"{KIND}/{NAME}", "--replicas=2")

    assert scaled.until_pods(2)["spec"]["scaling"]["replicas"] == 2
