"""What happens while parts of Kubernetes, or the operator, are away: predictions go on, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from localcluster import control
from support import operators
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, until_promoted
from support.kube import Kube
from support.load import Load, failures
from support.store import Store

NAME = "store-revenue"
RATE = 100.0
# Long enough for every timeout to run out; the benchmark of the operator measures longer outages.
APISERVER_SECONDS = 15
OPERATOR_SECONDS = 4
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


class Outages:
    """A ModelDeployment under load, which goes on through all outages of this module."""

    def __init__(self, kube: Kube, store: Store, load: Load) -> None:
        self.kube, self.store, self.load = kube, store, load

    def apply(self, version: str) -> None:
        apply_version(self.kube, self.store, version)

    def failures_since(self, count: int) -> Any:
        """Failed requests beyond the first `count`, once a few more have been made."""
        self.load.wait_for(200, since=len(self.load.snapshot()))
        return failures(self.load.snapshot()[count:])


def apply_version(kube: Kube, store: Store, version: str) -> None:
    spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": QUICK}
    kube.apply(model_deployment(NAME, store.uri(f"{version}.tar.gz"), **spec))


@pytest.fixture(scope="module")
def outages(cluster: Cluster, module_kube: Kube, store: Store) -> Iterator[Outages]:
    """v1 under load."""
    apply_version(module_kube, store, "v1")
    until_promoted(module_kube, NAME)
    with Load(module_kube, cluster.images["runtime"], NAME, RATE) as load:
        yield Outages(module_kube, store, load)


def test_predictions_go_on_while_the_api_server_does_not_answer(outages: Outages) -> None:
    before = len(outages.load.snapshot())
    # When the API server hangs for a while: connections stay open, nothing answers
    control.pause("kube-apiserver")
    try:
        time.sleep(APISERVER_SECONDS)
    finally:
        control.resume("kube-apiserver")
    # Then no request failed, and a new version is rolled out as ever
    outages.apply("v2")
    until_promoted(outages.kube, NAME)
    assert outages.failures_since(before) == []
    assert len(outages.load.snapshot()) - before >= RATE * APISERVER_SECONDS * 0.9


def test_predictions_go_on_without_the_operator_and_what_was_asked_meanwhile_is_done(
    outages: Outages, cluster: Cluster
) -> None:
    before = len(outages.load.snapshot())
    # When the operator is away, and a new version is applied meanwhile
    try:
        operators.stop(cluster.system)
        outages.apply("v3")
        time.sleep(OPERATOR_SECONDS)
    finally:
        operators.scale(cluster.system)
    # Then no request failed, and the version is rolled out once the operator is back
    until_promoted(outages.kube, NAME)
    assert outages.failures_since(before) == []


def test_predictions_go_on_while_the_control_plane_is_restarted(outages: Outages) -> None:
    before = len(outages.load.snapshot())
    generation = outages.kube.get(KIND, NAME)["metadata"]["generation"]
    # When every part of the control plane is restarted
    for component in CONTROL_PLANE:
        control.restart(component)
    # Then nothing was lost, no request failed, and a new version is rolled out as ever
    assert outages.kube.get(KIND, NAME)["metadata"]["generation"] == generation
    outages.apply("v1")
    until_promoted(outages.kube, NAME)
    assert outages.failures_since(before) == []
