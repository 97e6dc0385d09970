"""What an accelerator changes in a pod, and that it changes nothing where none is asked for."""

from typing import Any

import pytest

from sluice.config import RuntimeConfig
from sluice_operator.api import names
from sluice_operator.planning.identity import Defaults, make_record
from sluice_operator.planning.planner import Images, plan
from sluice_operator.planning.workloads import pod_template
from unit.planning.world import DIGEST, World, make_spec

WITH_GPU = Images(runtime="runtime:1", router="envoy:1", runtime_gpu="runtime-gpu:1")

SHAPED = {
    "image": "example/runtime:7",
    "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
    "batching": {"maxSize": 8, "maxDelay": "2ms"},
    "podTemplate": {"spec": {"nodeSelector": {"pool": "models"}}},
}
PRIVATE = {"uri": "pvc://claim/m", "digest": DIGEST, "credentials": {"secretRef": {"name": "store"}}}


@pytest.mark.parametrize(
    ("spec", "hashes"),
    [
        (make_spec(), ("cfc9cec833", "a08d4c8d05", "73ed3235ab")),
        (make_spec(runtime=SHAPED), ("c19c15ab0f", "d66cab088e", "16c97d9ffa")),
        (make_spec(model=PRIVATE), ("0531a4f65f", "30dac278d8", "5d1d9ac524")),
    ],
    ids=["minimal", "shaped", "private"],
)
def test_revisions_and_pods_of_specs_that_exist_never_change(spec: dict[str, Any], hashes: tuple[str, ...]) -> None:
    """Hash of the spec, name of the revision, hash of the pod template: another value would restart every model."""
    record = make_record(World(spec).resource, DIGEST, Defaults("runtime:1"))
    assert (record.spec_hash, record.revision, names.short_hash(pod_template("m", record))) == hashes


def pod(world: World, images: Images = WITH_GPU) -> dict[str, Any]:
    """The pod of the first revision planned."""
    objects = plan(world.resource, world.observe(), world.now, images).objects
    found = next(item for item in objects if item["kind"] == "Deployment" and "router" not in item["metadata"]["name"])
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def started(**runtime: Any) -> World:
    """A world that has taken its first decision, so that a revision exists."""
    world = World(make_spec(runtime=runtime))
    world.status = plan(world.resource, world.observe(), world.now, WITH_GPU).status
    return world


def config(container: dict[str, Any]) -> RuntimeConfig:
    return RuntimeConfig.model_validate_json(container["env"][0]["value"])


def test_a_gpu_means_its_image_its_device_and_its_provider() -> None:
    planned = pod(started(accelerator="nvidia"))
    fetch, runtime = planned["initContainers"][0], planned["containers"][0]
    assert fetch["image"] == runtime["image"] == "runtime-gpu:1"
    assert runtime["resources"] == {
        "requests": {"cpu": "250m", "memory": "256Mi"},
        "limits": {"memory": "512Mi", "nvidia.com/gpu": "1"},
    }
    assert [provider.name for provider in config(runtime).providers] == ["CUDAExecutionProvider"]


def test_the_step_that_fetches_holds_no_gpu() -> None:
    assert "nvidia.com/gpu" not in pod(started(accelerator="nvidia"))["initContainers"][0]["resources"]["limits"]


def test_a_number_of_gpus_in_the_spec_is_kept() -> None:
    resources = {"limits": {"nvidia.com/gpu": "2"}}
    planned = pod(started(accelerator="nvidia", resources=resources))
    assert planned["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"


def test_an_image_in_the_spec_wins() -> None:
    assert pod(started(accelerator="nvidia", image="mine:1"))["containers"][0]["image"] == "mine:1"


def test_other_providers_plug_in_by_configuration() -> None:
    providers = [{"name": "OpenVINOExecutionProvider", "options": {"device_type": "GPU"}}]
    planned = pod(started(image="mine:1", providers=providers, resources={"limits": {"gpu.intel.com/i915": "1"}}))
    runtime = planned["containers"][0]
    assert runtime["resources"] == {"limits": {"gpu.intel.com/i915": "1"}, "requests": {}}
    assert [provider.model_dump() for provider in config(runtime).providers] == providers


def test_another_accelerator_is_another_revision() -> None:
    records = [
        make_record(World(make_spec(runtime=r)).resource, DIGEST, Defaults("i"))
        for r in ({}, {"accelerator": "nvidia"})
    ]
    assert records[0].revision != records[1].revision
    assert records[0].spec_hash != records[1].spec_hash


def test_the_default_written_out_is_the_same_revision() -> None:
    records = [
        make_record(World(make_spec(runtime=r)).resource, DIGEST, Defaults("i")) for r in ({}, {"accelerator": "none"})
    ]
    assert records[0] == records[1]


def test_without_an_image_the_spec_is_refused_with_what_to_do() -> None:
    world = World(make_spec(runtime={"accelerator": "nvidia"}))
    decided = plan(world.resource, world.observe(), world.now, Images(runtime="runtime:1", router="envoy:1"))
    conditions = {condition.type: condition for condition in decided.status.conditions}
    assert (conditions["Stalled"].status, conditions["Stalled"].reason) == ("True", "AcceleratorUnavailable")
    assert "spec.runtime.image" in conditions["Stalled"].message


def test_the_resolver_runs_the_same_image() -> None:
    world = World({**make_spec(runtime={"accelerator": "nvidia"}), "model": {"uri": "http://store/m.tar.gz"}})
    objects = plan(world.resource, world.observe(), world.now, WITH_GPU).objects
    job = next(item for item in objects if item["kind"] == "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "runtime-gpu:1"
