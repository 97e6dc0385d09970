"""Secrets with which images are pulled reach every pod that the operator makes, and restart none that exists."""

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
