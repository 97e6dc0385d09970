"""One cluster, one operator and one package store for all tests; a namespace for each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.zoo import Zoo, make_zoo
from support.client import Client, run_client
from support.cluster import Cluster, reserved_cluster
from support.kube import Kube
from support.store import Store, run_store

SHARED = "shared"
NAMESPACE_LIMIT = 50
KEEP = "SLUICE_KEEP"
"""Environment variable that leaves the namespaces of tests for a look around."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster with the chart installed."""
    with reserved_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Every package the tests deploy."""
    return make_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def shared(cluster: Cluster) -> Iterator[Kube]:
    """The namespace of what all tests share."""
    yield from own_namespace(cluster, SHARED)


@pytest.fixture(scope="session")
def store(cluster: Cluster, zoo: Zoo, shared: Kube) -> Store:
    """The package store."""
    return run_store(shared, cluster.images["runtime"], zoo.files)


@pytest.fixture(scope="session")
def client(cluster: Cluster, shared: Kube) -> Client:
    """A client inside the cluster."""
    return run_client(shared, cluster.images["runtime"])


@pytest.fixture
def kube(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace of the test's own, under the restricted pod security standard."""
    yield from own_namespace(cluster, request.node.name)


@pytest.fixture(scope="module")
def module_kube(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace that the tests of a module share, where they ask different questions of one ModelDeployment."""
    yield from own_namespace(cluster, request.node.name.removesuffix(".py"))


def own_namespace(cluster: Cluster, name: Any) -> Iterator[Kube]:
    slug = re.sub("[^a-z0-9]+", "-", str(name).lower().removeprefix("test_")).strip("-")
    kube = cluster.kube.within(f"e2e-{slug}"[:NAMESPACE_LIMIT].strip("-"))
    kube.delete("namespace", kube.namespace, timeout=180)
    kube.create_namespace({"pod-security.kubernetes.io/enforce": "restricted"})
    yield kube
    if KEEP not in os.environ:
        # Model pods serve on for a while after they are told to stop; nobody asks them any more.
        kube.run("delete", "pods", "--all", "--grace-period=1", "--wait=false")
        kube.run("delete", "namespace", kube.namespace, "--wait=false")
