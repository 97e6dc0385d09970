"""What the chart renders, and what it refuses to render."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml

from chart import render
from chart.render import ChartError
from sluice_operator import settings
from sluice_operator.api import crd, names
from sluice_operator.cluster.kinds import APPLIED, ENDPOINT_SLICE, MODEL_DEPLOYMENT, WATCHED, Kind

Object = dict[str, Any]
DIGEST = "sha256:" + "0" * 64
ASKED = "sluice-authorizer"


def render_objects(*options: str) -> list[Object]:
    return [found for found in yaml.safe_load_all(render.template(*options)) if found]


def select(objects: Sequence[Object], kind: str, name: str | None = None) -> list[Object]:
    return [one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])]


def only(objects: Sequence[Object], kind: str, name: str | None = None) -> Object:
    (found,) = select(objects, kind, name)
    return found


def pod_of(objects: Sequence[Object], name: str = "sluice") -> Object:
    template: Object = only(objects, "Deployment", name)["spec"]["template"]
    return template


def container_of(objects: Sequence[Object], name: str = "sluice") -> Object:
    (container,) = pod_of(objects, name)["spec"]["containers"]
    return dict(container)


def environment_of(objects: Sequence[Object]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container_of(objects)["env"]}


@pytest.fixture(scope="module")
def defaults() -> list[Object]:
    return render_objects()


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


def test_the_authorizer_may_ask_two_questions_and_read_public_keys(defaults: list[Object]) -> None:
    rules = only(defaults, "ClusterRole", ASKED)["rules"]
    assert [(rule.get("resources") or rule["nonResourceURLs"], rule["verbs"]) for rule in rules] == [
        (["tokenreviews"], ["create"]),
        (["subjectaccessreviews"], ["create"]),
        (["/.well-known/openid-configuration", "/openid/v1/jwks"], ["get"]),
    ]
    account = pod_of(defaults, ASKED)["spec"]["serviceAccountName"]
    holders = [one for kind in ("RoleBinding", "ClusterRoleBinding") for one in select(defaults, kind)]
    bound = [one["roleRef"]["name"] for one in holders if one["subjects"][0]["name"] == account]
    assert bound == ["sluice-authorizer"]


def test_who_may_change_a_model_may_ask_it_and_callers_can_be_given_that_alone(defaults: list[Object]) -> None:
    asking = {"apiGroups": ["sluice.dev"], "resources": ["modeldeployments/inference"], "verbs": ["create"]}
    assert asking in only(defaults, "ClusterRole", "sluice-edit")["rules"]
    assert asking not in only(defaults, "ClusterRole", "sluice-view")["rules"]
    callers = only(defaults, "ClusterRole", "sluice-inference")
    assert callers["rules"] == [asking]
    assert not any("aggregate" in label for label in callers["metadata"]["labels"])


def test_no_network_policy_is_made_unasked(defaults: list[Object]) -> None:
    assert select(defaults, "NetworkPolicy") == []


def test_policies_let_routers_and_operators_reach_what_they_ask() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    options = "--set=networkPolicies.enabled=true,watchNamespaces={pricing,stock}"
    objects = render_objects(options, f"--set-json=networkPolicies.alsoFrom={json.dumps([peer])}")
    router, model = names.labels("m", "router").items(), names.labels("m", "model", "abc").items()
    operators, authorizers = (pod_of(objects, name)["metadata"]["labels"].items() for name in ("sluice", ASKED))
    asked = only(objects, "NetworkPolicy", ASKED)["spec"]
    assert asked["podSelector"]["matchLabels"].items() <= authorizers
    (routers, others) = asked["ingress"][0]["from"]
    assert routers["podSelector"]["matchLabels"].items() <= router
    assert others == peer
    models = select(objects, "NetworkPolicy", "sluice-models")
    assert [one["metadata"]["namespace"] for one in models] == ["pricing", "stock"]
    for one in models:
        assert one["spec"]["podSelector"]["matchLabels"].items() <= model
        (routers, operator, others) = one["spec"]["ingress"][0]["from"]
        assert routers["podSelector"]["matchLabels"].items() <= router
        assert operator["podSelector"]["matchLabels"].items() <= operators
        assert others == peer


def operator_rules(objects: Sequence[Object]) -> list[Object]:
    rules: list[Object] = only(objects, "ClusterRole", "sluice")["rules"]
    return rules


def verbs_on(objects: Sequence[Object], kind: Kind) -> set[str]:
    rules = operator_rules(objects)
    granted = (rule for rule in rules if kind.group in rule["apiGroups"] and kind.plural in rule["resources"])
    return {verb for rule in granted for verb in rule["verbs"]}


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


def test_no_role_holds_a_wildcard_or_reads_secrets(defaults: list[Object]) -> None:
    for role in select(defaults, "ClusterRole"):
        for rule in role["rules"]:
            granted = {one for granted in rule.values() for one in granted}
            assert not granted & {"*", "secrets", "serviceaccounts/token", "escalate", "bind", "impersonate"}, rule


@pytest.mark.parametrize("kind", [*WATCHED, ENDPOINT_SLICE], ids=lambda kind: kind.plural)
def test_the_operator_may_watch_what_it_caches(defaults: list[Object], kind: Kind) -> None:
    assert {"get", "list", "watch"} <= verbs_on(defaults, kind)


@pytest.mark.parametrize("kind", APPLIED, ids=lambda kind: kind.plural)
def test_the_operator_may_apply_and_prune_its_children(defaults: list[Object], kind: Kind) -> None:
    assert verbs_on(defaults, kind) == {"get", "list", "watch", "create", "patch", "delete"}


def test_the_operator_never_changes_a_spec(defaults: list[Object]) -> None:
    assert verbs_on(defaults, MODEL_DEPLOYMENT) == {"get", "list", "watch"}


def test_the_operator_has_no_rights_beyond_the_kinds_it_uses(defaults: list[Object]) -> None:
    subresources = {"modeldeployments/status", "modeldeployments/finalizers", "deployments/scale"}
    used = {kind.plural for kind in (*WATCHED, *APPLIED, ENDPOINT_SLICE)} | {"events"} | subresources
    granted = {resource for rule in operator_rules(defaults) for resource in rule["resources"]}
    assert granted == used


def test_with_chosen_namespaces_the_operator_is_bound_there_alone() -> None:
    objects = render_objects("--set=watchNamespaces={pricing,stock}")
    assert select(objects, "ClusterRoleBinding", "sluice") == []
    bindings = select(objects, "RoleBinding", "sluice")
    assert [one["metadata"]["namespace"] for one in bindings] == ["pricing", "stock"]
    assert {one["roleRef"]["name"] for one in bindings} == {"sluice"}


def test_namespace_roles_of_the_cluster_include_models(defaults: list[Object]) -> None:
    labels = only(defaults, "ClusterRole", "sluice-edit")["metadata"]["labels"]
    assert labels["rbac.authorization.k8s.io/aggregate-to-admin"] == "true"
    assert labels["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    reading = only(defaults, "ClusterRole", "sluice-view")
    assert reading["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert {verb for rule in reading["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_roles_can_be_left_to_somebody_else() -> None:
    kinds = {one["kind"] for one in render_objects("--set=rbac.create=false")}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def test_a_namespaced_release_lies_in_namespaces_alone_with_the_same_rights(defaults: list[Object]) -> None:
    options = "rbac.scope=Namespaced,crds.install=false,authorizer.enabled=false,watchNamespaces={pricing,stock}"
    objects = render_objects(f"--set={options}")
    assert {one["kind"] for one in objects if "namespace" not in one["metadata"]} == set()
    roles = select(objects, "Role", "sluice")
    assert [one["metadata"]["namespace"] for one in roles] == ["pricing", "stock"]
    assert all(one["rules"] == operator_rules(defaults) for one in roles)
    bindings = select(objects, "RoleBinding", "sluice")
    assert [(one["metadata"]["namespace"], one["roleRef"]["kind"]) for one in bindings] == [
        ("pricing", "Role"),
        ("stock", "Role"),
    ]


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


def test_the_dashboard_is_the_pods_own_unless_a_service_is_asked_for(defaults: list[Object]) -> None:
    assert environment_of(defaults)["SLUICE_DASHBOARD"] == "127.0.0.1:8081"
    shared = render_objects("--set", "dashboard.service=true")
    assert environment_of(shared)["SLUICE_DASHBOARD"] == "0.0.0.0:8081"
    ports = only(shared, "Service", "sluice-dashboard")["spec"]["ports"]
    assert ports == [{"name": "http", "port": 80, "targetPort": "dashboard"}]
    assert {"name": "dashboard", "containerPort": 8081} in container_of(shared)["ports"]
    assert "SLUICE_DASHBOARD" not in environment_of(render_objects("--set", "dashboard.enabled=false"))
