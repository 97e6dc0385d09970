"""A feature store that goes away while a new version is judged: nobody is blamed for it, and the rollout goes on when
it is back; a version that asks the store wrongly is taken back all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from e2e.specs import ERRORS, QUICK, ROUTER, RUNTIME, steps
from e2e.test_features import FEATURES, KEYS, NAME, asking, feature_store
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, stable, until_promoted, until_stalled
from support.kube import Kube, Object, condition, is_true
from support.load import Load, failures
from support.store import Store

RATE = 40.0
WRONG = "of-somebody-else"
PATIENCE = 240.0
"""For what takes a few slices of an outage, on a machine that does other things too."""


class Judged:
    """A ModelDeployment whose versions ask a feature store, and are judged by their errors alone."""

    def __init__(self, kube: Kube, store: Store, image: str) -> None:
        self.kube, self.store, self.image = kube, store, image

    def apply(self, version: str, hold: str = "1h", secret: str = FEATURES) -> None:
        features = asking(self.kube.namespace) | {"timeout": "1s", "cache": {"maxAge": "1s", "entries": 100}}
        features["store"] = features["store"] | {"credentials": {"secretRef": {"name": secret}}}
        rollout = QUICK | {"steps": steps(50, hold=hold), "analysis": ERRORS}
        spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": rollout, "features": features}
        self.kube.apply(model_deployment(NAME, self.store.uri(f"{version}.tar.gz"), **spec))

    def begin_store(self) -> None:
        self.kube.apply(*feature_store(self.image))
        self.kube.wait(f"pod/{FEATURES}", "condition=Ready", PATIENCE)

    def end_store(self) -> None:
        self.kube.run("delete", "pod", FEATURES, "--grace-period=1")

    def until(self, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Wait until the rollout's analysis is so, and return it."""
        return analysis(self.kube.until(KIND, NAME, lambda found: bool(holds(analysis(found))), PATIENCE))

    def load(self) -> Load:
        keys = [{"name": "row", "datatype": "INT64", "shape": [1], "data": [key]} for key in KEYS]
        return Load(self.kube, self.image, NAME, RATE, bodies=[{"inputs": [key]} for key in keys])


def analysis(found: Object) -> dict[str, Any]:
    told: dict[str, Any] = found.get("status", {}).get("rollout", {}).get("analysis", {})
    return told


def last(told: dict[str, Any]) -> dict[str, Any]:
    measurements: list[dict[str, Any]] = told.get("measurements") or [{}]
    return measurements[-1]


@pytest.fixture
def judged(kube: Kube, store: Store, cluster: Cluster) -> Judged:
    """The first version, with its store there."""
    made = Judged(kube, store, cluster.images["runtime"])
    made.begin_store()
    made.apply("v1")
    until_promoted(kube, NAME)
    return made


def test_a_rollout_holds_while_the_store_is_away_and_goes_on_when_it_is_back(judged: Judged, kube: Kube) -> None:
    first = stable(kube.get(KIND, NAME))
    with judged.load() as load:
        # Given a canary that is judged to be good
        judged.apply("v2")
        judged.until(lambda told: told.get("passed"))
        # When the store is away
        judged.end_store()
        told = judged.until(lambda told: last(told).get("leftOut", 0) > 0)
        seen = told["inconclusive"]
        told = judged.until(lambda told: told.get("inconclusive", 0) > seen + 5)
        # Then the canary is blamed for nothing, and it is said why
        assert told["failed"] == 0
        assert "answers are left out: the feature store was away" in last(told)["message"]
        held = kube.get(KIND, NAME)
        assert held["status"]["rollout"]["verifiedWeight"] == 50
        assert stable(held) == first
        # When it is back, then the canary is judged anew and may go on
        passed, windows = told["passed"], told["windows"]
        judged.begin_store()
        told = judged.until(lambda told: told.get("passed", 0) > passed and told["windows"] > windows)
        assert told["failed"] == 0
        judged.apply("v2", hold="1s")
        second = until_promoted(kube, NAME)
        requests = load.stop()
    assert stable(second) != first
    assert {request.status for request in failures(requests)} == {503}
    assert {request.revision for request in failures(requests)} == {first, stable(second)}
    events = kube.select("events", fields="reason=AnswersLeftOut")
    assert any("the feature store was away" in event["message"] for event in events)


def test_a_canary_whose_lookups_alone_fail_is_taken_back(judged: Judged, kube: Kube) -> None:
    first = stable(kube.get(KIND, NAME))
    secret = {"metadata": {"name": WRONG}, "stringData": {"token": WRONG}}
    kube.apply({"apiVersion": "v1", "kind": "Secret", **secret})
    with judged.load() as load:
        judged.apply("v2", secret=WRONG)
        found = until_stalled(kube, NAME)
        blocked = found["status"]["blocked"]["revision"]
        requests = load.stop()
    assert condition(found, "Stalled")["reason"] == "AnalysisFailed"
    assert "errorRate" in condition(found, "Stalled")["message"]
    assert {request.revision for request in failures(requests)} == {blocked}
    assert is_true(found, "Ready")
    assert stable(found) == first
