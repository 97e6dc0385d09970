"""What the chart renders, and what it refuses to render."""

import pytest
import yaml

from chart import render
from chart.render import ChartError
from chart.rendered import ASKED, Object, container_of, environment_of, only, operator_rules, render_objects, select
from sluice_operator import settings
from sluice_operator.api import crd


def test_the_chart_passes_helms_own_strict_lint() -> None:
    assert "0 chart(s) failed" in render.helm("lint", "--strict", str(render.CHART))


def test_the_defaults_render_operator_and_authorizer_and_nothing_unasked(defaults: list[Object]) -> None:
    assert sorted((one["kind"], one["metadata"]["name"]) for one in defaults) == [
        ("ClusterRole", "sluice"),
        ("ClusterRole", "sluice-authorizer"),
        ("ClusterRole", "sluice-edit"),
        ("ClusterRole", "sluice-inference"),
        ("ClusterRole", "sluice-view"),
        ("ClusterRoleBinding", "sluice"),
        ("ClusterRoleBinding", "sluice-authorizer"),
        ("CustomResourceDefinition", "modeldeployments.sluice.dev"),
        ("Deployment", "sluice"),
        ("Deployment", "sluice-authorizer"),
        ("PodDisruptionBudget", "sluice"),
        ("PodDisruptionBudget", "sluice-authorizer"),
        ("Role", "sluice-lease"),
        ("RoleBinding", "sluice-lease"),
        ("Service", "sluice-authorizer"),
        ("Service", "sluice-metrics"),
        ("ServiceAccount", "sluice"),
        ("ServiceAccount", "sluice-authorizer"),
    ]


def test_the_definition_in_the_chart_is_the_one_of_the_types(defaults: list[Object]) -> None:
    assert only(defaults, "CustomResourceDefinition") == crd.definition()


def test_the_definition_is_upgraded_with_the_chart_and_kept_on_uninstall(defaults: list[Object]) -> None:
    assert not (render.CHART / "crds").exists(), "Helm never upgrades what is in crds/"
    annotations = only(defaults, "CustomResourceDefinition")["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep"


def test_the_definition_can_be_left_out() -> None:
    assert select(render_objects("--set=crds.install=false"), "CustomResourceDefinition") == []


def test_generated_files_are_fresh() -> None:
    assert crd.stale() == []
    assert not render.stale(), "manifests/install.yaml: run `make generate`"


def test_the_operator_understands_the_environment_it_is_given(defaults: list[Object]) -> None:
    understood = settings.parse([], environment_of(defaults))
    assert understood.runtime_image == "sluice/runtime:0.1.0"
    assert understood.runtime_gpu_image == "sluice/runtime-gpu:0.1.0"
    assert understood.tools_image == "sluice/tools:0.1.0"
    assert understood.router_image == "envoyproxy/envoy:v1.40.0"
    assert understood.namespaces == ()
    assert understood.log_level == "info"
    assert understood.log_format == "json"
    assert understood.metrics_port == container_of(defaults)["ports"][0]["containerPort"]


def test_every_variable_of_ours_is_a_setting(defaults: list[Object]) -> None:
    known = {f"{settings.ENV_PREFIX}{name.upper()}" for name in settings.Settings.__dataclass_fields__}
    assert set(environment_of(defaults)) <= known


def test_values_reach_the_operators_settings() -> None:
    options = ("--set=watchNamespaces={pricing,stock}", "--set=log.level=debug", "--set=log.format=text")
    understood = settings.parse([], environment_of(render_objects(*options)))
    assert understood.namespaces == ("pricing", "stock")
    assert (understood.log_level, understood.log_format) == ("debug", "text")


def test_a_service_monitor_is_made_on_request_only(defaults: list[Object]) -> None:
    assert select(defaults, "ServiceMonitor") == []
    options = ("--set=metrics.serviceMonitor.enabled=true", "--set=metrics.serviceMonitor.labels.release=prometheus")
    objects = render_objects(*options)
    for name, scraped in (("sluice", "sluice-metrics"), (ASKED, ASKED)):
        monitor, service = only(objects, "ServiceMonitor", name), only(defaults, "Service", scraped)
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]


def test_nothing_is_put_into_a_namespace_of_the_charts_own_choice() -> None:
    objects = [found for found in yaml.safe_load_all(render.template(namespace="elsewhere")) if found]
    assert {one["metadata"].get("namespace", "elsewhere") for one in objects} == {"elsewhere"}
    assert {subject["namespace"] for one in objects for subject in one.get("subjects", ())} == {"elsewhere"}


