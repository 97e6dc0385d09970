"""Every pod that the operator makes has its images from where the cluster has them, with the Secrets needed there."""

from collections.abc import Iterator
from typing import Any

from sluice_operator.api import names
from sluice_operator.planning.planner import Images, plan
from unit.planning.world import IMAGES, START, World, make_spec

MIRROR = Images(IMAGES.runtime, IMAGES.router, pull_secrets=("mirror",))


def pulled_with(world: World, images: Images = MIRROR) -> dict[str, Any]:
    """The names of pull secrets by kind and role of what makes pods, in the next pass."""
    objects = plan(world.resource, world.observe(), START, images).objects
    pods = [one for one in objects if one["kind"] in ("Deployment", "Job")]
    return {
        one["metadata"]["labels"][names.COMPONENT]: [
            entry["name"] for entry in one["spec"]["template"]["spec"].get("imagePullSecrets", [])
        ]
        for one in pods
    }


def test_without_them_no_pod_names_any() -> None:
    assert pulled_with(World(make_spec()), IMAGES) == {"model": [], "router": []}


def test_model_pods_and_routers_have_them() -> None:
    assert pulled_with(World(make_spec())) == {"model": ["mirror"], "router": ["mirror"]}


def test_so_has_the_job_that_resolves_a_uri() -> None:
    spec = make_spec()
    del spec["model"]["digest"]
    assert pulled_with(World(spec))["resolver"] == ["mirror"]


def test_those_of_the_spec_come_beside_them() -> None:
    own = {"spec": {"imagePullSecrets": [{"name": "team"}, {"name": "mirror"}]}}
    assert pulled_with(World(make_spec(runtime={"podTemplate": own})))["model"] == ["mirror", "team"]


def test_pods_that_exist_keep_their_template_and_a_revision_its_name() -> None:
    world = World(make_spec())
    world.run()
    before = pulled_with(world, IMAGES)["model"]
    assert pulled_with(world)["model"] == before == []
    fresh = World(make_spec())
    decided = plan(fresh.resource, fresh.observe(), START, MIRROR)
    assert decided.status.canary is not None
    assert [decided.status.canary.revision] == list(world.records)


def test_no_planned_object_names_an_image_of_its_own() -> None:
    spec = make_spec()
    del spec["model"]["digest"]
    images = Images("mirror.example/runtime:1", "mirror.example/envoy:1")
    for world in (World(make_spec()), World(spec)):
        planned = plan(world.resource, world.observe(), START, images).objects
        assert set(images_in(list(planned))) <= {images.runtime, images.router}
        assert images.router in images_in(list(planned))


def images_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["image"]] if isinstance(value.get("image"), str) else [])
        yield from (image for part in value.values() for image in images_in(part))
    elif isinstance(value, list | tuple):
        yield from (image for part in value for image in images_in(part))
