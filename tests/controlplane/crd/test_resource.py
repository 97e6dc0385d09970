"""What the definition does for people and machines beyond refusing: defaults, explain, scale, columns, status."""

import json
import re

import pytest
import yaml

from sluice_operator.api.crd import REPOSITORY
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.spec import ModelDeploymentSpec

SAMPLES = sorted((REPOSITORY / "manifests" / "samples").glob("*.yaml"))
URI = "https://models.example/store-revenue-1.tar.gz"


def minimal(name, **spec):
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"uri": URI}, **spec},
    }


def scale_of(kubectl, name):
    path = f"/apis/sluice.dev/v1alpha1/namespaces/{kubectl.namespace}/modeldeployments/{name}/scale"
    return json.loads(kubectl.must("get", f"--raw={path}"))


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_every_sample_is_accepted_under_strict_validation(kubectl, sample):
    answer = kubectl.try_apply(sample.read_text())
    assert answer.accepted, answer.text


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_every_sample_shows_a_model_deployment_and_explains_itself(sample):
    text = sample.read_text()
    assert "ModelDeployment" in [document["kind"] for document in yaml.safe_load_all(text)]
    assert text.startswith("# ")


def test_the_server_and_the_operator_fill_in_the_same_defaults(kubectl):
    kubectl.apply(minimal("defaults"))
    stored = kubectl.get("mdep", "defaults")["spec"]
    assert stored == ModelDeploymentSpec.model_validate({"model": {"uri": URI}}).to_json() | {
        "runtime": {key: value for key, value in stored["runtime"].items() if key != "podTemplate"},
        "rollout": {key: value for key, value in stored["rollout"].items() if key != "steps"},
    }
    assert ModelDeploymentSpec.model_validate(stored) == ModelDeploymentSpec.model_validate({"model": {"uri": URI}})


def test_a_number_as_a_quantity_reaches_the_operator_as_text(kubectl):
    kubectl.apply(minimal("numbers", runtime={"resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}}}))
    parsed = ModelDeployment.parse(kubectl.get("mdep", "numbers"))
    assert parsed.spec.runtime.resources.requests == {"cpu": "1"}


def test_fields_of_the_pod_template_that_the_definition_does_not_know_are_kept(kubectl):
    template = {"spec": {"tolerations": [{"key": "gpu", "operator": "Exists"}], "anything": {"new": [1, 2]}}}
    kubectl.apply(minimal("template", runtime={"podTemplate": template}))
    assert kubectl.get("mdep", "template")["spec"]["runtime"]["podTemplate"] == template


def test_applying_the_same_manifest_twice_changes_nothing(kubectl):
    kubectl.apply(minimal("twice"))
    before = kubectl.get("mdep", "twice")["metadata"]["resourceVersion"]
    kubectl.apply(minimal("twice"))
    assert kubectl.get("mdep", "twice")["metadata"]["resourceVersion"] == before


def test_scale_sets_the_fixed_number_of_pods(kubectl):
    kubectl.apply(minimal("scaled"))
    kubectl.must("scale", "mdep/scaled", "--replicas=3")
    assert kubectl.get("mdep", "scaled")["spec"]["scaling"]["replicas"] == 3
    assert scale_of(kubectl, "scaled")["spec"]["replicas"] == 3


def test_scale_is_refused_where_an_autoscaler_owns_the_number(kubectl):
    kubectl.apply(minimal("autoscaled", scaling={"maxReplicas": 4}))
    answer = kubectl.ask("scale", "mdep/autoscaled", "--replicas=3")
    assert not answer.accepted
    assert "set one of them" in answer.text


def test_scale_shows_replicas_and_selector_of_the_status(kubectl):
    kubectl.apply(minimal("selected", scaling={"replicas": 2}))
    status = {"status": {"replicas": 2, "selector": "sluice.dev/deployment=selected"}}
    kubectl.must("patch", "mdep/selected", "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
    assert scale_of(kubectl, "selected")["status"] == {"replicas": 2, "selector": "sluice.dev/deployment=selected"}


def test_a_status_is_not_changed_through_the_resource_itself(kubectl):
    kubectl.apply(minimal("guarded"))
    kubectl.must("patch", "mdep/guarded", "--type=merge", '--patch={"status":{"reason":"Forged"}}')
    assert "status" not in kubectl.get("mdep", "guarded")


def test_the_table_shows_what_a_person_looks_for(kubectl):
    kubectl.apply(minimal("table"))
    status = {
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        ],
        "stable": {"revision": "1111111111"},
        "canary": {"revision": "2222222222"},
        "rollout": {"verifiedWeight": 25},
        "step": "2/3",
        "replicas": 4,
        "reason": "RolloutStepping",
    }
    kubectl.must(
        "patch", "mdep/table", "--subresource=status", "--type=merge", f"--patch={json.dumps({'status': status})}"
    )
    header, row = kubectl.must("get", "mdep", "table").splitlines()
    columns = dict(zip(header.split(), row.split(), strict=True))
    assert columns.pop("AGE")
    assert columns == {
        "NAME": "table",
        "READY": "True",
        "STABLE": "1111111111",
        "CANARY": "2222222222",
        "WEIGHT": "25",
        "STEP": "2/3",
        "REPLICAS": "4",
        "REASON": "RolloutStepping",
    }


def test_the_category_lists_model_deployments(kubectl):
    kubectl.apply(minimal("category"))
    assert "category" in kubectl.must("get", "sluice")


def test_explain_teaches_how_a_rollout_goes(kubectl):
    text = " ".join(kubectl.must("explain", "mdep.spec.rollout").split())
    assert "walks through `steps`" in text
    assert "all traffic returns to the stable version" in text


def test_explain_lists_every_field_of_the_rollout(kubectl):
    text = kubectl.must("explain", "mdep.spec.rollout", "--recursive")
    fields = set(re.findall(r"^\s+(\w+)\t<", text, re.MULTILINE))
    assert {"steps", "weight", "hold", "analysis", "checks", "metric", "maxTimesStable", "readyDeadline"} <= fields
