"""Bad input is refused at `kubectl apply`, with the field and a reason that a person can act on."""

from typing import Any

import pytest

from controlplane.crd import bad_access, bad_analysis, bad_features, bad_models, bad_rollouts
from controlplane.crd.definition import try_apply
from controlplane.crd.refused import ALIAS, KEYLESS, MLFLOW, Refused, manifest, steps
from support.kube import Kube

TABLE = (
    *bad_features.TABLE,
    *bad_rollouts.TABLE,
    *bad_models.TABLE,
    *bad_analysis.TABLE,
    *bad_access.TABLE,
    Refused("an unknown field of the spec", ("spec.replica", "not declared"), spec={"replica": 3}),
    Refused(
        "an unknown field of the model", ("spec.model.digst", "not declared"), model={"digst": "sha256:" + "0" * 64}
    ),
    Refused(
        "a misspelt part of the pod template", ("podTemplate.sepc",), spec={"runtime": {"podTemplate": {"sepc": {}}}}
    ),
    Refused("neither http nor https", ("http: Disabled needs tls",), spec={"endpoint": {"http": "Disabled"}}),
    Refused(
        "an accelerator nobody knows",
        ("spec.runtime.accelerator", '"nvidia"'),
        spec={"runtime": {"accelerator": "gpu"}},
    ),
    Refused(
        "a name that is no execution provider",
        ("spec.runtime.providers[0].name", "ExecutionProvider"),
        spec={"runtime": {"providers": [{"name": "cuda"}]}},
    ),
    Refused(
        "minReplicas above maxReplicas",
        ("spec.scaling", "minReplicas must not be above maxReplicas"),
        spec={"scaling": {"minReplicas": 5, "maxReplicas": 3}},
    ),
    Refused(
        "maxReplicas below the default of minReplicas",
        ("spec.scaling.maxReplicas", "greater than or equal to 1"),
        spec={"scaling": {"maxReplicas": 0}},
    ),
    Refused(
        "a fixed number of pods and autoscaling",
        ("spec.scaling", "set one of them"),
        spec={"scaling": {"replicas": 2, "maxReplicas": 3}},
    ),
    Refused(
        "autoscaling on a resource without a request",
        ("spec", "runtime.resources.requests"),
        spec={"scaling": {"maxReplicas": 3, "metric": "memory"}, "runtime": {"resources": {"requests": {"cpu": 1}}}},
    ),
    Refused(
        "a quantity that is none",
        ("spec.runtime.resources.requests.cpu", "should match"),
        spec={"runtime": {"resources": {"requests": {"cpu": "half"}}}},
    ),
    Refused("no router pods", ("spec.router.replicas", "greater than or equal to 1"), spec={"router": {"replicas": 0}}),
    Refused(
        "a name too long for the objects made from it", ("metadata.name", "at most 40", "label of 63"), name="a" * 41
    ),
    Refused("a name that no Service may have", ("metadata.name", "begin with a letter", "DNS-1035"), name="1-store"),
    Refused("a name with a dot", ("metadata.name", "DNS-1035"), name="store.revenue"),
)


@pytest.mark.parametrize("refused", TABLE, ids=[row.case for row in TABLE])
def test_bad_input_is_refused_with_the_field_and_the_reason(kube: Kube, refused: Refused) -> None:
    answer = refused.answer(kube)
    assert not answer.accepted
    assert [text for text in refused.told if text not in answer.text] == [], answer.text


def test_the_same_manifest_without_the_mistakes_is_accepted(kube: Kube) -> None:
    answer = try_apply(kube, Refused("none", ()).manifest())
    assert answer.accepted, answer.text


MODELS: dict[str, dict[str, Any]] = {
    "an alias that is followed": ALIAS,
    "a version": {"uri": "models:/shop revenue/12", **MLFLOW},
    "an archive in a bucket": {"uri": "s3://models/shop/3.tar.gz", "endpoint": "https://minio.example:9000"},
    "a folder": {"uri": "gs://models/shop/3", "credentials": {"serviceAccountName": "reader"}, "maxSize": "500Mi"},
    "a container": {"uri": "az://models/shop/3", "credentials": {"secretRef": {"name": "azure"}}, "maxSize": 1000000},
    "a tag that is followed": {"uri": "oci://r.example:5000/team/shop:stable", "poll": "10s"},
    "an artifact": {"uri": f"oci://r.example/shop@sha256:{'0' * 64}", "signature": {"keyless": KEYLESS}},
    "a registry of an address": {"uri": "oci://[2001:db8::1]:5000/shop:1", "endpoint": "http://[2001:db8::1]:5000"},
    "a branch that is followed": {"uri": "hf://ours/shop@main/onnx", "poll": "1h"},
    "a repository with its kind": {"uri": "hf://models/ours/shop@v1.0"},
    "a key": {"signature": {"publicKey": {"secretRef": {"name": "k"}}}},
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_of_any_store_is_accepted(kube: Kube, model: dict[str, Any]) -> None:
    answer = try_apply(kube, Refused("none", (), model=model).manifest())
    assert answer.accepted, answer.text


def test_a_name_of_the_longest_length_is_accepted(kube: Kube) -> None:
    answer = try_apply(kube, Refused("none", (), name="a" * 40).manifest())
    assert answer.accepted, answer.text


def test_one_answer_names_several_mistakes(kube: Kube) -> None:
    answer = try_apply(kube, manifest({"model": {"uri": "ftp://x/y", "digest": "1"}, **steps(500)}))
    assert all(path in answer.text for path in ("spec.model.uri", "spec.model.digest", "steps[0].weight")), answer.text
