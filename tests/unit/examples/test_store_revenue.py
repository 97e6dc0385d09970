"""The files of the example go together, and are what the product reads."""

from __future__ import annotations

import re

import pytest
import yaml

from demo_store.files import EXAMPLE
from demo_store.offline import FEATURES
from demo_store.stage import APP, MANAGER, NAME, NAMESPACE
from demo_store.training import example
from sluice.cli import main
from sluice_features.definitions import read_definitions


def test_the_deployment_is_one_that_the_api_server_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(EXAMPLE / "modeldeployment.yaml")]) == 0, capsys.readouterr().out


def test_the_model_asks_for_features_that_are_defined() -> None:
    definitions, model = read_definitions(EXAMPLE / "features.yaml"), example().StoreRevenue()
    asked = model.features()
    chosen = [feature for _, feature in definitions.chosen(definitions.service(asked.service))]
    assert [feature.name for feature in asked.features] == [feature.name for feature in chosen] == list(FEATURES)
    assert [entity.name for entity in asked.entities] == [entity.name for entity in definitions.entities]


def test_defaults_are_values_that_the_definitions_allow() -> None:
    allowed = {
        feature.name: feature for view in read_definitions(EXAMPLE / "features.yaml").views for feature in view.features
    }
    for feature in example().StoreRevenue().features().features:
        rule = allowed[feature.name]
        assert (rule.minimum or 0) <= feature.default <= (rule.maximum or float("inf"))


def test_the_permissions_are_for_this_model_and_the_accounts_of_its_rule() -> None:
    objects = {one["kind"]: one for one in yaml.safe_load_all((EXAMPLE / "permissions.yaml").read_text())}
    deployment = yaml.safe_load((EXAMPLE / "modeldeployment.yaml").read_text())
    assert deployment["metadata"] == {"name": NAME, "namespace": NAMESPACE}
    assert objects["Role"]["rules"][0]["resourceNames"] == [NAME]
    granted = {(one["name"], one["namespace"]) for one in objects["RoleBinding"]["subjects"]}
    assert granted == {(APP, NAMESPACE), (MANAGER, NAMESPACE)}
    assert f"system:serviceaccount:{NAMESPACE}:{APP}" in deployment["spec"]["access"]["data"]["rule"]


def test_all_of_it_is_in_one_namespace_with_what_the_readme_makes_there() -> None:
    objects = [*yaml.safe_load_all((EXAMPLE / "permissions.yaml").read_text())]
    deployment = yaml.safe_load((EXAMPLE / "modeldeployment.yaml").read_text())
    assert {one["metadata"].get("namespace") for one in (*objects, deployment)} == {NAMESPACE}
    filling = deployment["spec"]["features"]["materialization"]
    definitions, secret = filling["definitions"]["configMapRef"], filling["credentials"]["secretRef"]
    readme, (variable,) = (EXAMPLE / "README.md").read_text(), read_needed()
    there = f"--namespace {NAMESPACE} --from"
    assert f"kubectl create configmap {definitions['name']} {there}-file={definitions['key']} " in readme
    assert f'kubectl create secret generic {secret["name"]} {there}-literal={variable}="${variable}" ' in readme


def read_needed() -> set[str]:
    """The variables of the environment that the definitions name."""
    return set(re.findall(r"\$\{(\w+)\}", (EXAMPLE / "features.yaml").read_text()))
