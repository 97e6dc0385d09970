"""Rest. The first of these tests by its name: later ones leave namespaces behind that are emptied for a while."""

from __future__ import annotations

from typing import Any

from e2e.specs import QUICK, ROUTER, RUNTIME
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, until_promoted
from support.kube import Kube, is_true
from support.store import Store
from support.writes import writes_during

NAME = "store-revenue"
REST_SECONDS = 20.0


def test_a_resource_at_rest_causes_no_writes(kube: Kube, store: Store, cluster: Cluster) -> None:
    # Given one ModelDeployment, autoscaled, that has nothing left to do
    spec: dict[str, Any] = {
        "runtime": RUNTIME,
        "router": ROUTER,
        "rollout": QUICK,
        "scaling": {"minReplicas": 1, "maxReplicas": 2},
    }
    kube.apply(model_deployment(NAME, store.uri("v1.tar.gz"), **spec))
    until_promoted(kube, NAME)
    kube.until(KIND, NAME, lambda seen: is_true(seen, "ScalingActive"))
    # When nothing happens for a while, then nothing is written
    assert writes_during(cluster, kube, f"sluice.dev/deployment={NAME}", REST_SECONDS) == {}
