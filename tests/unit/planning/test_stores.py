"""What a spec says of its store reaches the step that fetches, the look-up alike, and no process that serves."""

from typing import Any

import pytest

from sluice.config import RuntimeConfig
from sluice_operator.api import names

from .world import DIGEST, World, make_spec

KEY = {"name": "signer", "key": "release.pub"}
KEYLESS = {"issuer": "https://accounts.example", "identity": "ci@example.com"}
S3 = "s3://models/shop/1"


def pod_of(model: dict[str, Any], kind: str) -> Any:
    """The pod spec of a model's Deployment, or of the Job that resolves it (which a spec without a digest needs)."""
    world = World(make_spec(model=model))
    world.run()
    role = {"Deployment": "model", "Job": "resolver"}[kind]
    (found,) = (m for m in world.of_kind(kind) if m["metadata"]["labels"][names.COMPONENT] == role)
    return found["spec"]["template"]["spec"]


def fetching(pod: Any) -> Any:
    """The step that fetches."""
    return (pod.get("initContainers") or pod["containers"])[0]


def config_of(container: Any) -> RuntimeConfig:
    return RuntimeConfig.model_validate_json(container["env"][0]["value"])


def both(**model: Any) -> list[Any]:
    return [pod_of({"uri": S3, "digest": DIGEST, **model}, "Deployment"), pod_of({"uri": S3, **model}, "Job")]


def test_an_endpoint_and_a_size_are_settings_of_the_step() -> None:
    for pod in both(endpoint="https://minio:9000", maxSize="500Mi"):
        config = config_of(fetching(pod))
        assert (config.store.endpoint, config.limits.max_package_bytes) == ("https://minio:9000", 500 * 1024**2)


@pytest.mark.parametrize("size", ["10Gi", "10240Mi", 10 * 1024**3])
def test_the_default_size_in_whatever_form_is_the_same_revision(size: str | int) -> None:
    plain, written = (World(make_spec(model={"uri": S3, "digest": DIGEST} | more)) for more in ({}, {"maxSize": size}))
    for world in (plain, written):
        world.settle()
    assert list(plain.records) == list(written.records)


def test_pods_run_as_the_account_that_the_store_knows_and_nobody_mounts_its_token() -> None:
    for pod in both(credentials={"serviceAccountName": "reader"}):
        assert pod["serviceAccountName"] == "reader"
        assert pod["automountServiceAccountToken"] is False
        assert "credentials" not in [volume["name"] for volume in pod["volumes"]]
    for pod in both(credentials={"secretRef": {"name": "s3"}}):
        assert "serviceAccountName" not in pod
        assert "credentials" in [volume["name"] for volume in pod["volumes"]]


SIGNATURES: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "a key": (
        {"publicKey": {"secretRef": KEY}},
        {"publicKeyFile": "/var/run/secrets/sluice/signature/public-key.pem"},
        "release.pub",
    ),
    "an identity": ({"keyless": KEYLESS}, KEYLESS, ""),
    "an identity of one's own sigstore": (
        {"keyless": {**KEYLESS, "trust": {"secretRef": {"name": "signer", "key": "trust.json"}}}},
        {**KEYLESS, "trustFile": "/var/run/secrets/sluice/signature/trust.json"},
        "trust.json",
    ),
}


@pytest.mark.parametrize(("asked", "settings", "key"), SIGNATURES.values(), ids=SIGNATURES)
def test_who_must_have_signed_is_known_to_the_step_and_its_files_are_mounted_there_alone(
    asked: dict[str, Any], settings: dict[str, str], key: str
) -> None:
    for pod in both(signature=asked):
        step = fetching(pod)
        signature = config_of(step).signature
        assert signature
        assert signature.model_dump(by_alias=True, exclude_none=True) == settings
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in step["volumeMounts"]}
        assert ("signature" in volumes) == ("signature" in mounts) == bool(key)
        if key:
            (item,) = volumes["signature"]["secret"]["items"]
            assert item["key"] == key
            assert f"{mounts['signature']}/{item['path']}" in settings.values()
        serving = [one for one in pod["containers"] if one is not step]
        assert all("signature" not in str(one["volumeMounts"]) for one in serving)


SURROUNDINGS: dict[str, Any] = {
    "metadata": {"labels": {"azure.workload.identity/use": "true"}, "annotations": {"egress": "proxy"}},
    "spec": {
        "nodeSelector": {"pool": "models"},
        "initContainers": [
            {
                "name": "fetch",
                "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
                "envFrom": [{"configMapRef": {"name": "store"}}],
                "volumeMounts": [{"name": "proxy-ca", "mountPath": "/etc/proxy"}],
            },
            {"name": "other", "image": "other:1"},
        ],
        "containers": [{"name": "runtime", "env": [{"name": "OMP_NUM_THREADS", "value": "1"}]}],
        "volumes": [{"name": "proxy-ca", "configMap": {"name": "proxy-ca"}}, {"name": "cache", "emptyDir": {}}],
    },
}


def test_the_look_up_has_the_pod_templates_surroundings_of_the_step_that_fetches_and_nothing_else_of_it() -> None:
    world = World(make_spec(model={"uri": S3}, runtime={"podTemplate": SURROUNDINGS}))
    world.run()
    (job,) = world.of_kind("Job")
    template = job["spec"]["template"]
    assert template["metadata"]["labels"].items() >= SURROUNDINGS["metadata"]["labels"].items()
    assert template["metadata"]["labels"][names.COMPONENT] == "resolver"
    assert template["metadata"]["annotations"] == {"egress": "proxy"}
    pod = template["spec"]
    (step,) = pod["containers"]
    fetch = SURROUNDINGS["spec"]["initContainers"][0]
    assert (step["name"], step["command"][-1]) == ("resolve", "sluice_runtime.resolve")
    assert (step["env"][1:], step["envFrom"]) == (fetch["env"], fetch["envFrom"])
    assert fetch["volumeMounts"][0] in step["volumeMounts"]
    assert [volume["name"] for volume in pod["volumes"]] == ["package", "tmp", "proxy-ca"]
    assert "initContainers" not in pod
    assert pod["nodeSelector"] == {"pool": "models"}


def test_a_record_keeps_all_of_it() -> None:
    model = {
        "uri": S3,
        "digest": DIGEST,
        "endpoint": "https://minio:9000",
        "maxSize": "1Gi",
        "credentials": {"serviceAccountName": "reader"},
        "signature": {"keyless": KEYLESS},
    }
    world = World(make_spec(model=model)).settle()
    before = world.objects
    (record,) = world.records.values()
    assert (record.endpoint, record.max_bytes, record.service_account) == ("https://minio:9000", 1024**3, "reader")
    # Read back from what the cluster holds, it makes the very same pods.
    world.run()
    assert world.objects == before
