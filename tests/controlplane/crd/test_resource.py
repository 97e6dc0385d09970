"""What the definition does for people and machines beyond refusing: defaults, explain, scale, columns, status."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.crd.definition import apply, try_apply
from sluice_operator.api.crd import REPOSITORY
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.spec import ModelDeploymentSpec
from support.kube import Kube, KubectlError

SAMPLES = sorted((REPOSITORY / "manifests" / "samples").glob("*.yaml"))
URI = "https://models.example/store-revenue-1.tar.gz"


def minimal(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"uri": URI}, **spec},
    }


def scale_of(kube: Kube, name: str) -> Any:
    path = f"/apis/sluice.dev/v1alpha1/namespaces/{kube.namespace}/modeldeployments/{name}/scale"
    return json.loads(kube.run("get", f"--raw={path}"))


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_every_sample_is_accepted_under_strict_validation(kube: Kube, sample: Path) -> None:
    answer = try_apply(kube, sample.read_text())
    assert answer.accepted, answer.text


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_every_sample_shows_a_model_deployment_and_explains_itself(sample: Path) -> None:
    text = sample.read_text()
    assert "ModelDeployment" in [document["kind"] for document in yaml.safe_load_all(text)]
    assert text.startswith("# ")


def test_the_server_and_the_operator_fill_in_the_same_defaults(kube: Kube) -> None:
    apply(kube, minimal("defaults"))
    stored = kube.get("mdep", "defaults")["spec"]
    assert stored == ModelDeploymentSpec.model_validate({"model": {"uri": URI}}).to_json() | {
        "runtime": {key: value for key, value in stored["runtime"].items() if key != "podTemplate"},
        "rollout": {key: value for key, value in stored["rollout"].items() if key != "steps"},
    }
    assert ModelDeploymentSpec.model_validate(stored) == ModelDeploymentSpec.model_validate({"model": {"uri": URI}})


def test_a_number_as_a_quantity_reaches_the_operator_as_text(kube: Kube) -> None:
    apply(kube, minimal("numbers", runtime={"resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}}}))
    parsed = ModelDeployment.parse(kube.get("mdep", "numbers"))
    assert parsed.spec.runtime.resources.requests == {"cpu": "1"}


def test_fields_of_the_pod_template_that_the_definition_does_not_know_are_kept(kube: Kube) -> None:
    template = {"spec": {"tolerations": [{"key": "gpu", "operator": "Exists"}], "anything": {"new": [1, 2]}}}
    apply(kube, minimal("template", runtime={"podTemplate": template}))
    assert kube.get("mdep", "template")["spec"]["runtime"]["podTemplate"] == template


def test_applying_the_same_manifest_twice_changes_nothing(kube: Kube) -> None:
    apply(kube, minimal("twice"))
    before = kube.get("mdep", "twice")["metadata"]["resourceVersion"]
    apply(kube, minimal("twice"))
    assert kube.get("mdep", "twice")["metadata"]["resourceVersion"] == before


def test_scale_sets_the_fixed_number_of_pods(kube: Kube) -> None:
    apply(kube, minimal("scaled"))
    kube.run("scale", "mdep/scaled", "--replicas=3")
    assert kube.get("mdep", "scaled")["spec"]["scaling"]["replicas"] == 3
    assert scale_of(kube, "scaled")["spec"]["replicas"] == 3


def test_scale_is_refused_where_an_autoscaler_owns_the_number(kube: Kube) -> None:
    apply(kube, minimal("autoscaled", scaling={"maxReplicas": 4}))
    with pytest.raises(KubectlError, match="set one of them"):
        kube.run("scale", "mdep/autoscaled", "--replicas=3")


def test_scale_shows_replicas_and_selector_of_the_status(kube: Kube) -> None:
    apply(kube, minimal("selected", scaling={"replicas": 2}))
    status = {"status": {"replicas": 2, "selector": "sluice.dev/deployment=selected"}}
    kube.run("patch", "mdep/selected", "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
    assert scale_of(kube, "selected")["status"] == {"replicas": 2, "selector": "sluice.dev/deployment=selected"}


def test_a_status_is_not_changed_through_the_resource_itself(kube: Kube) -> None:
    apply(kube, minimal("guarded"))
    kube.run("patch", "mdep/guarded", "--type=merge", '--patch={"status":{"reason":"Forged"}}')
    assert "status" not in kube.get("mdep", "guarded")


def test_the_table_shows_what_a_person_looks_for(kube: Kube) -> None:
    apply(kube, minimal("table"))
    status = {
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        ],
        "stable": {"revision": "1111111111", "modelVersion": "2.1"},
        "canary": {"revision": "2222222222"},
        "rollout": {"verifiedWeight": 25},
        "step": "2/3",
        "replicas": 4,
        "reason": "RolloutStepping",
    }
    kube.run("patch", "mdep/table", "--subresource=status", "--type=merge", f"--patch={json.dumps({'status': status})}")
    header, row = kube.run("get", "mdep", "table").splitlines()
    columns = dict(zip(header.split(), row.split(), strict=True))
    assert columns.pop("AGE")
    assert columns == {
        "NAME": "table",
        "READY": "True",
        "STABLE": "1111111111",
        "VERSION": "2.1",
        "CANARY": "2222222222",
        "WEIGHT": "25",
        "STEP": "2/3",
        "REPLICAS": "4",
        "REASON": "RolloutStepping",
    }


def test_the_category_lists_model_deployments(kube: Kube) -> None:
    apply(kube, minimal("category"))
    assert "category" in kube.run("get", "sluice")


def test_explain_teaches_how_a_rollout_goes(kube: Kube) -> None:
    text = " ".join(kube.run("explain", "mdep.spec.rollout").split())
    assert "walks through `steps`" in text
    assert "all traffic returns to the stable version" in text


def test_explain_lists_every_field_of_the_rollout(kube: Kube) -> None:
    text = kube.run("explain", "mdep.spec.rollout", "--recursive")
    fields = set(re.findall(r"^\s+(\w+)\t<", text, re.MULTILINE))
    assert {"steps", "weight", "hold", "analysis", "checks", "metric", "maxTimesStable", "readyDeadline"} <= fields
