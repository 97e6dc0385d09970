"""From an earlier version of this repository to this one, and away again, under load: models serve all the while."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from e2e.specs import QUICK, RUNTIME, steps
from localcluster import images
from support.cluster import RELEASE, REPO, Cluster, install_chart
from support.deployments import model_deployment, stable, until_promoted
from support.kube import Kube, Object
from support.load import Load, failures
from support.store import Store

EARLIER = "b9c9160bbc0098c25ff6370d77bb6c39afd9eb99"
"""Before leader election, TLS and everything that came with them."""

NAME = "store-revenue"
RATE = 100.0
MODEL_PODS = f"sluice.dev/deployment={NAME},app.kubernetes.io/component=model"
SPEC: dict[str, Any] = {"runtime": RUNTIME, "scaling": {"replicas": 2}, "rollout": QUICK | {"steps": steps(20, 50)}}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the earlier version."""
    folder = tmp_path_factory.mktemp("earlier")
    done = subprocess.run(["git", "-C", str(REPO), "archive", EARLIER], capture_output=True, check=False)
    assert done.returncode == 0, f"the history of this repository is needed: {done.stderr.decode()}"
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def upgradable(cluster: Cluster, earlier: Path) -> Iterator[Cluster]:
    """The cluster with the earlier version installed; in the end it has the present one again."""
    kinds = {kind: images.from_source(kind, earlier / f"{folder}/Dockerfile", earlier) for kind, folder in PARTS}
    before = replace(cluster, images={**cluster.images, **images.bring_in(kinds)})
    uninstall(cluster)
    install_chart(before, chart=earlier / "charts" / "sluice")
    yield cluster
    install_chart(cluster)


PARTS = (("runtime", "serving"), ("operator", "operator"))


def uninstall(cluster: Cluster) -> None:
    words = [cluster.helm, "uninstall", RELEASE, "--namespace", cluster.system.namespace, "--wait"]
    subprocess.run(words, check=True, capture_output=True, timeout=120, env=cluster.kube.environment())


def pods(kube: Kube) -> dict[str, int]:
    """Model pods by uid, with the restarts of their containers."""
    return {pod["metadata"]["uid"]: restarts(pod) for pod in kube.select("pods", MODEL_PODS)}


def restarts(pod: Object) -> int:
    return sum(status["restartCount"] for status in pod["status"]["containerStatuses"])


def test_an_upgrade_restarts_no_model_pod_and_fails_no_request(kube: Kube, store: Store, upgradable: Cluster) -> None:
    # Given a model under load, served by the earlier version
    kube.apply(model_deployment(NAME, store.uri("v1.tar.gz"), **SPEC))
    first = until_promoted(kube, NAME)
    before = pods(kube)
    assert len(before) == 2
    with Load(kube, upgradable.images["runtime"], NAME, RATE) as load:
        # When the chart is upgraded, definition and images included
        install_chart(upgradable)
        kube.run("rollout", "status", f"deployment/{NAME}-router", "--timeout=120s", timeout=150)
        load.wait_for(int(RATE * 20), since=len(load.snapshot()))
        # Then the very same pods serve the same revision
        found = until_promoted(kube, NAME)
        assert stable(found) == stable(first)
        assert pods(kube) == before
        # And what only the new version knows can be asked for: here a person's promote out of a pause
        walk = SPEC["rollout"] | {"steps": [{"weight": 20, "pause": True}]}
        kube.apply(model_deployment(NAME, store.uri("v2.tar.gz"), **{**SPEC, "rollout": walk}))
        kube.until("mdep", NAME, lambda seen: seen["status"].get("rollout", {}).get("pause") is not None)
        request = '{"id": "1", "action": "promote"}'
        kube.run("annotate", "mdep", NAME, f"sluice.dev/request={request}")
        until_promoted(kube, NAME)
        # And when the release is removed, models serve on
        uninstall(upgradable)
        load.wait_for(int(RATE * 10), since=len(load.snapshot()))
        requests = load.stop()
    assert failures(requests) == []
    assert kube.get("mdep", NAME)["status"]["stable"]["uri"] == store.uri("v2.tar.gz")
