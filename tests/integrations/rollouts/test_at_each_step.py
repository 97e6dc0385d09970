"""At each single step of a rollout under load a person gives up, or the operator that acts is killed."""

from __future__ import annotations

import time
from typing import Any

from e2e.specs import ERRORS, QUICK, ROUTER, RUNTIME, steps
from sluice.cli import main
from support import operators
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, promoted, stable, until_promoted, until_stalled
from support.kube import Kube, Object, condition
from support.load import Load, failures
from support.store import Store

NAME = "store-revenue"
RATE = 100.0
WEIGHTS = (10, 50, 90)


def spec(version: str = "", **rollout: Any) -> dict[str, Any]:
    """`version` makes a revision of its own out of the same package."""
    marked = RUNTIME | ({"podTemplate": {"metadata": {"annotations": {"version": version}}}} if version else {})
    return {"runtime": marked, "router": ROUTER, "rollout": QUICK | rollout}


def rollout_of(found: Object) -> dict[str, Any]:
    rollout: dict[str, Any] = found.get("status", {}).get("rollout", {})
    return rollout


def test_an_abort_at_any_step_fails_no_request(kube: Kube, store: Store, cluster: Cluster) -> None:
    def asks(word: str) -> None:
        assert main([word, NAME, "--namespace", kube.namespace, "--kubeconfig", kube.kubeconfig]) == 0

    def paused_at(weight: int) -> None:
        kube.until(KIND, NAME, lambda found: "pause" in rollout_of(found) and rollout_of(found)["weight"] == weight)

    # Given v1 under load
    kube.apply(model_deployment(NAME, store.uri("v1.tar.gz"), **spec()))
    first = stable(until_promoted(kube, NAME))
    walk = [{"weight": weight, "pause": True} for weight in WEIGHTS]
    with Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        for step, weight in enumerate(WEIGHTS):
            # When another version is aborted at each of the steps
            kube.apply(model_deployment(NAME, store.uri("v2.tar.gz"), **spec(str(weight), steps=walk)))
            for passed in WEIGHTS[:step]:
                paused_at(passed)
                asks("promote")
            paused_at(weight)
            asks("abort")
            found = until_stalled(kube, NAME)
            # Then v1 has everything again
            load.wait_for(200, since=len(load.requests))
            assert condition(found, "Stalled")["reason"] == "Aborted"
            assert stable(found) == first
            assert {request.revision for request in load.snapshot()[-100:]} == {first}
        requests = load.stop()
    assert failures(requests) == []


def test_an_operator_that_is_killed_at_every_step_is_followed_by_one_that_goes_on(
    kube: Kube, store: Store, cluster: Cluster
) -> None:
    # Given v1 under load
    walk: dict[str, Any] = {"steps": steps(10, 50), "analysis": ERRORS}
    kube.apply(model_deployment(NAME, store.uri("v1.tar.gz"), **spec(**walk)))
    until_promoted(kube, NAME)
    with Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        # When v2 is rolled out, and whoever acts is killed as soon as it has written how far it is
        kube.apply(model_deployment(NAME, store.uri("v2.tar.gz"), **spec(**walk)))
        reached = killed_at_each_place(kube, cluster)
        found = until_promoted(kube, NAME)
        load.wait_for(300, since=len(load.requests))
        requests = load.stop()
    # Then it is promoted through every weight, and no request failed
    assert {weight for _, weight, _ in reached} >= {10, 50, 100}
    assert found["status"]["stable"]["uri"] == store.uri("v2.tar.gz")
    assert failures(requests) == []


Place = tuple[str, int, int]
"""Phase, weight decided, weight seen on every router."""


def killed_at_each_place(kube: Kube, cluster: Cluster, timeout: float = 600.0) -> set[Place]:
    """Kill the acting operator at each new place of the rollout until its end; the places."""
    places: set[Place] = set()
    for seen in kube.watch(KIND, fields=f"metadata.name={NAME}").states(time.monotonic() + timeout):
        found = seen.get(NAME, {})
        if places and promoted(found):
            break
        rollout = rollout_of(found)
        place = (rollout.get("phase", ""), rollout.get("weight", 0), rollout.get("verifiedWeight", 0))
        if rollout and place not in places:
            places.add(place)
            leader = operators.leader(cluster.system)
            cluster.system.run("delete", "pod", leader, "--grace-period=0", "--force", "--wait=false")
    return places
