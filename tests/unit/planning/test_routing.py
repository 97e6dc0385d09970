"""What the routers are told while a rollout walks: testers, and what belongs to every request."""

from typing import Any

from sluice_operator.api.status import ModelDeploymentStatus, Phase
from sluice_operator.planning.observed import Problem, Window
from sluice_operator.planning.planner import plan
from sluice_operator.planning.traffic import wanted_traffic
from sluice_operator.routing import envoy
from sluice_operator.routing.base import Copied, Matched, Previewed, Tracing, Traffic

from .world import IMAGES, World, make_spec

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


MIRROR = {"percent": 40, "hold": "30s"}
STEPS = [{"weight": 10, "hold": "10s"}]
ERRORS = {"interval": "5s", "minRequests": 50, "failureLimit": 0, "checks": [{"metric": "errorRate", "max": 0.01}]}


def test_copies_come_before_the_first_weight_and_end_with_it() -> None:
    world = served(mirror=MIRROR, steps=STEPS)
    stable = world.status.stable
    assert stable
    world.ask_version(2).run()
    assert told(world).mirror is None, "nobody copies to pods that are not seen ready"
    world.settle()
    assert told(world).mirror == Copied(canary_of(world), 40)
    assert told(world).weights == {stable.revision: 100}
    assert world.status.step == "0/1"
    world.wait(29)
    assert told(world).mirror
    world.wait(1.1)
    assert told(world).mirror is None
    assert told(world).weights == {stable.revision: 90, canary_of(world): 10}
    assert world.status.step == "1/1"
    world.wait(10.1)
    assert world.condition("Promoted").status == "True"


def test_a_canary_has_the_pods_for_the_copies_before_it_gets_them() -> None:
    world = World(make_spec(scaling={"replicas": 10}, rollout={"mirror": MIRROR, "steps": STEPS})).settle()
    world.ask_version(2).settle()
    assert world.wanted[canary_of(world)] == 4
    world.wait(30.1)
    assert world.wanted[canary_of(world)] == 1


def test_a_canary_that_fails_on_copies_is_taken_back_before_anybody_sees_it() -> None:
    world = served(mirror=MIRROR, steps=STEPS, analysis=ERRORS)
    stable = world.status.stable
    assert stable
    world.ask_version(2).settle()
    canary = canary_of(world)
    world.windows = {canary: Window(requests=1000, errors=500), stable.revision: Window(requests=1000)}
    seen = []
    for _ in range(6):
        world.wait(5.1)
        seen.append(dict(world.weights))
    assert world.status.blocked
    assert world.status.blocked.reason == "AnalysisFailed"
    assert all(weights == {stable.revision: 100} for weights in seen)
    assert told(world).mirror is None


def test_a_canary_whose_copies_pass_goes_on_and_is_judged_anew() -> None:
    world = served(mirror=MIRROR, steps=STEPS, analysis=ERRORS)
    world.ask_version(2).settle()
    world.windows = {canary_of(world): Window(requests=1000)}
    for _ in range(7):
        world.wait(5.1)
    assert world.status.rollout
    assert world.status.rollout.weight == 10
    assert world.status.rollout.mirrored


def test_copies_without_steps_are_followed_by_everything() -> None:
    world = served(mirror=MIRROR, steps=[])
    world.ask_version(2).settle()
    assert told(world).mirror
    canary = canary_of(world)
    world.wait(30.1)
    assert told(world).weights == {canary: 100}


def test_a_canary_that_loses_its_pods_gets_no_copies_until_it_is_back_and_its_hold_begins_anew() -> None:
    world = served(mirror=MIRROR, steps=STEPS)
    world.ask_version(2).settle().wait(20)
    world.ready[canary_of(world)] = False
    world.settle()
    assert told(world).mirror is None
    world.ready[canary_of(world)] = True
    world.settle().wait(20)
    assert told(world).mirror
    world.wait(10.1)
    assert told(world).mirror is None
    assert world.status.rollout
    assert world.status.rollout.weight == 10


def test_a_canary_that_had_a_weight_when_status_was_lost_is_not_copied_to_again() -> None:
    world = served(mirror=MIRROR, steps=STEPS)
    world.ask_version(2).settle().wait(30.1)
    canary = canary_of(world)
    world.status = ModelDeploymentStatus()
    world.settle()
    assert canary_of(world) == canary
    world.ready[canary] = False
    world.settle()
    world.ready[canary] = True
    world.settle()
    assert told(world).mirror is None
    assert told(world).weights[canary] == 10


