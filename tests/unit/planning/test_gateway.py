"""A gateway in the router's place: the same rollout, other objects, and the change from one backend to another."""

from typing import Any

import pytest

from sluice_operator.api.status import Phase
from sluice_operator.planning.observed import Problem, RouterPod, RouterState, Window
from sluice_operator.planning.planner import plan
from sluice_operator.planning.traffic import wanted_traffic
from sluice_operator.routing.base import Tracing

from .world import IMAGES, World, make_spec

PARENTS = {"parentRefs": [{"name": "public"}]}
AT_GATEWAY = {"backend": "GatewayAPI", "gateway": {**PARENTS, "hostnames": ["m.example"]}}
BACKENDS: dict[str, dict[str, Any]] = {"Envoy": {}, "GatewayAPI": AT_GATEWAY}
ANALYSIS = {"interval": "5s", "minRequests": 50, "failureLimit": 0, "checks": [{"metric": "errorRate", "max": 0.01}]}
STEPS = [{"weight": 10, "hold": "10s"}, {"weight": 50, "hold": "10s"}]


def served(router: dict[str, Any], **rollout: Any) -> World:
    """A world in which version 1 is stable."""
    return World(make_spec(router=router, rollout={"steps": STEPS, **rollout})).settle()


def revisions(world: World) -> tuple[str, str]:
    assert world.status.stable
    assert world.status.canary
    return world.status.stable.revision, world.status.canary.revision


def kinds(world: World) -> set[str]:
    return {manifest["kind"] for manifest in world.objects}


@pytest.mark.parametrize("router", BACKENDS.values(), ids=BACKENDS)
def test_the_same_steps_are_walked_over_any_backend(router: dict[str, Any]) -> None:
    world = served(router).ask_version(2).settle()
    first, second = revisions(world)
    assert world.weights == {first: 90, second: 10}
    assert world.wait(10.1).weights == {first: 50, second: 50}
    assert world.wait(10.1).weights == {second: 100}
    assert world.condition("Promoted").status == "True"


@pytest.mark.parametrize("router", BACKENDS.values(), ids=BACKENDS)
def test_a_bad_version_is_taken_back_over_any_backend(router: dict[str, Any]) -> None:
    world = served(router, analysis=ANALYSIS).ask_version(2).settle()
    first, second = revisions(world)
    world.windows = {first: Window(1000, 0), second: Window(100, 60)}
    world.wait(5.1).wait(1)
    assert world.weights == {first: 100}
    assert world.status.blocked
    assert world.status.blocked.reason == "AnalysisFailed"


def test_at_a_gateway_there_are_no_routers_of_ones_own() -> None:
    assert kinds(served({})) - kinds(served(AT_GATEWAY)) == {"ConfigMap"}
    world = served(AT_GATEWAY)
    assert "HTTPRoute" in kinds(world)
    assert {name for manifest in world.objects for name in [manifest["metadata"]["name"]] if "router" in name} == set()
    assert world.status.url == "//m.example"
    assert world.condition("RouterReady").message == "2 of 2 routes are accepted"


def test_without_a_name_of_its_own_the_model_has_no_address() -> None:
    world = served({**AT_GATEWAY, "gateway": PARENTS})
    assert world.status.url == ""
    assert world.condition("Ready").message.endswith("answers at the gateway")


def test_a_gateway_traces_by_itself() -> None:
    world = served(AT_GATEWAY)
    assert wanted_traffic(world.resource, Tracing("collector", 4318, 100)).tracing is None


@pytest.mark.parametrize(("absent", "hostnames"), [("HTTPRoute", []), ("GRPCRoute", ["grpc.m.example"])])
def test_a_cluster_without_the_routes_says_what_to_install_and_serves_on(absent: str, hostnames: list[str]) -> None:
    world = served({})
    gateway = {**PARENTS, "hostnames": ["m.example"], "grpcHostnames": hostnames}
    world.absent, world.routers, world.former = frozenset({absent}), 0, True
    decided = world.ask(router={"backend": "GatewayAPI", "gateway": gateway}).run()
    assert world.condition("Stalled").reason == "GatewayAPIMissing"
    assert f"no {absent}" in world.condition("Stalled").message
    assert absent not in kinds(world)
    assert not decided.prune, "what routes now stays"


def test_a_route_for_grpc_is_missed_only_where_one_is_wanted() -> None:
    world = World(make_spec(router=AT_GATEWAY), absent=frozenset({"GRPCRoute"})).settle()
    assert world.condition("Stalled").status == "False"


def test_another_backends_objects_stay_until_the_wanted_one_is_seen_to_route() -> None:
    world = served({})
    world.former, world.routers_follow = True, False
    assert not world.ask(router=AT_GATEWAY).run().prune
    world.routers_follow = True
    world.run()
    assert world.run().prune


def test_a_gateway_that_refuses_the_route_is_told_of_and_gets_no_weight() -> None:
    world = served(AT_GATEWAY).ask_version(2)
    refused = Problem("NotAllowedByListeners", "Gateway public: the namespace is not allowed")
    seen = world.observe()
    state = RouterState(wanted=1, pods=(RouterPod("Gateway public", ready=False),), problem=refused)
    decided = plan(world.resource, type(seen)(**{**vars(seen), "router": state}), world.now, IMAGES)
    ready = {condition.type: condition for condition in decided.status.conditions}
    assert (ready["RouterReady"].status, ready["RouterReady"].reason) == ("False", "NotAllowedByListeners")
    assert ready["Ready"].message == refused.message
    assert decided.status.rollout
    assert decided.status.rollout.phase is Phase.starting
