"""A new version takes over step by step, or is taken back; what applications see of it."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.specs import ERRORS, QUICK, ROUTER, RUNTIME, steps
from e2e.zoo import Zoo
from support import samples
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, stable, until_promoted, until_stalled
from support.history import History
from support.kube import Kube, Object, condition, is_true
from support.load import Load, between, failures, wrong
from support.stats import binomial_interval
from support.store import Store

NAME = "store-revenue"
RATE = 150.0
NEVER = "1h"
NO_METRICS = {"name": "runtime", "env": [{"name": "BENTOML_CONFIG_OPTIONS", "value": "services.metrics.enabled=false"}]}
WITHOUT_METRICS = RUNTIME | {"podTemplate": {"spec": {"containers": [NO_METRICS]}}}


class Rollouts:
    """A ModelDeployment that goes from version to version."""

    def __init__(self, kube: Kube, store: Store, cluster: Cluster) -> None:
        self.kube, self.store, self.cluster = kube, store, cluster

    def apply(self, version: str, runtime: Any = RUNTIME, **rollout: Any) -> None:
        spec = {"runtime": runtime, "router": ROUTER, "rollout": QUICK | rollout}
        self.kube.apply(model_deployment(NAME, self.store.uri(f"{version}.tar.gz"), **spec))

    def promoted(self, version: str, **rollout: Any) -> Object:
        self.apply(version, **rollout)
        found = until_promoted(self.kube, NAME)
        assert found["status"]["stable"]["uri"] == self.store.uri(f"{version}.tar.gz")
        return found

    def at_weight(self, weight: int) -> Object:
        return self.kube.until(KIND, NAME, lambda found: rollout_of(found).get("verifiedWeight") == weight)

    def load(self) -> Load:
        return Load(self.kube, self.cluster.images["runtime"], NAME, RATE)


def rollout_of(found: Object) -> dict[str, Any]:
    rollout: dict[str, Any] = found.get("status", {}).get("rollout", {})
    return rollout


@pytest.fixture(scope="module")
def rollouts(module_kube: Kube, store: Store, cluster: Cluster) -> Rollouts:
    """One ModelDeployment for all rollouts: each begins by going back to v1, and brings versions of its own, because
    one that was stable before skips the steps."""
    return Rollouts(module_kube, store, cluster)


def test_a_good_version_walks_through_its_steps_and_no_request_fails(
    kube: Kube, store: Store, cluster: Cluster, zoo: Zoo
) -> None:
    # Given the canary sample with short holds, and load on it
    walk = samples.read("canary.yaml")[0]["spec"]["rollout"]
    walk |= {"steps": steps(5, 25, 50), "drainDelay": "1s", "analysis": {**ERRORS, "minRequests": 10}}
    spec: dict[str, Any] = {"runtime": RUNTIME, "rollout": walk}
    kube.apply(samples.model_deployment("canary.yaml", store.uri("v1.tar.gz"), **spec))
    first = until_promoted(kube, NAME)
    with History(kube, NAME) as history, Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        # When the second version is applied
        kube.apply(samples.model_deployment("canary.yaml", store.uri("v2.tar.gz"), **spec))
        second = until_promoted(kube, NAME)
        load.wait_for(300, since=len(load.requests))
        requests = load.stop()
    # Then every weight was walked through, was what the requests saw, and nobody noticed
    assert [period.weight for period in history.periods()] == [5, 25, 50, 100]
    for period in history.periods():
        held = between(requests, period.verified or 0, period.until or requests[-1].end)
        low, high = binomial_interval(len(held), period.weight / 100)
        assert low <= sum(request.revision == stable(second) for request in held) <= high
    assert failures(requests) == []
    assert wrong(requests, {stable(first): zoo.expected("v1"), stable(second): zoo.expected("v2")}) == []


def test_a_version_that_fails_requests_is_taken_back(rollouts: Rollouts) -> None:
    # Given v1 under load
    first = rollouts.promoted("v1")
    with rollouts.load() as load:
        # When a version that fails on a fifth of its requests is applied
        rollouts.apply("failing", steps=steps(20, hold=NEVER), analysis=ERRORS)
        found = until_stalled(rollouts.kube, NAME)
        blocked = found["status"]["blocked"]["revision"]
        load.wait_for(300, since=len(load.requests))
        requests = load.stop()
    # Then only requests that it answered failed, v1 has everything again, and status says why
    assert failures(requests)
    assert {request.revision for request in failures(requests)} == {blocked}
    assert {request.revision for request in requests[-200:]} == {stable(first)}
    assert condition(found, "Stalled")["reason"] == "AnalysisFailed"
    assert "errorRate" in condition(found, "Stalled")["message"]
    # And the measurement that showed it was told, with what it rests on
    told = rollouts.kube.select("events", fields="reason=MeasurementFailed")
    assert any("> 0.01" in event["message"] and "canary requests" in event["message"] for event in told)
    assert is_true(found, "Ready")
    assert stable(found) == stable(first)


def test_a_version_that_is_slow_is_taken_back(rollouts: Rollouts) -> None:
    # Given v1 under load
    rollouts.promoted("v1")
    check = {"metric": "latencyP99", "max": 10, "maxTimesStable": 3}
    with rollouts.load() as load:
        # When a version that computes far longer is applied
        rollouts.apply("slow", steps=steps(20, hold=NEVER), analysis=ERRORS | {"failureLimit": 1, "checks": [check]})
        found = until_stalled(rollouts.kube, NAME)
        requests = load.stop()
    # Then it is taken back for its latency, and nothing failed
    assert condition(found, "Stalled")["reason"] == "AnalysisFailed"
    assert "latencyP99" in condition(found, "Stalled")["message"]
    assert failures(requests) == []


def test_a_version_whose_metrics_cannot_be_read_is_not_blamed_and_waited_for_no_longer_than_asked(
    rollouts: Rollouts,
) -> None:
    # Given v1 under load
    first = rollouts.promoted("v1")
    rules = ERRORS | {"checks": [{"metric": "latencyP99", "max": 10}], "inconclusiveDeadline": "3s"}
    with rollouts.load() as load:
        # When a version is applied that serves, and whose runtime tells no metrics
        rollouts.apply("v2", runtime=WITHOUT_METRICS, steps=steps(20), analysis=rules)
        found = rollouts.kube.until(KIND, NAME, lambda seen: rollout_of(seen).get("analysis", {}).get("errors", 0) > 0)
        measured = rollout_of(found)["analysis"]
        found = until_stalled(rollouts.kube, NAME)
        requests = load.stop()
    # Then that is told as a fault of the measurement, it is taken back at the deadline, and nothing failed
    assert (measured.get("failed", 0), measured.get("passed", 0)) == (0, 0)
    assert condition(found, "Stalled")["reason"] == "AnalysisInconclusive"
    assert "inconclusiveDeadline 3s" in condition(found, "Stalled")["message"]
    assert stable(found) == stable(first)
    assert failures(requests) == []


def test_a_return_to_the_former_version_skips_the_steps(rollouts: Rollouts) -> None:
    # Given v1, replaced by v4
    first = rollouts.promoted("v1")
    rollouts.promoted("v4")
    # When v1 is applied again, with a step that would be held for an hour
    again = rollouts.promoted("v1", steps=steps(10, hold=NEVER))
    # Then it is the very same revision, at once
    assert stable(again) == stable(first)


def test_a_third_version_in_the_middle_of_a_rollout_takes_the_place_of_the_second(rollouts: Rollouts) -> None:
    # Given v2 held at half of the requests
    rollouts.promoted("v1")
    with History(rollouts.kube, NAME) as history:
        rollouts.apply("v2", steps=steps(50, hold=NEVER))
        second = rollouts.at_weight(50)["status"]["canary"]["revision"]
        # When v3 is applied
        third = rollouts.promoted("v3", steps=steps(50))
    # Then v2 lost its traffic before v3 got any, and is remembered as superseded, not as failed
    decided = [(period.canary, period.weight) for period in history.periods()]
    assert decided == [(second, 50), (second, 0), (stable(third), 50), (stable(third), 100)]
    outcomes = {entry["revision"]: entry["outcome"] for entry in third["status"]["history"]}
    assert outcomes[second] == "Superseded"
