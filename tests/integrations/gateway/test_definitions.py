"""Gateway API comes to a cluster in which the operator runs already, and goes again."""

from pathlib import Path
from typing import Any

import pytest

from controlplane.engine.process import control_plane, install, operator, until
from integrations.gateway import envoy_gateway
from support.deployments import KIND, model_deployment
from support.kube import Kube, condition, is_true

NAME = "store-revenue"
ROUTER: dict[str, Any] = {"backend": "GatewayAPI", "gateway": {"parentRefs": [{"name": "public"}]}}
DIGEST = "sha256:" + "a" * 64

pytestmark = pytest.mark.timeout(600)


def test_a_model_waits_for_the_routes_and_says_so_when_they_are_gone(tmp_path: Path) -> None:
    definitions = str(envoy_gateway.definitions())
    with control_plane(tmp_path) as plane:
        plane.start()
        kube = install(plane)
        # Given a model for a gateway in a cluster that knows none
        kube.apply(model_deployment(NAME, "http://store.example/1.tar.gz", DIGEST, router=ROUTER))
        with operator(plane.server.kubeconfig, tmp_path / "operator.log"):
            kube.until(KIND, NAME, missing)
            # When Gateway API is installed
            kube.run("apply", "--server-side", "-f", definitions)
            # Then the operator finds it by itself, and writes the route
            kube.until(KIND, NAME, lambda found: not is_true(found, "Stalled"))
            until(lambda: routes(kube) == [NAME], "the route is written")
            # And a route that somebody changes is put right, so it is watched
            patch = '{"spec": {"parentRefs": [{"name": "another"}]}}'
            kube.run("patch", "httproute", NAME, "--type=merge", f"--patch={patch}")
            until(lambda: parents(kube) == ["public"], "the route is as it should be")
            # When it goes, the operator runs on and says what is missing
            kube.run("delete", "-f", definitions, timeout=150)
            kube.until(KIND, NAME, missing)


def missing(found: dict[str, Any]) -> bool:
    return is_true(found, "Stalled") and condition(found, "Stalled")["reason"] == "GatewayAPIMissing"


def routes(kube: Kube) -> list[str]:
    return [route["metadata"]["name"] for route in kube.select("httproutes")]


def parents(kube: Kube) -> list[str]:
    return [parent["name"] for parent in kube.get("httproute", NAME)["spec"]["parentRefs"]]
