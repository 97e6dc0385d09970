"""The rollouts of the default router, through a real gateway: weights that clients see, and nobody notices."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.specs import ERRORS, QUICK, RUNTIME, steps
from integrations.gateway.envoy_gateway import GATEWAY, NAMESPACE, SERVICE
from support.client import run_client
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, stable, until_promoted, until_stalled
from support.history import History
from support.kube import Kube, condition, is_true
from support.load import Load, between, failures
from support.stats import binomial_interval
from support.store import Store

NAME = "store-revenue"
RATE = 100.0
SETTLED = 1.0
"""Seconds around a change of weight for which requests are nobody's evidence."""

SURE = 1 - 1e-6

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("gateway")]


def spec(kube: Kube, rollout: dict[str, Any]) -> dict[str, Any]:
    router = {
        "backend": "GatewayAPI",
        "gateway": {"parentRefs": [{"name": GATEWAY, "namespace": NAMESPACE}], "hostnames": [host(kube)]},
    }
    return {"runtime": RUNTIME, "router": router, "rollout": QUICK | rollout}


def host(kube: Kube) -> str:
    """The name under which the load client asks."""
    return f"{NAME}.{kube.namespace}.svc"


def door() -> dict[str, Any]:
    """What the load client finds under that name: the gateway, as DNS would have it for its callers."""
    target = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"type": "ExternalName", "externalName": target},
    }


def serve(kube: Kube, store: Store, version: str, rollout: dict[str, Any]) -> None:
    kube.apply(door(), model_deployment(NAME, store.uri(f"{version}.tar.gz"), **spec(kube, rollout)))


def test_a_good_version_walks_through_its_steps_and_no_request_fails(
    kube: Kube, store: Store, cluster: Cluster
) -> None:
    # Given v1 behind a gateway, under load
    walk = {"steps": steps(20, 50, hold="5s"), "drainDelay": "5s", "analysis": {**ERRORS, "minRequests": 20}}
    serve(kube, store, "v1", walk)
    first = stable(until_promoted(kube, NAME))
    with History(kube, NAME) as history, Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        # When v2 is applied
        serve(kube, store, "v2", walk)
        second = stable(until_promoted(kube, NAME))
        load.wait_for(300, since=len(load.snapshot()))
        requests = load.stop()
    # Then every weight was what the requests saw, and nobody noticed
    assert failures(requests) == []
    assert {request.revision for request in requests} == {first, second}
    assert [period.weight for period in history.periods()] == [20, 50, 100]
    for period in history.periods():
        held = between(requests, (period.verified or 0) + SETTLED, (period.until or requests[-1].end) - SETTLED)
        low, high = binomial_interval(len(held), period.weight / 100, SURE)
        assert low <= sum(request.revision == second for request in held) <= high


def test_a_bad_version_is_taken_back_and_only_its_own_share_failed(kube: Kube, store: Store, cluster: Cluster) -> None:
    # Given v1 behind a gateway, under load
    walk = {"steps": steps(20, hold="60s"), "drainDelay": "5s", "analysis": ERRORS}
    serve(kube, store, "v1", walk)
    first = stable(until_promoted(kube, NAME))
    with Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        # When a version that fails is applied
        serve(kube, store, "failing", walk)
        found = until_stalled(kube, NAME)
        load.wait_for(300, since=len(load.snapshot()))
        requests = load.stop()
    # Then what the pods counted has judged it, and stable failed nobody
    assert condition(found, "Stalled")["reason"] == "AnalysisFailed"
    assert stable(found) == first
    assert is_true(found, "Ready")
    assert requests[-1].revision == first
    assert [request for request in failures(requests) if request.revision in ("", first)] == []
    assert failures(requests), "nobody was given the bad version"


def test_testers_reach_a_version_before_its_first_weight(kube: Kube, store: Store, cluster: Cluster) -> None:
    # Given v1 behind a gateway
    match = [{"header": {"name": "x-tester", "value": "yes"}}, {"cookie": {"name": "beta", "present": True}}]
    walk = {"steps": steps(0, hold="1h"), "match": match}
    serve(kube, store, "v1", walk)
    first = stable(until_promoted(kube, NAME))
    # When v2 is rolled out to testers alone
    serve(kube, store, "v2", walk)
    kube.until(KIND, NAME, lambda seen: "holdStartedAt" in seen["status"].get("rollout", {}))
    found = kube.get(KIND, NAME)
    # Then the header and the cookie lead there, and nothing else does
    sent = [{"X-Tester": "yes"}, {"Cookie": "a=1; beta=on"}, {"Cookie": "abeta=on"}, {"X-Tester": "no"}, {}]
    client = run_client(kube, cluster.images["runtime"])
    answers = client.ask_each(f"http://{host(kube)}/v2/models/{NAME}", sent)
    second = found["status"]["canary"]["revision"]
    assert [answer.headers["x-sluice-revision"] for answer in answers] == [second, second, first, first, first]
