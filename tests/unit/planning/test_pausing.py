"""A rollout that waits for a person, and what goes on meanwhile."""

from typing import Any

import pytest

from sluice_operator.planning.observed import Window
from sluice_operator.planning.waking import SLOW_POLL

from .world import World, make_spec

ANALYSIS = {"interval": "5s", "failureLimit": 0, "checks": [{"metric": "errorRate", "max": 0.01}]}
PAUSES = [{"weight": 10, "hold": "10s", "pause": True}, {"weight": 50, "hold": "10s"}]


def served(**changes: Any) -> World:
    """Version 1 is stable."""
    return World(make_spec(**changes)).settle()


def canary(world: World) -> str:
    assert world.status.canary
    return world.status.canary.revision


def cause(world: World) -> str:
    assert world.status.rollout
    return world.status.rollout.pause.cause if world.status.rollout.pause else ""


def weight(world: World) -> int:
    return world.weights.get(canary(world), 0)


def at_its_pause(**rollout: Any) -> World:
    world = served(rollout={"steps": PAUSES, **rollout}).ask_version(2).settle()
    assert cause(world) == "", "the hold comes first"
    if "analysis" in rollout:
        world.windows = {canary(world): Window(requests=1000), _stable(world): Window(requests=1000)}
        world.wait(6)
    world.wait(10)
    assert cause(world) == "Step"
    return world


def _stable(world: World) -> str:
    assert world.status.stable
    return world.status.stable.revision


def test_a_step_with_a_pause_waits_for_a_promote_for_as_long_as_it_takes() -> None:
    world = at_its_pause()
    world.wait(100_000)
    assert weight(world) == 10
    world.please("promote").settle()
    assert weight(world) == 50
    assert world.status.requests[0].outcome == "Done"
    world.wait(11)
    assert world.status.rollout is None
    assert world.condition("Promoted").status == "True"


def test_a_pause_says_so_and_what_to_do_and_is_told_once() -> None:
    world = at_its_pause().wait(60).wait(60)
    reconciling = world.condition("Reconciling")
    assert (reconciling.status, reconciling.reason) == ("True", "Paused")
    assert "sluice promote" in reconciling.message
    assert world.status.reason == "Paused"
    assert world.condition("Stalled").status == "False"
    assert world.condition("Ready").status == "True"
    assert world.condition("Promoted").status == "False"
    assert [note.reason for note in world.events].count("Paused") == 1


def test_nothing_is_polled_while_a_rollout_waits_at_its_step() -> None:
    assert at_its_pause().run().requeue_after is None


def test_a_promote_before_the_pause_is_reached_keeps_the_hold_and_drops_the_pause() -> None:
    world = served(rollout={"steps": PAUSES}).ask_version(2).settle()
    world.please("promote").settle()
    assert weight(world) == 10
    world.wait(10.1)
    assert weight(world) == 50


def test_the_analysis_goes_on_during_a_pause() -> None:
    world = at_its_pause(analysis=ANALYSIS)
    world.windows = {canary(world): Window(requests=1000, errors=500), _stable(world): Window(requests=1000)}
    world.wait(6)
    assert world.status.rollout is None
    assert world.condition("Stalled").reason == "AnalysisFailed"


def test_a_promote_does_not_skip_a_verdict_that_is_still_to_come() -> None:
    world = served(rollout={"steps": PAUSES, "analysis": ANALYSIS}).ask_version(2).settle()
    world.windows = None
    world.please("promote").settle().wait(20)
    assert weight(world) == 10


def test_an_abort_takes_a_waiting_canary_back() -> None:
    world = at_its_pause().please("abort").settle()
    assert world.status.rollout is None
    assert world.weights == {_stable(world): 100}


def test_a_pause_that_is_taken_out_of_the_spec_is_over() -> None:
    world = at_its_pause()
    world.ask(rollout={"steps": [{**PAUSES[0], "pause": False}, PAUSES[1]]}).settle()
    assert weight(world) == 50


def test_a_pause_that_was_left_stays_left_when_the_canary_comes_back() -> None:
    world = served(rollout={"steps": PAUSES}).ask_version(2).settle().please("promote").settle()
    world.ready[canary(world)] = False
    world.settle()
    assert weight(world) == 0
    world.ready[canary(world)] = True
    world.settle().wait(10.1)
    assert weight(world) == 50


def test_a_paused_spec_holds_the_weight_and_goes_on_when_it_is_over() -> None:
    world = served().ask_version(2).settle()
    steps = world.spec["rollout"]
    world.ask(rollout={**steps, "paused": True}).settle().wait(100_000)
    assert (weight(world), cause(world)) == (10, "Spec")
    assert "spec.rollout.paused" in world.condition("Reconciling").message
    world.ask(rollout=steps).settle()
    assert weight(world) == 50


@pytest.mark.parametrize("action", ["promote", "resume"])
def test_what_the_spec_holds_only_the_spec_lets_go(action: str) -> None:
    world = served(rollout={"paused": True, "steps": PAUSES}).ask_version(2).settle()
    world.please(action).settle()
    assert world.status.requests[0].outcome == "Refused"
    assert "spec.rollout.paused" in world.status.requests[0].message


def test_a_new_version_under_a_paused_spec_starts_its_pods_and_gets_no_traffic() -> None:
    world = served(rollout={"paused": True, "steps": PAUSES}).ask_version(2).settle()
    assert world.wanted[canary(world)] == 1
    world.wait(100_000)
    assert weight(world) == 0, "and no deadline runs against it"
    assert world.run().requeue_after == SLOW_POLL
    world.ask(rollout={"steps": PAUSES}).settle()
    assert weight(world) == 10


def test_pods_that_are_gone_when_the_pause_ends_have_their_deadline_again() -> None:
    world = served(rollout={"paused": True, "steps": PAUSES}).ask_version(2).settle()
    world.ready[canary(world)] = False
    world.settle().wait(10_000)
    assert world.status.rollout is None, "pods that do not get ready are taken back, paused or not"
    assert world.condition("Stalled").reason == "NotReadyInTime"


def test_a_canary_that_comes_back_during_a_pause_gets_the_weight_of_its_step_again() -> None:
    world = served().ask_version(2).settle()
    world.please("pause").settle()
    world.ready[canary(world)] = False
    world.settle()
    assert weight(world) == 0
    world.ready[canary(world)] = True
    world.settle().wait(60)
    assert (weight(world), cause(world)) == (10, "Request")


def test_a_pause_that_was_asked_for_lasts_until_a_resume() -> None:
    world = served().ask_version(2).settle().please("pause", by="ann").settle().wait(100_000)
    assert (weight(world), cause(world)) == (10, "Request")
    assert world.status.rollout
    assert world.status.rollout.pause
    assert world.status.rollout.pause.by == "ann"
    world.please("resume").settle()
    assert weight(world) == 50


def test_a_promote_ends_a_pause_that_was_asked_for_as_well() -> None:
    world = served().ask_version(2).settle().please("pause").settle().wait(11)
    world.please("promote").settle()
    assert weight(world) == 50


def test_the_very_first_version_is_not_held() -> None:
    world = World(make_spec(rollout={"paused": True, "steps": PAUSES})).settle()
    assert world.condition("Promoted").status == "True"


def test_a_rollback_that_was_asked_for_is_not_held() -> None:
    world = served().ask_version(2).settle().wait(10.1).wait(10.1).wait(31)
    first = world.status.history[1].revision
    world.ask(rollout={"paused": True, "steps": PAUSES}).settle()
    world.please("rollback").settle()
    assert world.weights == {first: 100}
