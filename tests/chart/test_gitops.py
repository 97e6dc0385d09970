"""What GitOps tools read of a ModelDeployment: health and actions in a real Lua, and the same objects by kustomize."""

import json
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from chart import argocd, render
from localcluster import build
from sluice_operator.api.request import REQUEST, Action, parse
from sluice_operator.planning.observed import Problem
from support.kube import Kube
from unit.planning.world import World, make_spec

STEPS = [{"weight": 10, "hold": "10s"}, {"weight": 50, "pause": True}]
Object = dict[str, Any]


def config_map() -> Object:
    found: Object = yaml.safe_load(argocd.TARGET.read_text())["data"]
    return found


def run(script: str, obj: Object) -> Any:
    """What Lua makes of an object: Argo CD gives it as `obj` and takes what the script returns."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(obj, recursive=True)
    return plain(lua.execute(script))


def plain(value: Any) -> Any:
    if not hasattr(value, "items"):
        return value
    pairs = dict(value.items())
    return [plain(pairs[key]) for key in sorted(pairs)] if 1 in pairs else {k: plain(v) for k, v in pairs.items()}


def shown(world: World) -> Object:
    """The object as the API server would show it."""
    metadata: Object = {"name": "m", "namespace": "shop", "generation": world.generation}
    return {"metadata": metadata, "spec": world.spec, "status": world.status.to_json()}


def health(world: World) -> Any:
    return run(config_map()[f"resource.customizations.health.{argocd.KIND}"], shown(world))


def kstatus(obj: Object) -> str:
    """The status that kstatus (cli-utils, pkg/kstatus/status) computes of a resource it does not know."""
    status, generation = obj.get("status", {}), obj["metadata"]["generation"]
    if status.get("observedGeneration", generation) != generation:
        return "InProgress"
    conditions = {found["type"]: found["status"] for found in status.get("conditions", [])}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


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


STATES = {
    "never looked at": (lambda: World(make_spec()), "Progressing", "Current"),
    "at rest": (at_rest, "Healthy", "Current"),
    "a new spec": (lambda: at_rest().ask_version(2), "Progressing", "InProgress"),
    "stepping": (stepping, "Progressing", "InProgress"),
    "paused": (paused, "Suspended", "InProgress"),
    "taken back": (taken_back, "Degraded", "Failed"),
}


@pytest.mark.parametrize("state", STATES)
def test_health_and_kstatus_say_what_is_true(state: str) -> None:
    make, expected, generic = STATES[state]
    world = make()
    assert health(world)["status"] == expected
    if state != "never looked at":
        assert kstatus(shown(world)) == generic


def scripts() -> Object:
    found: Object = yaml.safe_load(config_map()[f"resource.customizations.actions.{argocd.KIND}"])
    return found


def offered(world: World) -> set[str]:
    found = run(scripts()["discovery.lua"], shown(world))
    return {name for name, action in found.items() if not action["disabled"]}


def test_actions_are_offered_where_they_make_sense() -> None:
    assert offered(at_rest()) == set()
    assert offered(stepping()) == {"promote-full", "pause", "abort"}
    assert offered(paused()) == {"promote", "promote-full", "abort"}
    assert offered(taken_back()) == {"retry"}


@pytest.mark.parametrize("definition", scripts()["definitions"], ids=lambda found: found["name"])
def test_every_action_asks_what_the_operator_understands(definition: Object) -> None:
    world = taken_back() if definition["name"] == "retry" else paused()
    before = shown(world)
    after = run(definition["action.lua"], before)
    request = parse(after["metadata"]["annotations"][REQUEST])
    assert request.action is Action(definition["name"].removesuffix("-full"))
    assert request.full == definition["name"].endswith("-full")
    about = world.status.blocked if definition["name"] == "retry" else world.status.canary
    assert about
    assert request.revision == about.revision
    untouched = run("return obj", before)
    assert (after["spec"], after["status"]) == (untouched["spec"], untouched["status"])


def test_the_config_map_is_made_of_the_scripts() -> None:
    assert argocd.TARGET.read_text() == argocd.render(), "run `make generate`"


def test_kustomize_makes_the_objects_of_the_chart() -> None:
    kubectl = Kube("", program=str(build.binary("kubectl")))
    built = list(yaml.safe_load_all(kubectl.run("kustomize", str(render.INSTALL.parent))))
    rendered = [found for found in yaml.safe_load_all(render.template()) if found]
    assert {text(one) for one in rendered} <= {text(one) for one in built}
    assert [one["kind"] for one in built if text(one) not in {text(found) for found in rendered}] == ["Namespace"]


def text(obj: Object) -> str:
    return json.dumps(obj, sort_keys=True)
