"""What GitOps tools read of a ModelDeployment: health and actions in a real Lua, and the same objects by kustomize."""

import json
import re

import pytest
import yaml

from chart import argocd, render
from localcluster import build
from sluice_operator.api.request import REQUEST, Action, parse
from sluice_operator.planning.observed import Problem
from support.gitops import argo_action_names, argo_actions, argo_health, argo_run, kstatus, run
from support.kube import Kube, Object
from unit.planning.test_materialization import bad, ran
from unit.planning.test_materialization import world as materialized
from unit.planning.world import World, make_spec

STEPS = [{"weight": 10, "hold": "10s"}, {"weight": 50, "pause": True}]


def shown(world: World) -> Object:
    """The object as the API server would show it."""
    metadata: Object = {"name": "m", "namespace": "shop", "generation": world.generation}
    return {"metadata": metadata, "spec": world.spec, "status": world.status.to_json()}


def at_rest() -> World:
    return World(make_spec(rollout={"steps": STEPS})).settle()


def stepping() -> World:
    world = at_rest().ask_version(2)
    world.settle()
    return world


def paused() -> World:
    return stepping().wait(11)


def taken_back() -> World:
    world = stepping()
    assert world.status.canary
    world.problems[world.status.canary.revision] = Problem("CrashLoop", "exit 1", permanent=True)
    return world.wait(1).wait(60)


def unfilled() -> World:
    """One that serves, while the last run of the job that fills its feature store failed."""
    world = materialized()
    return ran(world, bad(4))


STATES = {
    "never looked at": (lambda: World(make_spec()), "Progressing", "Current"),
    "at rest": (at_rest, "Healthy", "Current"),
    "at rest, with old features": (unfilled, "Healthy", "Current"),
    "a new spec": (lambda: at_rest().ask_version(2), "Progressing", "InProgress"),
    "stepping": (stepping, "Progressing", "InProgress"),
    "paused": (paused, "Suspended", "InProgress"),
    "taken back": (taken_back, "Degraded", "Failed"),
}


@pytest.mark.parametrize("state", STATES)
def test_health_and_kstatus_say_what_is_true(state: str) -> None:
    make, expected, generic = STATES[state]
    world = make()
    assert argo_health(shown(world)) == expected
    if state != "never looked at":
        assert kstatus(shown(world)) == generic


def offered(world: World) -> set[str]:
    return argo_actions(shown(world))


def test_actions_are_offered_where_they_make_sense() -> None:
    assert offered(at_rest()) == set()
    assert offered(stepping()) == {"promote-full", "pause", "abort"}
    assert offered(paused()) == {"promote", "promote-full", "abort"}
    assert offered(taken_back()) == {"retry"}


@pytest.mark.parametrize("name", argo_action_names())
def test_every_action_asks_what_the_operator_understands(name: str) -> None:
    world = taken_back() if name == "retry" else paused()
    before = shown(world)
    after = argo_run(name, before)
    request = parse(after["metadata"]["annotations"][REQUEST])
    assert request.action is Action(name.removesuffix("-full"))
    assert request.full == name.endswith("-full")
    about = world.status.blocked if name == "retry" else world.status.canary
    assert about
    assert request.revision == about.revision
    untouched = run("return obj", before)
    assert (after["spec"], after["status"]) == (untouched["spec"], untouched["status"])


def test_the_config_map_is_made_of_the_scripts() -> None:
    assert argocd.TARGET.read_text() == argocd.render(), "run `make generate`"


class _AsGoWrites(yaml.SafeLoader):
    """Takes 1e-06 for the number it is: to YAML 1.1 it is a text."""


_AsGoWrites.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+e[-+]?\d+$"), list("-+0123456789"))


def test_kustomize_makes_the_objects_of_the_chart() -> None:
    kubectl = Kube("", program=str(build.binary("kubectl")))
    built = list(yaml.load_all(kubectl.run("kustomize", str(render.INSTALL.parent)), _AsGoWrites))
    rendered = [found for found in yaml.safe_load_all(render.template()) if found]
    assert {text(one) for one in rendered} <= {text(one) for one in built}
    assert [one["kind"] for one in built if text(one) not in {text(found) for found in rendered}] == ["Namespace"]


def text(obj: Object) -> str:
    return json.dumps(obj, sort_keys=True)
