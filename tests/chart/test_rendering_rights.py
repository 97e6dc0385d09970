"""Who may do what: the roles, and the network policies, that the chart renders."""

import json
from collections.abc import Sequence

import pytest

from chart.rendered import ASKED, Object, only, operator_rules, pod_of, render_objects, select
from sluice_operator.api import names
from sluice_operator.cluster.kinds import APPLIED, ENDPOINT_SLICE, MODEL_DEPLOYMENT, WATCHED, Kind


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


def verbs_on(objects: Sequence[Object], kind: Kind) -> set[str]:
    rules = operator_rules(objects)
    granted = (rule for rule in rules if kind.group in rule["apiGroups"] and kind.plural in rule["resources"])
    return {verb for rule in granted for verb in rule["verbs"]}


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
