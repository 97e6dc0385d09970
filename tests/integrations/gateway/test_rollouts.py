"""The rollouts of the default router, through a real gateway: weights that clients see, and nobody notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from e2e.specs import ERRORS, QUICK, RUNTIME, steps
from e2e.zoo import Zoo
from integrations.gateway.envoy_gateway import GATEWAY, NAMESPACE, SERVICE
from support import packages
from support.client import run_client
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, stable, until_promoted, until_stalled
from support.history import History
from support.kube import Kube, condition, is_true
from support.load import Load, Request, between, failures
from support.stats import binomial_interval
from support.store import Store

NAME = "store-revenue"
RATE = 100.0
SETTLED = 1.0
"""Seconds around a change of weight for which requests are nobody's evidence."""

SURE = 1 - 1e-6
PROXY = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
GRPC_CALL = """
import sys, grpc
with grpc.insecure_channel(sys.argv[1], options=[("grpc.default_authority", sys.argv[2])]) as channel:
    ready = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")
    for sent in sys.argv[3:]:
        _, call = ready.with_call(b"", metadata=[tuple(sent.split("="))], timeout=30, wait_for_ready=True)
        print(dict(call.initial_metadata())["x-sluice-revision"])
"""

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("gateway")]


def spec(kube: Kube, rollout: dict[str, Any], *, named: bool) -> dict[str, Any]:
    gateway = {
        "parentRefs": [{"name": GATEWAY, "namespace": NAMESPACE}],
        "hostnames": [host(kube)],
        "grpcHostnames": [grpc_host(kube)],
        "revisionHeader": named,
    }
    return {
        "runtime": RUNTIME,
        "router": {"backend": "GatewayAPI", "gateway": gateway},
        "rollout": QUICK | rollout,
    }


def host(kube: Kube) -> str:
    """The name under which the load client asks."""
    return f"{NAME}.{kube.namespace}.svc"


def grpc_host(kube: Kube) -> str:
    """The name under which gRPC is called."""
    return f"grpc.{host(kube)}"


def door() -> dict[str, Any]:
    """What the load client finds under that name: the gateway, as DNS would have it for its callers."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"type": "ExternalName", "externalName": PROXY},
    }


def serve(kube: Kube, store: Store, version: str, rollout: dict[str, Any], *, named: bool = False) -> None:
    kube.apply(door(), model_deployment(NAME, store.uri(f"{version}.tar.gz"), **spec(kube, rollout, named=named)))


class Teller:
    """Tells which version gave an answer by what it says: no header does."""

    def __init__(self, zoo: Zoo) -> None:
        self._expected = {name: zoo.expected(name) for name in ("v1", "v2")}

    def version(self, request: Request) -> str:
        """The version whose answer it is, and not only nearly."""
        off = {name: np.abs(rows[request.row] - request.outputs).max() for name, rows in self._expected.items()}
        nearest = min(off, key=lambda name: float(off[name]))
        assert off[nearest] <= packages.TOLERANCE, request
        return nearest


def test_a_good_version_walks_through_its_steps_and_no_request_fails(
    kube: Kube, store: Store, cluster: Cluster, zoo: Zoo
) -> None:
    # Given v1 behind a gateway, under load
    walk = {"steps": steps(20, 50, hold="5s"), "drainDelay": "5s", "analysis": {**ERRORS, "minRequests": 20}}
    serve(kube, store, "v1", walk)
    until_promoted(kube, NAME)
    with History(kube, NAME) as history, Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        # When v2 is applied
        serve(kube, store, "v2", walk)
        until_promoted(kube, NAME)
        load.wait_for(300, since=len(load.snapshot()))
        requests = load.stop()
    # Then every weight was what the requests saw, and nobody noticed
    assert failures(requests) == []
    assert [period.weight for period in history.periods()] == [20, 50, 100]
    tell = Teller(zoo)
    for period in history.periods():
        held = between(requests, (period.verified or 0) + SETTLED, (period.until or requests[-1].end) - SETTLED)
        low, high = binomial_interval(len(held), period.weight / 100, SURE)
        assert low <= sum(tell.version(request) == "v2" for request in held) <= high


def test_a_bad_version_is_taken_back_and_only_its_own_share_failed(
    kube: Kube, store: Store, cluster: Cluster, zoo: Zoo
) -> None:
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
    assert Teller(zoo).version(requests[-1]) == "v1"
    cannot = packages.failing_rows()
    assert failures(requests), "nobody was given the bad version"
    assert [request for request in failures(requests) if request.status != 500 or not cannot[request.row]] == []


def test_testers_reach_a_version_before_its_first_weight(kube: Kube, store: Store, cluster: Cluster) -> None:
    # Given v1 behind a gateway
    match = [{"header": {"name": "x-tester", "value": "yes"}}, {"cookie": {"name": "beta", "present": True}}]
    walk = {"steps": steps(0, hold="1h"), "match": match}
    serve(kube, store, "v1", walk, named=True)
    first = stable(until_promoted(kube, NAME))
    # When v2 is rolled out to testers alone
    serve(kube, store, "v2", walk, named=True)
    kube.until(KIND, NAME, lambda seen: "holdStartedAt" in seen["status"].get("rollout", {}))
    found = kube.get(KIND, NAME)
    # Then the header and the cookie lead there, and nothing else does
    sent = [{"X-Tester": "yes"}, {"Cookie": "a=1; beta=on"}, {"Cookie": "abeta=on"}, {"X-Tester": "no"}, {}]
    client = run_client(kube, cluster.images["runtime"])
    answers = client.ask_each(f"http://{host(kube)}/v2/models/{NAME}", sent)
    second = found["status"]["canary"]["revision"]
    assert [answer.headers["x-sluice-revision"] for answer in answers] == [second, second, first, first, first]
    # And so they do over gRPC, under its own name
    words = ["python3", "-c", GRPC_CALL, f"{PROXY}:80", grpc_host(kube), "x-tester=yes", "x-tester=no"]
    assert client.kube.exec("client", *words).split() == [second, first]


def test_copies_are_judged_and_answer_nobody(kube: Kube, store: Store, cluster: Cluster, zoo: Zoo) -> None:
    # Given v1 behind a gateway, under load
    walk = {"mirror": {"percent": 50, "hold": "1h"}, "analysis": {**ERRORS, "minRequests": 20}}
    serve(kube, store, "v1", walk)
    until_promoted(kube, NAME)
    with Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        # When v2 gets copies, for as long as this takes
        serve(kube, store, "v2", walk)
        kube.until(KIND, NAME, lambda seen: any(it["verdict"] == "Pass" for it in measurements(seen)))
        requests = load.stop()
    # Then they were judged, and every caller was answered by v1
    assert failures(requests) == []
    tell = Teller(zoo)
    assert {tell.version(request) for request in requests} == {"v1"}


def measurements(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What was measured in the rollout under way."""
    counted: list[dict[str, Any]] = found["status"].get("rollout", {}).get("analysis", {}).get("measurements", [])
    return counted
