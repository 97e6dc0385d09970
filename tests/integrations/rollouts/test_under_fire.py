"""Whole rollouts under load while something is taken away again and again: no request may fail.

Each disturbance lasts for the whole rollout of a good version, which must be promoted through every weight. Operators
are killed in test_at_each_step.py: where all of them die more often than their Lease expires, nobody ever acts.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.specs import ERRORS, ROUTER, RUNTIME, steps
from localcluster import control
from support import operators
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, until_promoted
from support.history import History
from support.kube import Kube, KubectlError
from support.load import Load, failures
from support.store import Store

NAME = "store-revenue"
RATE = 100.0
EVERY_SECONDS = 5.0
WEIGHTS = (10, 50)
SPEC: dict[str, Any] = {
    "runtime": RUNTIME,
    "router": ROUTER | {"replicas": 2},
    "scaling": {"replicas": 3},
    "rollout": {
        "readyDeadline": "180s",
        "drainDelay": "5s",
        "steps": steps(*WEIGHTS, hold="15s"),
        "analysis": {**ERRORS, "interval": "5s", "failureLimit": 2},
    },
}


def delete_a_pod(kube: Kube, component: str, seed: random.Random) -> None:
    """Take a pod of that component away, as a drained node would."""
    pods = kube.select("pods", f"sluice.dev/deployment={NAME},app.kubernetes.io/component={component}")
    living = [pod["metadata"]["name"] for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    if living:
        kube.run("delete", "pod", seed.choice(sorted(living)), "--wait=false")


def model_pods(kube: Kube, cluster: Cluster, seed: random.Random) -> None:
    delete_a_pod(kube, "model", seed)


def router_pods(kube: Kube, cluster: Cluster, seed: random.Random) -> None:
    delete_a_pod(kube, "router", seed)


def routers_restarted(kube: Kube, cluster: Cluster, seed: random.Random) -> None:
    kube.run("rollout", "restart", f"deployment/{NAME}-router")
    kube.run("rollout", "status", f"deployment/{NAME}-router", "--timeout=120s", timeout=150)


def api_server_paused(kube: Kube, cluster: Cluster, seed: random.Random) -> None:
    control.pause("kube-apiserver")
    try:
        threading.Event().wait(30)
    finally:
        control.resume("kube-apiserver")


Disturbance = Callable[[Kube, Cluster, random.Random], None]


@contextmanager
def again_and_again(disturb: Disturbance, kube: Kube, cluster: Cluster) -> Iterator[list[str]]:
    """Disturb every few seconds until the end; the result lists how often it worked and what was in its way."""
    over, done, seed = threading.Event(), [], random.Random(1)

    def work() -> None:
        while not over.wait(EVERY_SECONDS):
            try:
                disturb(kube, cluster, seed)
                done.append("done")
            except KubectlError as refusal:
                # Two disturbances can meet: the pod chosen is gone by itself.
                done.append(str(refusal))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield done
    finally:
        over.set()
        worker.join()


@pytest.mark.parametrize(
    "disturb",
    [model_pods, router_pods, routers_restarted, api_server_paused],
    ids=lambda it: it.__name__,
)
def test_a_rollout_goes_on_and_no_request_fails(
    kube: Kube, store: Store, cluster: Cluster, disturb: Disturbance
) -> None:
    # Given v1 under load
    kube.apply(model_deployment(NAME, store.uri("v1.tar.gz"), **SPEC))
    until_promoted(kube, NAME)
    with History(kube, NAME) as history, Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        # When v2 is rolled out while something is taken away every few seconds
        with again_and_again(disturb, kube, cluster) as done:
            kube.apply(model_deployment(NAME, store.uri("v2.tar.gz"), **SPEC))
            found = until_promoted(kube, NAME, timeout=400)
        load.wait_for(300, since=len(load.snapshot()))
        requests = load.stop()
    # Then it is promoted through every weight, and no request failed
    assert done.count("done") >= 2, done
    assert found["status"]["stable"]["uri"] == store.uri("v2.tar.gz")
    weights = [period.weight for period in history.periods()]
    assert [weight for weight in WEIGHTS if weight in weights] == list(WEIGHTS)
    assert weights[-1] == 100
    assert failures(requests) == []


def test_nothing_is_promoted_or_blamed_while_all_operators_are_gone(kube: Kube, store: Store, cluster: Cluster) -> None:
    # Given a rollout held at its first weight
    walk = SPEC["rollout"] | {"steps": steps(20, hold="20s")}
    kube.apply(model_deployment(NAME, store.uri("v1.tar.gz"), **SPEC))
    until_promoted(kube, NAME)
    with Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        kube.apply(model_deployment(NAME, store.uri("v2.tar.gz"), **{**SPEC, "rollout": walk}))
        kube.until(KIND, NAME, lambda seen: seen["status"].get("rollout", {}).get("verifiedWeight") == 20)
        # When every operator is away for longer than the hold
        try:
            operators.stop(cluster.system)
            load.wait_for(int(RATE * 30), since=len(load.snapshot()))
            assert kube.get(KIND, NAME)["status"]["rollout"]["verifiedWeight"] == 20
        finally:
            operators.scale(cluster.system)
        # Then the rollout goes on from where it was
        found = until_promoted(kube, NAME)
        requests = load.stop()
    assert found["status"]["stable"]["uri"] == store.uri("v2.tar.gz")
    assert failures(requests) == []
