"""What people ask of a rollout with the `sluice` command or in Argo CD, under load."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from sluice.cli import main
from sluice_operator.api.request import REQUEST
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, stable, until_promoted, until_stalled
from support.gitops import argo_actions, argo_health, argo_run, kstatus
from support.kube import Kube, Object, condition, is_true
from support.load import Load, failures
from support.store import Store

NAME = "store-revenue"
RATE = 100.0
NEVER = "1h"


class Person:
    """Someone with a terminal."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self.kube, self.store = kube, store

    def applies(self, version: str, *steps: dict[str, Any]) -> None:
        # Long enough that a version which was just replaced still has its pods when it is asked for again.
        rollout = {**QUICK, "drainDelay": "20s", "steps": list(steps)}
        spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": rollout}
        self.kube.apply(model_deployment(NAME, self.store.uri(f"{version}.tar.gz"), **spec))

    def types(self, *words: str) -> int:
        return main([*words, "--namespace", self.kube.namespace, "--kubeconfig", self.kube.kubeconfig])

    def sees(self, reason: str) -> Object:
        return self.kube.until(KIND, NAME, lambda found: found.get("status", {}).get("reason") == reason)


def seen_by_gitops(found: Object) -> tuple[str, str, set[str]]:
    """Argo CD's health, kstatus, and the actions that Argo CD offers."""
    return argo_health(found), kstatus(found), argo_actions(found)


@pytest.fixture(scope="module")
def person(module_kube: Kube, store: Store) -> Person:
    """With v1 in service."""
    person = Person(module_kube, store)
    person.applies("v1")
    until_promoted(module_kube, NAME)
    return person


def test_promote_past_a_pause_and_rollback_to_a_former_version(
    person: Person, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    kube = person.kube
    first = stable(kube.get(KIND, NAME))
    with Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        # Given v2 at a step that waits for a person
        person.applies("v2", {"weight": 50, "pause": True})
        waiting = person.sees("Paused")
        second = waiting["status"]["canary"]["revision"]
        assert is_true(waiting, "Reconciling")
        assert seen_by_gitops(waiting) == ("Suspended", "InProgress", {"promote", "promote-full", "abort"})
        # Then both are seen to answer, by whom they are and how fast
        load.wait_for(200, since=len(load.requests))
        assert person.types("status", NAME, "--output", "json") == 0
        shown = json.loads(capsys.readouterr().out)
        assert {row["revision"] for row in shown["revisions"] if row["measured"]["requests"] > 5} == {first, second}
        # When it is promoted, it gets everything; when the former version is asked for, that does
        assert person.types("promote", NAME) == 0
        promoted = until_promoted(kube, NAME)
        assert stable(promoted) == second
        assert seen_by_gitops(promoted) == ("Healthy", "Current", set())
        assert person.types("rollback", NAME, "--to", first) == 0
        found = until_stalled(kube, NAME)
        load.wait_for(200, since=len(load.requests))
        requests = load.stop()
    assert stable(found) == first
    assert condition(found, "Stalled")["reason"] == "RolledBackByRequest"
    assert seen_by_gitops(found) == ("Degraded", "Failed", {"retry"})
    assert is_true(found, "Ready")
    assert {request.revision for request in requests[-100:]} == {first}
    assert failures(requests) == []
    versions = {entry["revision"]: entry.get("modelVersion") for entry in found["status"]["history"]}
    assert (versions[first], versions[second]) == ("v1", "v2")


def test_abort_in_the_middle_of_a_step(person: Person, cluster: Cluster) -> None:
    kube = person.kube
    # Given v3 at a fifth of the requests
    with Load(kube, cluster.images["runtime"], NAME, RATE) as load:
        before = stable(kube.get(KIND, NAME))
        person.applies("v3", {"weight": 20, "hold": NEVER})
        held = kube.until(KIND, NAME, lambda seen: seen["status"].get("rollout", {}).get("verifiedWeight") == 20)
        assert seen_by_gitops(held) == ("Progressing", "InProgress", {"promote-full", "pause", "abort"})
        # When it is aborted from Argo CD
        asked = argo_run("abort", held)["metadata"]["annotations"][REQUEST]
        kube.run("annotate", KIND, NAME, f"{REQUEST}={asked}", "--overwrite")
        found = until_stalled(kube, NAME)
        load.wait_for(200, since=len(load.requests))
        requests = load.stop()
    # Then the stable version has everything, no request failed, and a promote comes too late
    assert condition(found, "Stalled")["reason"] == "Aborted"
    assert stable(found) == before
    assert {request.revision for request in requests[-100:]} == {before}
    assert failures(requests) == []
    assert person.types("promote", NAME, "--full") == 1
