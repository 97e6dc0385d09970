"""What a version says to copies of requests decides, on a real cluster and over several pods, before anyone sees it."""

from __future__ import annotations

from typing import Any

from e2e.specs import ERRORS, QUICK, ROUTER, RUNTIME
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, stable, until_promoted, until_stalled
from support.history import History
from support.kube import Kube, condition
from support.load import Load, failures
from support.packages import OUTPUT
from support.store import Store

NAME = "store-revenue"
RATE = 100.0
ANALYSIS: dict[str, Any] = {
    **ERRORS,
    "interval": "2s",
    "checks": [{"metric": "errorRate", "max": 0.01}, {"metric": "answersDiffer", "max": 0.02}],
}
SPEC: dict[str, Any] = {
    "router": ROUTER | {"replicas": 2},
    "scaling": {"replicas": 2},
    "rollout": QUICK | {"mirror": {"hold": "10s"}, "analysis": ANALYSIS},
}


def test_a_version_that_answers_otherwise_is_taken_back_and_one_that_does_not_is_promoted(
    kube: Kube, store: Store, cluster: Cluster
) -> None:
    def apply(version: str, **runtime: Any) -> None:
        kube.apply(model_deployment(NAME, store.uri(f"{version}.tar.gz"), runtime={**RUNTIME, **runtime}, **SPEC))

    # Given v1 under load
    apply("v1")
    first = stable(until_promoted(kube, NAME))
    with Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        # When its model is rolled out with another setting
        apply("v1", batching={"maxSize": 16})
        second = stable(until_promoted(kube, NAME))
        # Then it was compared, and nothing that it said was another
        assert second != first
        (told,) = kube.select("events", fields="reason=AnswersCompared")
        assert told["message"].startswith("0 of "), told["message"]
        # When another model is rolled out
        with History(kube, NAME) as history:
            apply("v2")
            found = until_stalled(kube, NAME)
        load.wait_for(100, since=len(load.snapshot()))
        requests = load.stop()
    # Then it is taken back for what it said to copies, status told how much that was, and no caller noticed
    assert condition(found, "Stalled")["reason"] == "AnalysisFailed"
    assert "answersDiffer" in condition(found, "Stalled")["message"]
    rollouts = [status["rollout"] for status in history.statuses if "rollout" in status]
    (comparison,) = [rollout["comparison"] for rollout in rollouts if "comparison" in rollout][-1:]
    assert comparison["pairs"] >= ERRORS["minRequests"]
    assert comparison["different"] > 0.5 * comparison["pairs"]
    assert comparison["outputs"][0]["name"] == OUTPUT
    assert {rollout.get("weight", 0) for rollout in rollouts} == {0}
    assert kube.get(KIND, NAME)["status"]["stable"]["revision"] == second
    assert {request.revision for request in requests} == {first, second}
    assert failures(requests) == []
