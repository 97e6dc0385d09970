"""What the routers are told while a rollout walks: testers, and what belongs to every request."""

from typing import Any

from sluice_operator.api.status import Phase
from sluice_operator.planning.observed import Problem
from sluice_operator.planning.traffic import wanted_traffic
from sluice_operator.routing.base import Traffic

from .world import World, make_spec

MATCH = [{"header": {"name": "x-tester", "present": True}}]


def served(**rollout: Any) -> World:
    """A world in which version 1 is stable."""
    return World(make_spec(rollout=rollout)).settle()


def told(world: World) -> Traffic:
    """What status asks of the routers."""
    return wanted_traffic(world.resource)


def canary_of(world: World) -> str:
    assert world.status.canary
    return world.status.canary.revision


def test_testers_go_to_the_canary_from_its_first_moment_to_its_promotion() -> None:
    world = served(match=MATCH, steps=[{"weight": 0, "hold": "10s"}, {"weight": 50, "hold": "10s"}])
    stable = world.status.stable
    assert stable
    assert told(world).testers is None
    world.ask_version(2).run()
    assert told(world).testers is None, "nobody goes to pods that are not seen ready"
    world.settle()
    matched = told(world).testers
    assert matched
    assert matched.revision == canary_of(world)
    assert told(world).weights == {stable.revision: 100}
    assert world.status.rollout
    assert world.status.rollout.hold_started_at is not None
    world.wait(10.1)
    assert told(world).testers == matched
    assert told(world).weights == {stable.revision: 50, matched.revision: 50}
    world.wait(10.1)
    assert told(world).testers is None
    assert told(world).weights == {matched.revision: 100}


def test_testers_return_to_stable_while_the_canary_has_no_pods_and_for_good_when_it_is_taken_back() -> None:
    world = served(match=MATCH, steps=[{"weight": 0, "hold": "1h"}])
    world.ask_version(2).settle()
    world.ready[canary_of(world)] = False
    world.settle()
    assert told(world).testers is None
    world.ready[canary_of(world)] = True
    world.settle()
    assert told(world).testers is not None
    world.problems[canary_of(world)] = Problem("CrashLoop", "exit 1", permanent=True)
    world.routers_follow = False
    world.settle()
    assert told(world).testers is None
    assert world.status.rollout
    assert world.status.rollout.phase is Phase.rolling_back, "it is over when every router is seen to have let go"
    world.routers_follow = True
    world.wait(1).wait(1)
    assert world.status.rollout is None
    assert [entry.revision for entry in world.status.draining], "what testers began is finished"


def test_users_are_told_apart_only_while_there_is_a_choice() -> None:
    world = World(make_spec(router={"sticky": {"header": "x-user"}})).settle()
    assert told(world).sticky is None
    world.ask_version(2).settle()
    assert told(world).sticky == world.resource.spec.router.sticky
    world.wait(10.1).wait(10.1)
    assert told(world).sticky is None


def test_a_change_of_the_match_takes_effect_without_a_new_revision() -> None:
    world = served(match=MATCH, steps=[{"weight": 0, "hold": "1h"}])
    world.ask_version(2).settle()
    before = canary_of(world)
    other = [{"cookie": {"name": "tester", "value": "yes"}}]
    world.ask(rollout={"match": other, "steps": [{"weight": 0, "hold": "1h"}]}).settle()
    matched = told(world).testers
    assert matched
    assert matched.matches[0].cookie
    assert canary_of(world) == before
