"""Images, settings and neighbours of the pods that the chart renders."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from chart import render
from chart.rendered import ASKED, Object, container_of, environment_of, only, pod_of, render_objects, select
from sluice_operator import settings

DIGEST = "sha256:" + "0" * 64


def test_probes_ask_the_operators_own_judgement(defaults: list[Object]) -> None:
    container = container_of(defaults)
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_two_operators_share_a_lease_that_they_may_take(defaults: list[Object]) -> None:
    assert only(defaults, "Deployment", "sluice")["spec"]["replicas"] == 2
    assert settings.parse([], environment_of(defaults)).lease == ("sluice-system", "sluice")
    role = only(defaults, "Role", "sluice-lease")
    assert role["metadata"]["namespace"] == "sluice-system"
    named = {verb: rule.get("resourceNames") for rule in role["rules"] for verb in rule["verbs"]}
    assert named == {"create": None, "get": ["sluice"], "update": ["sluice"]}


def test_operators_are_apart_and_a_drain_takes_one_at_a_time(defaults: list[Object]) -> None:
    labels = pod_of(defaults)["metadata"]["labels"].items()
    budget = only(defaults, "PodDisruptionBudget", "sluice")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= labels
    (term,) = pod_of(defaults)["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= labels
    assert select(render_objects("--set=replicas=1"), "PodDisruptionBudget", "sluice") == []


def test_the_service_and_the_deployment_select_the_operators_pod(defaults: list[Object]) -> None:
    labels = pod_of(defaults)["metadata"]["labels"].items()
    assert only(defaults, "Service", "sluice-metrics")["spec"]["selector"].items() <= labels
    assert only(defaults, "Deployment", "sluice")["spec"]["selector"]["matchLabels"].items() <= labels


@pytest.mark.parametrize(
    ("options", "image"),
    [
        ((), "sluice/operator:0.1.0"),
        (("--set=images.registry=mirror.example:5000/team",), "mirror.example:5000/team/sluice/operator:0.1.0"),
        (("--set=images.registry=mirror.example/",), "mirror.example/sluice/operator:0.1.0"),
        (("--set=images.registry=a.example,images.operator.registry=b.example",), "b.example/sluice/operator:0.1.0"),
        (("--set-string=images.operator.tag=123",), "sluice/operator:123"),
        ((f"--set=images.operator.tag=1,images.operator.digest={DIGEST}",), f"sluice/operator@{DIGEST}"),
    ],
)
def test_images_are_named_by_registry_repository_tag_and_digest(options: tuple[str, ...], image: str) -> None:
    assert container_of(render_objects("--set-string=images.operator.tag=", *options))["image"] == image


def test_one_value_takes_every_image_from_a_mirror() -> None:
    everything = (
        "authorizer.enabled",
        "networkPolicies.enabled",
        "dashboard.service",
        "metrics.serviceMonitor.enabled",
        "analysis.readSecrets",
    )
    objects = render_objects("--set=images.registry=mirror.example", *(f"--set={value}=true" for value in everything))
    named = yaml.safe_load((render.CHART / "values.yaml").read_text())["images"].values()
    repositories = [image["repository"] for image in named if isinstance(image, dict)]
    told = [text for text in texts(objects) if any(repository in text for repository in repositories)]
    assert {repository for repository in repositories for text in told if f"/{repository}:" in text} == {*repositories}
    # Wherever an image stands, in a pod or in what the operator is told, it is one of these, and of the mirror.
    images = [container_of(objects, one["metadata"]["name"])["image"] for one in select(objects, "Deployment")]
    environment = environment_of(objects)
    images += [value for name, value in environment.items() if name.endswith("_IMAGE")]
    assert sorted(images) == sorted(told)
    assert all(image.startswith("mirror.example/") for image in told)


def texts(value: Any) -> Iterator[str]:
    """Every text in a document, but for those of the definition, which describes images."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        if value.get("kind") != "CustomResourceDefinition":
            yield from (text for part in value.values() for text in texts(part))
    elif isinstance(value, list):
        yield from (text for part in value for text in texts(part))