def test_two_releases_share_no_name() -> None:
    (first, second) = (
        {(one["kind"], one["metadata"]["name"]) for one in render_objects(f"--set=fullnameOverride={name}")}
        for name in ("one", "two")
    )
    assert first & second == {("CustomResourceDefinition", crd.CRD_NAME)}


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--set=image.tag=1", "'image'"),
        ("--set=images.operatr.tag=a", "'operatr'"),
        ("--set=images.operator.tags=a", "'tags'"),
        ("--set=images.operator.repository=", "repository"),
        ("--set=images.operator.digest=sha256:12", "digest"),
        ("--set=images.pullPolicy=Sometimes", "pullPolicy"),
        ("--set=images.pullSecrets={a}", "pullSecrets"),
        ("--set=watchNamespaces=a", "watchNamespaces"),
        ("--set=watchNamespaces={A_b}", "watchNamespaces"),
        ("--set=log.level=loud", "log"),
        ("--set=tracing.endpoint=http://collector:4318", "tracing"),
        ("--set=tracing.samplingPercent=101", "tracing"),
        ("--set-string=crds.install=yes", "crds"),
        ("--set=resources.request.cpu=1", "'request'"),
        ("--set=metrics.serviceMonitor.interval=often", "interval"),
        ("--set=replicas=-1", "replicas"),
        ("--set=authorizer.replicas=0", "authorizer"),
        ("--set=policy.allowedStores={models}", "allowedStores"),
        ("--set-string=policy.requireDigest=yes", "requireDigest"),
        ("--set=networkPolicies.alsoFrom={a}", "alsoFrom"),
        ("--set=authorizer.image=a", "'image'"),
        (
            "--set=rbac.scope=Namespaced,crds.install=false,watchNamespaces={a}",
            "authorizer.enabled",
        ),
        ("--set-string=replicas=two", "replicas"),
        ("--set=rbac.scope=Everything", "scope"),
        ("--set=rbac.scope=Namespaced,crds.install=false,authorizer.enabled=false", "watchNamespaces"),
        ("--set=rbac.scope=Namespaced,watchNamespaces={a},authorizer.enabled=false", "crds.install"),
    ],
)
def test_bad_values_are_refused_by_name(option: str, told: str) -> None:
    with pytest.raises(ChartError, match=told):
        render.template(option)


def test_the_operator_reads_secrets_and_knows_a_prometheus_where_it_is_told_to() -> None:
    objects = render_objects("--set=analysis.readSecrets=true,analysis.prometheusUrl=http://prometheus:9090")
    verbs = [rule["verbs"] for rule in operator_rules(objects) if "secrets" in rule["resources"]]
    assert verbs == [["get"]], "never a list of them"
    assert settings.parse([], environment_of(objects)).prometheus_url == "http://prometheus:9090"


def test_routers_are_traced_where_a_collector_is_named(defaults: list[Object]) -> None:
    assert settings.parse([], environment_of(defaults)).tracing_endpoint is None
    objects = render_objects("--set=tracing.endpoint=collector.observability:4318,tracing.samplingPercent=0.5")
    chosen = settings.parse([], environment_of(objects))
    assert (chosen.tracing_endpoint, chosen.tracing_sampling_percent) == (("collector.observability", 4318), 0.5)


def test_what_a_cluster_demands_of_new_versions_reaches_the_operator(defaults: list[Object]) -> None:
    chosen = settings.parse([], environment_of(defaults))
    assert (chosen.require_digest, chosen.require_signature, chosen.allowed_stores) == (False, False, ())
    demands = "policy.requireDigest=true,policy.requireSignature=true,policy.publicKeySecret=release"
    objects = render_objects(f"--set={demands}", "--set=policy.allowedStores={s3://models/,oci://r.example}")
    chosen = settings.parse([], environment_of(objects))
    assert (chosen.require_digest, chosen.require_signature, chosen.public_key) == (True, True, "release")
    assert chosen.allowed_stores == ("oci://r.example", "s3://models/")


def test_what_to_do_next_is_told_with_the_releases_own_names() -> None:
    notes = render.helm("install", "sluice", str(render.CHART), "--dry-run=client", "--namespace=models")
    assert "kubectl --namespace models rollout status deployment/sluice" in notes


def test_every_value_is_documented() -> None:
    lines = (render.CHART / "values.yaml").read_text().splitlines()
    keys = {index: line for index, line in enumerate(lines) if ":" in line and not line.lstrip().startswith("#")}
    # Parts of an image are told at the first one, and quantities speak for themselves.
    spoken = {"registry", "repository", "tag", "digest", "requests", "limits", "cpu", "memory"}
    groups = {
        "analysis",
        "authorizer",
        "images",
        "crds",
        "log",
        "tracing",
        "policy",
        "rbac",
        "serviceAccount",
        "metrics",
        "networkPolicies",
        "service",
        "serviceMonitor",
    }
    silent = [
        line.strip()
        for index, line in keys.items()
        if not lines[index - 1].lstrip().startswith("#") and line.split(":")[0].strip() not in spoken | groups
    ]
    assert silent == []