def test_a_mirror_that_is_removed_meanwhile_ends() -> None:
    world = served(mirror={"hold": "1h"}, steps=STEPS)
    world.ask_version(2).settle()
    assert told(world).mirror
    world.ask(rollout={"steps": STEPS}).settle().wait(0.1)
    assert told(world).mirror is None
    assert world.status.rollout
    assert world.status.rollout.weight == 10


def test_a_return_to_a_former_version_and_the_first_version_get_no_copies() -> None:
    world = served(mirror={"hold": "1h"}, steps=[])
    assert world.condition("Promoted").status == "True"
    world.ask_version(2).settle().wait(3601)
    world.wait(31).ask(model=make_spec()["model"]).settle()
    assert told(world).mirror is None
    assert world.condition("Promoted").status == "True"


def blue_green(**rollout: Any) -> World:
    """A world in which version 1 is stable, with four pods, and the next one is to be switched to."""
    return World(make_spec(scaling={"replicas": 4}, rollout={"strategy": "BlueGreen", **rollout})).settle()


def test_blue_green_starts_all_pods_previews_them_and_switches_once() -> None:
    world = blue_green(preview={"hold": "60s", "service": True}, match=MATCH)
    stable = world.status.stable
    assert stable
    assert told(world).preview == Previewed(None)
    world.ask_version(2).settle()
    canary = canary_of(world)
    assert world.wanted == {stable.revision: 4, canary: 4}
    assert told(world).preview == Previewed(canary)
    assert told(world).testers == Matched(canary, tuple(world.resource.spec.rollout.match))
    assert world.status.preview_url == "http://m-preview.shop.svc"
    assert told(world).weights == {stable.revision: 100}
    world.wait(59)
    assert told(world).weights == {stable.revision: 100}
    world.wait(1.1)
    assert told(world).weights == {canary: 100}
    assert world.wanted == {stable.revision: 4, canary: 4}, "old pods finish what they have"
    assert world.status.preview_url == ""
    world.wait(31)
    assert world.wanted == {canary: 4}


def test_blue_green_previews_nothing_before_all_pods_are_ready() -> None:
    world = blue_green(preview={"service": True, "hold": "60s"})
    world.ask_version(2).run()
    world.ready[canary_of(world)] = False
    world.settle()
    assert told(world).preview == Previewed(None)
    assert world.wanted[canary_of(world)] == 4


def test_blue_green_without_a_preview_switches_as_soon_as_all_pods_are_ready() -> None:
    world = blue_green().ask_version(2).settle()
    assert world.condition("Promoted").status == "True"


def test_the_switch_waits_for_a_person_where_it_should() -> None:
    world = blue_green(preview={"pause": True})
    world.ask_version(2).settle().wait(3600)
    assert world.status.rollout
    assert world.status.rollout.weight == 0
    assert world.status.rollout.pause


def test_the_verdict_on_copies_is_enough_for_the_switch() -> None:
    world = blue_green(mirror=MIRROR, preview={"hold": "20s"}, analysis=ERRORS)
    world.ask_version(2).settle()
    canary = canary_of(world)
    world.windows = {canary: Window(requests=1000)}
    for _ in range(7):
        world.wait(5.1)
    assert world.status.rollout
    assert world.status.rollout.mirrored
    world.windows = {canary: Window(requests=0)}
    for _ in range(6):
        world.wait(5.1)
    assert world.condition("Promoted").status == "True"
    assert told(world).weights == {canary: 100}


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


def test_tracing_is_told_to_the_routers_and_to_nothing_else() -> None:
    world, tracing = served(), Tracing("collector", 4318, 1.0)
    before, after = world.think(), plan(world.resource, world.observe(), world.now, IMAGES, tracing=tracing)
    assert after.router_version == envoy.version(wanted_traffic(world.resource, tracing)) != before.router_version
    changed = [new["kind"] for old, new in zip(before.objects, after.objects, strict=True) if old != new]
    assert changed == ["ConfigMap"], "no template changes, so nothing restarts"