def test_pull_secrets_reach_whatever_pulls() -> None:
    objects = render_objects('--set-json=images.pullSecrets=[{"name":"mirror"},{"name":"other"}]')
    for one in select(objects, "Deployment"):
        assert one["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "mirror"}, {"name": "other"}]
    assert settings.parse([], environment_of(objects)).pull_secrets == ("mirror", "other")


def test_pod_settings_reach_the_pod() -> None:
    spec = pod_of(
        render_objects(
            "--set=nodeSelector.pool=system,priorityClassName=high,images.pullSecrets[0].name=registry",
            '--set-json=tolerations=[{"key":"system","operator":"Exists"}]',
            '--set-json=affinity={"nodeAffinity":{}}',
        )
    )["spec"]
    assert spec["nodeSelector"] == {"pool": "system"}
    assert spec["priorityClassName"] == "high"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["tolerations"] == [{"key": "system", "operator": "Exists"}]
    assert spec["affinity"] == {"nodeAffinity": {}}


def test_labels_and_annotations_of_the_pod_are_added_to_ours() -> None:
    metadata = pod_of(render_objects("--set=podLabels.team=ml,podAnnotations.note=hello"))["metadata"]
    assert metadata["labels"]["team"] == "ml"
    assert metadata["labels"]["app.kubernetes.io/name"] == "sluice"
    assert metadata["annotations"]["note"] == "hello"


def test_the_authorizer_is_asked_where_the_operator_says(defaults: list[Object]) -> None:
    host, port = settings.parse([], environment_of(defaults)).authorizer or ("", 0)
    service = only(defaults, "Service", ASKED)
    assert host == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    (listening,) = container_of(defaults, ASKED)["ports"]
    assert [(one["port"], one["targetPort"]) for one in service["spec"]["ports"]] == [(port, listening["name"])]
    assert listening["containerPort"] == port
    assert "SLUICE_AUTHORIZER" not in environment_of(render_objects("--set=authorizer.enabled=false"))


def test_the_authorizer_runs_from_the_runtimes_image_and_is_no_operator(defaults: list[Object]) -> None:
    pod, container = pod_of(defaults, ASKED), container_of(defaults, ASKED)
    assert container["image"] == environment_of(defaults)["SLUICE_RUNTIME_IMAGE"]
    assert container["command"] == ["python", "-m", "sluice_authorizer"]
    labels = pod["metadata"]["labels"].items()
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        selector = only(defaults, kind, ASKED)["spec"]["selector"]
        assert selector.get("matchLabels", selector).items() <= labels
    assert not only(defaults, "Service", "sluice-metrics")["spec"]["selector"].items() <= labels
    assert not only(defaults, "Deployment", "sluice")["spec"]["selector"]["matchLabels"].items() <= labels
    assert select(render_objects("--set=authorizer.replicas=1"), "PodDisruptionBudget") == [
        only(defaults, "PodDisruptionBudget", "sluice")
    ]


def test_the_dashboard_is_the_pods_own_unless_a_service_is_asked_for(defaults: list[Object]) -> None:
    assert environment_of(defaults)["SLUICE_DASHBOARD"] == "127.0.0.1:8081"
    shared = render_objects("--set", "dashboard.service=true")
    assert environment_of(shared)["SLUICE_DASHBOARD"] == "0.0.0.0:8081"
    ports = only(shared, "Service", "sluice-dashboard")["spec"]["ports"]
    assert ports == [{"name": "http", "port": 80, "targetPort": "dashboard"}]
    assert {"name": "dashboard", "containerPort": 8081} in container_of(shared)["ports"]
    assert "SLUICE_DASHBOARD" not in environment_of(render_objects("--set", "dashboard.enabled=false"))
