"""A gateway in the router's place: what is taken, what is refused and why, and when the backend may change."""

import json
from typing import Any

import pytest

from controlplane.crd.definition import apply, try_apply
from sluice_operator.cli import schema
from support.kube import Kube

PARENT = {"name": "public", "namespace": "gateways", "sectionName": "https"}


def manifest(name: str, gateway: dict[str, Any] | None, backend: str = "GatewayAPI", **spec: Any) -> dict[str, Any]:
    router = {"backend": backend, **({} if gateway is None else {"gateway": gateway}), **spec.pop("router", {})}
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"uri": "https://models.example/m-1.tar.gz"}, "router": router, **spec},
    }


def report(kube: Kube, changes: dict[str, Any]) -> None:
    """Write status, as the operator does."""
    kube.run("patch", "mdep", "changing", "--subresource=status", "--type=merge", f"--patch={json.dumps(changes)}")


def at(*parents: dict[str, Any], **gateway: Any) -> dict[str, Any]:
    return {"parentRefs": list(parents) or [PARENT], **gateway}


MATCHES = [{"header": {"name": "Cookie", "present": True}, "cookie": {"name": "t", "present": True}}]

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no gateway": (manifest("m", None), "needs gateway.parentRefs"),
    "a gateway for Envoy": (manifest("m", at(), "Envoy"), "belongs to the backend GatewayAPI"),
    "no parents": (manifest("m", {"parentRefs": []}), "parentRefs"),
    "one parent twice": (manifest("m", at(PARENT, PARENT)), "parentRefs must differ"),
    "a name that is none": (manifest("m", at(hostnames=["Store.example.com"])), "hostnames[0]"),
    "one name for both": (
        manifest("m", at(hostnames=["a.example", "b.example"], grpcHostnames=["b.example"])),
        "no name for REST and gRPC at once",
    ),
    "a name for gRPC alone": (manifest("m", at(grpcHostnames=["b.example"])), "grpcHostnames needs hostnames"),
    "sticky users": (manifest("m", at(), router={"sticky": {"header": "x-user"}}), "sticky needs the backend Envoy"),
    "router pods": (manifest("m", at(), router={"replicas": 3}), "has pods of its own"),
    "resources of router pods": (
        manifest("m", at(), router={"resources": {"requests": {"cpu": 1}}}),
        "has pods of its own",
    ),
    "a certificate": (manifest("m", at(), endpoint={"tls": {"secretRef": {"name": "x"}}}), "endpoint.tls needs"),
    "a preview's Service": (
        manifest("m", at(), rollout={"strategy": "BlueGreen", "preview": {"service": True}}),
        "preview.service needs",
    ),
    "cookies twice": (manifest("m", at(), rollout={"match": MATCHES}), "write the header Cookie and the cookie as one"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_gateway_cannot_do_is_refused_with_a_reason(kube: Kube, case: str) -> None:
    written, told = REFUSED[case]
    answer = try_apply(kube, written)
    assert not answer.accepted
    assert told in answer.text
    offline = " ".join(f"{mistake.path} {mistake.message}" for mistake in schema.mistakes(written))
    assert told in offline


@pytest.mark.parametrize(
    "written",
    [
        manifest("least", at({"name": "public"})),
        manifest("most", at(PARENT, {"name": "public"}, hostnames=["*.a.example"], grpcHostnames=["g.a.example"])),
        manifest("near-and-far", at({"name": "public", "namespace": "far"}, {"name": "public"})),
        manifest("tested", at(), rollout={"match": [{"header": {"name": "x-a", "value": "b"}}], "mirror": {}}),
        manifest("previewed", at(), rollout={"strategy": "BlueGreen", "preview": {"pause": True}}),
    ],
    ids=lambda written: written["metadata"]["name"],
)
def test_what_a_gateway_can_do_is_taken(kube: Kube, written: dict[str, Any]) -> None:
    answer = try_apply(kube, written)
    assert answer.accepted, answer.text
    assert schema.mistakes(written) == []


def test_the_backend_changes_only_while_nothing_is_rolled_out(kube: Kube) -> None:
    apply(kube, manifest("changing", None, "Envoy"))
    rollout = {"rollout": {"phase": "Stepping", "startedAt": "2026-01-01T00:00:00.000000Z"}}
    report(kube, {"status": rollout})
    answer = try_apply(kube, manifest("changing", at()))
    assert not answer.accepted
    assert "only while no rollout is under way" in answer.text
    report(kube, {"status": {"rollout": None}})
    answer = try_apply(kube, manifest("changing", at()))
    assert answer.accepted, answer.text
