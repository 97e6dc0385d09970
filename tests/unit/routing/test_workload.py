"""What the objects around the router must never do."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.api.endpoint import Endpoint
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.rollout import Rollout
from sluice_operator.api.router import Router
from sluice_operator.api.runtime import Resources
from sluice_operator.routing import envoy, envoy_workload
from sluice_operator.routing.base import Traffic


def _deployment(owner: ModelDeployment, traffic: Traffic | None = None) -> dict[str, Any]:
    found = envoy.manifests(owner, traffic or Traffic(owner.namespace, owner.name), "envoy:test")
    return dict(next(manifest for manifest in found if manifest["kind"] == "Deployment"))


def _limited(owner: ModelDeployment, **limits: str) -> ModelDeployment:
    router = Router(resources=Resources(limits=limits))
    return replace(owner, spec=owner.spec.model_copy(update={"router": router}))


def test_moving_traffic_restarts_no_router(owner: ModelDeployment) -> None:
    revision = "0123456789"
    moved = Traffic(owner.namespace, owner.name, {revision: 100}, (revision,))
    assert _deployment(owner) == _deployment(owner, moved)


def test_replicas_go_through_scale_and_never_through_apply(owner: ModelDeployment) -> None:
    assert "replicas" not in _deployment(owner)["spec"]
    assert envoy.scales(owner) == {"store-revenue-router": 2}


@pytest.mark.parametrize(
    ("limits", "workers"), [({}, "1"), ({"cpu": "500m"}, "1"), ({"cpu": "1500m"}, "2"), ({"cpu": "4"}, "4")]
)
def test_workers_follow_the_cpu_limit(owner: ModelDeployment, limits: dict[str, str], workers: str) -> None:
    container = _deployment(_limited(owner, **limits))["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][container["args"].index("--concurrency") + 1] == workers


def test_the_services_the_budget_and_the_deployment_select_the_same_pods(owner: ModelDeployment) -> None:
    labels = _deployment(owner)["spec"]["template"]["metadata"]["labels"]
    rollout = Rollout.model_validate({"strategy": "BlueGreen", "preview": {"service": True}})
    previewing = replace(owner, spec=owner.spec.model_copy(update={"rollout": rollout}))
    endpoint, preview = envoy_workload.services(previewing)
    assert envoy_workload.services(owner) == (endpoint,)
    assert [found["metadata"]["name"] for found in (endpoint, preview)] == ["store-revenue", "store-revenue-preview"]
    assert endpoint["spec"]["selector"] == preview["spec"]["selector"] == labels
    assert envoy_workload.disruption_budget(owner)["spec"]["selector"]["matchLabels"] == labels


def _with_tls(owner: ModelDeployment, http: str) -> ModelDeployment:
    endpoint = Endpoint.model_validate({"http": http, "tls": {"secretRef": {"name": "shop-tls"}}})
    return replace(owner, spec=owner.spec.model_copy(update={"endpoint": endpoint}))


@pytest.mark.parametrize(("http", "ports"), [("Enabled", [80, 443]), ("Disabled", [443])])
def test_tls_adds_a_port_and_the_secret_and_http_may_go(owner: ModelDeployment, http: str, ports: list[int]) -> None:
    secured = _with_tls(owner, http)
    assert [port["port"] for port in envoy_workload.services(secured)[0]["spec"]["ports"]] == ports
    pod = _deployment(secured)["spec"]["template"]["spec"]
    assert pod["volumes"][1] == {"name": "tls", "secret": {"secretName": "shop-tls", "optional": True}}
    assert {"name": "tls", "mountPath": "/etc/envoy/tls", "readOnly": True} in pod["containers"][0]["volumeMounts"]


def test_a_router_may_drain_for_less_time_than_it_is_granted(owner: ModelDeployment) -> None:
    longest = envoy_workload.PROPAGATION_SECONDS + envoy_workload.DRAIN_SECONDS
    assert _deployment(owner)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > longest
