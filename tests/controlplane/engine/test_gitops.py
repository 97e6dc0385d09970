"""Several keep one resource, as GitOps does it: nobody undoes another's part, and nothing new is nothing to do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.apiserver import ApiServer
from controlplane.engine.process import Operator, at_rest, operator, until
from support.kube import Kube

CHILDREN = "deployment,service,configmap,controllerrevision,pdb,hpa"


def model(spec: dict[str, Any]) -> dict[str, Any]:
    kind = {"apiVersion": "sluice.dev/v1alpha1", "kind": "ModelDeployment"}
    return {**kind, "metadata": {"name": "m"}, "spec": spec}


OURS = {
    "model": {"uri": "http://store.example/1.tar.gz", "digest": "sha256:" + "a" * 64},
    "scaling": {"minReplicas": 2},
}
THEIRS = {"rollout": {"steps": [{"weight": 20, "hold": "1m"}]}}


def apply(kube: Kube, manager: str, spec: dict[str, Any]) -> None:
    words = ("apply", "--server-side", f"--field-manager={manager}", "-f", "-")
    kube.run(*words, stdin=json.dumps(model(spec)))


@pytest.fixture
def served(api_server: ApiServer, kube: Kube, tmp_path: Path) -> Iterator[tuple[Kube, Operator]]:
    """A resource that one manager has applied, brought as far as it goes without nodes."""
    with api_server.namespace("gitops") as own:
        apply(own, "argocd", OURS)
        with operator(api_server.kubeconfig, tmp_path / "o.log", f"--namespaces={own.namespace}") as running:
            until(running.ready, "the operator is ready")
            own.until("deployment", "m-router", lambda found: True)
            at_rest(running)
            yield own, running


def versions(kube: Kube) -> dict[str, str]:
    return {
        f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"] for one in kube.select(CHILDREN)
    }


def test_the_same_manifest_again_changes_nothing(served: tuple[Kube, Operator]) -> None:
    kube, running = served
    before, written, resource = versions(kube), running.writes(), kube.get("mdep", "m")["metadata"]["resourceVersion"]
    for _ in range(3):
        apply(kube, "argocd", OURS)
    assert at_rest(running) == written
    assert versions(kube) == before
    assert kube.get("mdep", "m")["metadata"]["resourceVersion"] == resource


def test_two_managers_keep_each_their_own_part(served: tuple[Kube, Operator]) -> None:
    kube, running = served
    apply(kube, "platform", THEIRS)
    at_rest(running)
    for _ in range(2):
        apply(kube, "argocd", OURS)
        apply(kube, "platform", THEIRS)
    written = at_rest(running)
    spec = kube.get("mdep", "m")["spec"]
    assert (spec["scaling"]["minReplicas"], spec["rollout"]["steps"][0]["weight"]) == (2, 20)
    apply(kube, "argocd", OURS)
    assert at_rest(running) == written
    # The operator owns the status and nothing of the spec.
    found = json.loads(kube.run("get", "mdep", "m", "-o", "json", "--show-managed-fields"))["metadata"]["managedFields"]
    owners = {(entry["manager"], entry.get("subresource", "")) for entry in found}
    assert owners == {("argocd", ""), ("platform", ""), ("sluice", "status")}
