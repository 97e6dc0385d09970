"""Who may ask: what the routers are told, what status says of it, and what it never touches."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from sluice_operator.planning.plan import Plan
from sluice_operator.planning.planner import plan
from sluice_operator.planning.traffic import wanted_traffic
from sluice_operator.routing.base import Authorizer

from .world import IMAGES, World, make_spec

AUTHORIZER = Authorizer("authorizer.sluice-system.svc", 8080)
KUBERNETES = {"mode": "Kubernetes"}
DATA = {"entities": ["store_id"], "rule": "true"}
KEYS = json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})


@dataclass
class Guarded(World):
    """An operator that knows an authorizer, or none."""

    authorizer: Authorizer | None = AUTHORIZER

    def think(self) -> Plan:
        return plan(self.resource, self.observe(), self.now, IMAGES, authorizer=self.authorizer)


def guarded(access: dict[str, Any], authorizer: Authorizer | None = AUTHORIZER, **changes: Any) -> Guarded:
    world = Guarded(make_spec(access=access, **changes), authorizer=authorizer)
    world.settle()
    return world


def by_token(**jwt: Any) -> dict[str, Any]:
    return {"mode": "JWT", "jwt": {"issuer": "https://login.example", "jwks": KEYS, **jwt}}


def config_of(world: World) -> str:
    (config_map,) = (found for found in world.of_kind("ConfigMap") if found["metadata"]["name"] == "m-router")
    return json.dumps(config_map["data"])


def test_where_everybody_may_ask_nothing_is_said_of_it_and_routers_stay_as_they_are() -> None:
    world = guarded({"mode": "None"})
    assert "AccessReady" not in [condition.type for condition in world.status.conditions]
    plain = World(make_spec()).settle()
    assert config_of(world) == config_of(plain)


@pytest.mark.parametrize("access", [KUBERNETES, by_token(), {**KUBERNETES, "data": DATA}, {**by_token(), "data": DATA}])
def test_callers_are_checked_once_every_router_does_so(access: dict[str, Any]) -> None:
    world = guarded(access)
    condition = world.condition("AccessReady")
    assert (condition.status, condition.reason) == ("True", "Enforced")
    assert "sluice.dev" in condition.message
    world.routers_follow = False
    world.ask(access={**access, "audiences": ["other.example"]}).settle()
    condition = world.condition("AccessReady")
    assert (condition.status, condition.reason) == ("False", "ConfigPending")
    world.routers_refuse = True
    condition = world.settle().condition("AccessReady")
    assert (condition.status, condition.reason) == ("False", "ConfigRefused")
    assert "r0" in condition.message
    world.routers_follow, world.routers_refuse = True, False
    world.run()
    assert world.settle().condition("AccessReady").message.endswith("for the audience other.example")


@pytest.mark.parametrize("access", [KUBERNETES, {**KUBERNETES, "data": DATA}, {**by_token(), "data": DATA}])
def test_without_an_authorizer_nobody_is_let_in_and_it_is_said_what_to_install(access: dict[str, Any]) -> None:
    world = guarded(access, authorizer=None)
    condition = world.condition("AccessReady")
    assert (condition.status, condition.reason) == ("False", "NoAuthorizer")
    assert "authorizer.enabled=true" in condition.message
    assert "authorizer.enabled=true" in config_of(world)
    guard = wanted_traffic(world.resource, authorizer=None).guard
    assert guard
    assert guard.closed == condition.message
    assert guarded(by_token(), authorizer=None).condition("AccessReady").status == "True"


@pytest.mark.parametrize(
    "keys",
    ["{}", "no json", "[]", '{"keys": []}', '{"keys": [{"kty": "RSA"}]}', '{"keys": [{"kty": "oct", "k": "x"}]}'],
)
def test_keys_that_no_router_could_read_are_told_and_nobody_is_let_in(keys: str) -> None:
    world = guarded(by_token(jwks=keys))
    condition = world.condition("AccessReady")
    assert (condition.status, condition.reason) == ("False", "KeysNotUnderstood")
    assert "access.jwt.jwks must be a JWKS" in config_of(world)


def test_weights_on_their_way_are_no_reason_to_doubt_that_callers_are_checked() -> None:
    world = guarded(KUBERNETES)
    world.ask_version(2).settle()
    seen = set()
    for _ in range(60):
        world.routers_follow = not world.routers_follow
        world.run()
        seen.add(world.condition("AccessReady").status)
        world.wait(2)
    assert seen == {"True"}
    assert world.status.rollout is None


def test_a_change_of_who_may_ask_touches_no_pod_and_no_router() -> None:
    world = guarded({"mode": "None"})
    before, weights = world.of_kind("Deployment"), dict(world.weights)
    for access in (KUBERNETES, {**KUBERNETES, "data": DATA}, by_token(), {"mode": "None"}):
        world.ask(access=access).settle()
        assert (world.of_kind("Deployment"), world.weights) == (before, weights)
        assert world.condition("Promoted").status == "True"
