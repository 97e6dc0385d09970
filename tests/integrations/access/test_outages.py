"""Who may ask while those are away who could say so: nobody gets in who should not, who is known goes on for a while.

A pod asks all the while, with a token that has the right, with one that somebody has tampered with, and without any.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from localcluster import control
from support import operators, samples
from support.cluster import Cluster
from support.deployments import model_deployment, until_promoted
from support.kube import Kube, KubectlError
from support.pods import python_pod, with_files
from support.store import Store

NAME = "store-revenue"
CALLER = "shop-app"
WITNESS = Path(__file__).with_name("witness.py")
AUTHORIZER = "deployment/sluice-authorizer"
AUTHORIZERS = "app.kubernetes.io/component=authorizer"
PATIENCE = 90.0
AWAY_SECONDS = 5.0
HANGS_SECONDS = 40.0
ROUTER_SECONDS = 6.0
"""A router has forgotten by then whom it knew, and has asked again."""
REMEMBERED_SECONDS = 3.0
"""For how long at least a caller that was let in a moment ago is let in without anybody who could say so."""

pytestmark = pytest.mark.timeout(600)
Round = dict[str, float]


class Scene:
    """A model that RBAC guards, and what the witness has seen so far."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self.kube, self._store = kube, store

    def serve(self, **access: Any) -> None:
        spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": QUICK}
        mode = {"mode": "Kubernetes", **access}
        self.kube.apply(model_deployment(NAME, self._store.uri("v1.tar.gz"), **spec, access=mode))

    def rounds(self, since: float = 0.0) -> list[Round]:
        """Rounds that began after a time (Unix)."""
        lines = self.kube.run("logs", "witness", "--tail=-1").splitlines()
        return [found for line in lines if (found := json.loads(line))["at"] >= since]

    def until(self, holds: Callable[[Round], bool], since: float) -> Round:
        """The first round since a time for which it holds; waits for it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(KubectlError):  # an API server that comes back may not know its kubelet yet
                if found := next((one for one in self.rounds(since) if holds(one)), None):
                    return found
            time.sleep(1)
        raise AssertionError(f"not within {PATIENCE:.0f} s; seen last: {self.rounds()[-3:]}")

    def until_as_ever(self) -> float:
        """Wait until everybody is answered as they should be; returns when that was."""
        return self.until(as_ever, time.time())["at"]


def as_ever(one: Round) -> bool:
    return (one["granted"], one["tampered"], one["nobody"]) == (200, 401, 401)


def statuses(rounds: list[Round], name: str) -> set[float]:
    return {one[name] for one in rounds}


@pytest.fixture(scope="module")
def scene(cluster: Cluster, module_kube: Kube, store: Store) -> Scene:
    """Everything is well, and the witness asks."""
    scene = Scene(module_kube, store)
    scene.serve()
    parts = {one["kind"]: one for one in samples.read("access-kubernetes.yaml")}
    parts["RoleBinding"]["subjects"][0]["namespace"] = module_kube.namespace
    module_kube.apply(parts["Role"], parts["RoleBinding"], parts["ServiceAccount"])
    until_promoted(module_kube, NAME)
    token = module_kube.run("create", "token", CALLER, "--audience=sluice.dev", "--duration=2h").strip()
    head, _, signature = token.rpartition(".")
    tampered = f"{head}.{signature[::-1]}"
    callers = {
        "granted": {"Authorization": f"Bearer {token}"},
        "tampered": {"Authorization": f"Bearer {tampered}"},
        "nobody": {},
    }
    words = ["/files/witness.py", f"http://{NAME}/v2/models/{NAME}", json.dumps(callers)]
    pod = python_pod("witness", cluster.images["runtime"], words)
    module_kube.apply(*with_files(pod, {"witness.py": WITNESS.read_text()}))
    module_kube.wait("pod/witness", "condition=Ready")
    return scene


@pytest.fixture(autouse=True)
def well(scene: Scene, cluster: Cluster) -> Iterator[None]:
    """Each test begins and ends with everything there."""
    scene.until_as_ever()
    yield
    operators.scale(cluster.system)
    cluster.system.run("scale", AUTHORIZER, "--replicas=2")
    scene.until_as_ever()


def end_authorizers(cluster: Cluster) -> float:
    """Take all of them away; returns when the last was gone."""
    cluster.system.run("scale", AUTHORIZER, "--replicas=0")
    cluster.system.run("wait", "pod", f"--selector={AUTHORIZERS}", "--for=delete", "--timeout=120s", timeout=150)
    return time.time()


def test_without_operators_permission_is_what_it_was(scene: Scene, cluster: Cluster) -> None:
    operators.stop(cluster.system)
    gone = time.time()
    time.sleep(AWAY_SECONDS)
    scene.until(as_ever, time.time())
    assert [one for one in scene.rounds(gone) if not as_ever(one)] == []


def test_without_authorizers_nobody_is_let_in_for_long(scene: Scene, cluster: Cluster) -> None:
    began = time.time()
    gone = end_authorizers(cluster)
    # What the routers remember is soon forgotten: then it cannot be checked, and that is a no
    scene.until(lambda one: one["granted"] == 503, gone)
    time.sleep(AWAY_SECONDS)
    cluster.system.run("scale", AUTHORIZER, "--replicas=2")
    back = scene.until_as_ever()
    rounds = scene.rounds(began)
    assert statuses(rounds, "granted") == {200, 503}
    assert statuses(rounds, "tampered") <= {401, 503}
    assert statuses(rounds, "nobody") == {401}
    # And it was one outage: good until it began, away, good again
    changes = [after["at"] for before, after in pairwise(rounds) if before["granted"] != after["granted"]]
    assert len(changes) == 2
    assert changes[-1] <= back


def test_where_the_spec_says_so_callers_go_on_without_authorizers(scene: Scene, cluster: Cluster) -> None:
    scene.serve(onUnavailable="Allow")
    scene.until_as_ever()
    gone = end_authorizers(cluster)
    time.sleep(2 * AWAY_SECONDS)
    rounds = scene.rounds(gone)
    assert statuses(rounds, "granted") == {200}
    assert statuses(rounds, "nobody") == {401}
    scene.serve()
    scene.until(lambda one: one["granted"] == 503, time.time())


def test_while_the_api_server_hangs_who_is_known_goes_on_for_a_while(scene: Scene, cluster: Cluster) -> None:
    # Given one authorizer, for each remembers by itself, that has been asked after the other had gone
    cluster.system.run("scale", AUTHORIZER, "--replicas=1")
    cluster.system.until_all("pods", AUTHORIZERS, lambda pods: len(pods) == 1)
    scene.until(as_ever, time.time() + ROUTER_SECONDS)
    # When the API server hangs: connections stay open, nothing answers
    began = time.time()
    control.pause("kube-apiserver")
    try:
        time.sleep(HANGS_SECONDS)
    finally:
        resumed = time.time()
        control.resume("kube-apiserver")
    scene.until_as_ever()
    # Then who is known goes on, and not for long. The last round may have waited for what came back.
    rounds = [one for one in scene.rounds(began) if one["done"] < resumed]
    known = [one for one in rounds if one["granted"] == 200]
    assert known[-1]["at"] - began >= REMEMBERED_SECONDS
    assert rounds[-1]["granted"] == 503, "nobody is let in for as long as an API server may be away"
    assert statuses(rounds, "granted") <= {200, 503}
    # Whose signature is wrong needs nobody's word
    assert statuses(rounds, "tampered") <= {401, 503}
    assert statuses(rounds, "nobody") == {401}
