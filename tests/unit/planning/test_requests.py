"""What people ask for: each request is done once or refused with the reason, whatever happens between writes."""

import json
from typing import Any

import pytest

from sluice_operator.api.status import ModelDeploymentStatus, Phase
from sluice_operator.planning.observed import Problem, Resolver, Window
from sluice_operator.planning.requests import ANSWERS_KEPT

from .world import World, make_spec

HOLD = {"steps": [{"weight": 10, "hold": "1h"}, {"weight": 50, "hold": "1h"}]}
ANALYSIS = {"interval": "5s", "failureLimit": 0, "checks": [{"metric": "errorRate", "max": 0.01}]}


def served(**changes: Any) -> World:
    """Version 1 is stable."""
    return World(make_spec(**changes)).settle()


def stable(world: World) -> str:
    assert world.status.stable
    return world.status.stable.revision


def canary(world: World) -> str:
    assert world.status.canary
    return world.status.canary.revision


def under_way(**changes: Any) -> World:
    """Version 2 is at its first step."""
    world = served(rollout=HOLD, **changes).ask_version(2).settle()
    assert world.weights == {stable(world): 90, canary(world): 10}
    return world


def twice_promoted() -> World:
    """Version 2 is stable, version 1 was."""
    world = served().ask_version(2).settle().wait(10.1).wait(10.1).wait(31)
    assert world.status.rollout is None
    assert [entry.outcome for entry in world.status.history] == ["Promoted", "Promoted"]
    return world


def taken_back() -> World:
    world = under_way()
    world.please("abort", by="ann").settle()
    assert world.status.blocked
    return world


def answer(world: World) -> tuple[str, str, str]:
    last = world.status.requests[0]
    return last.action, last.outcome, last.message


def test_an_abort_takes_the_canary_back_and_names_who_asked() -> None:
    world = under_way()
    first, second = stable(world), canary(world)
    world.please("abort", id="1", by="ann@example.com").settle()
    assert answer(world) == ("abort", "Done", f"{second} is taken back")
    assert world.status.requests[0].by == "ann@example.com"
    assert world.weights == {first: 100}
    stalled = world.condition("Stalled")
    assert (stalled.status, stalled.reason, stalled.message) == ("True", "Aborted", "aborted by ann@example.com")
    assert world.status.history[0].outcome == "RolledBack"
    assert world.status.history[0].reason == "Aborted"
    assert [note.reason for note in world.events].count("RequestDone") == 1


def test_a_retry_begins_the_same_revision_anew() -> None:
    world = under_way()
    second = canary(world)
    world.please("abort").settle().wait(31)
    world.please("retry").settle()
    assert canary(world) == second
    assert world.weights[second] == 10
    assert world.condition("Stalled").status == "False"


def test_a_retry_resolves_anew_what_was_not_resolved() -> None:
    world = World(make_spec(model={"uri": "http://store/m-1.tar.gz"})).settle()
    key = next(m for m in world.of_kind("Job"))["metadata"]["name"].rpartition("-")[2]
    world.resolvers = {key: Resolver("Failed", problem=Problem("SourceNotFound", "404", permanent=True))}
    world.settle()
    assert world.status.blocked
    world.please("retry", id="r").settle()
    assert world.status.requests == [], "the old job would answer again what it answered"
    world.resolvers = {}
    world.settle()
    assert answer(world)[1] == "Done"
    assert world.of_kind("Job")
    assert world.status.blocked is None


def test_a_full_promote_skips_steps_and_analysis() -> None:
    world = under_way(scaling={"replicas": 4})
    second = canary(world)
    world.please("promote", full=True).settle()
    assert stable(world) == second
    assert world.weights == {second: 100}
    assert world.wanted[second] == 4


def test_a_full_promote_waits_for_the_pods_that_all_traffic_needs() -> None:
    world = under_way(scaling={"replicas": 4})
    second = canary(world)
    world.ready[second] = False
    world.settle().please("promote", full=True).settle().wait(60)
    assert world.weights == {stable(world): 100}
    assert world.condition("Ready").status == "True"
    world.ready[second] = True
    world.settle()
    assert world.weights == {second: 100}


def test_a_rollback_makes_the_former_revision_stable_by_the_safe_path_and_blocks_the_spec() -> None:
    world = twice_promoted()
    second, first = stable(world), world.status.history[1].revision
    world.please("rollback", by="ann").run()
    assert world.weights == {second: 100}, "first the pods, then the weight"
    assert world.condition("Stalled").status == "False", "it is under way"
    assert world.condition("Reconciling").status == "True"
    world.settle()
    assert world.weights == {first: 100}
    assert [entry.revision for entry in world.status.draining] == [second]
    for kind, status in (("Stalled", "True"), ("Ready", "True"), ("Promoted", "False"), ("Reconciling", "False")):
        assert world.condition(kind).status == status, kind
    assert world.condition("Stalled").reason == "RolledBackByRequest"
    history = [(entry.revision, entry.outcome, entry.reason, entry.requested_by) for entry in world.status.history]
    assert history[:2] == [
        (second, "RolledBack", "RolledBackByRequest", "ann"),
        (first, "Promoted", "RolledBackByRequest", "ann"),
    ]
    world.wait(10_000)
    assert world.weights == {first: 100}, "it stays until the spec changes"


def test_a_rolled_back_spec_walks_its_steps_again_when_a_retry_is_asked_for() -> None:
    world = twice_promoted()
    second = stable(world)
    world.please("rollback").settle().wait(31)
    world.please("retry").settle()
    assert canary(world) == second
    assert world.weights[second] == 10


def test_a_new_spec_ends_a_rollback() -> None:
    world = twice_promoted()
    world.please("rollback").settle().wait(31).ask_version(3).settle()
    assert world.status.blocked is None
    assert world.weights[canary(world)] == 10


def test_a_new_spec_in_the_middle_of_a_rollback_takes_it_back_first() -> None:
    world = twice_promoted()
    second, first = stable(world), world.status.history[1].revision
    world.ready[first] = False
    world.please("rollback").settle()
    assert canary(world) == first
    world.ask_version(3).settle()
    assert canary(world) not in (first, second)
    assert stable(world) == second


def test_a_rollback_to_a_revision_that_does_not_start_leaves_what_serves_and_says_so() -> None:
    world = twice_promoted()
    second, first = stable(world), world.status.history[1].revision
    world.ready[first] = False
    world.problems[first] = Problem("SourceNotFound", "the package is gone", permanent=True)
    world.please("rollback").settle().wait(3600)
    assert world.weights == {second: 100}
    stalled = world.condition("Stalled")
    assert stalled.reason == "SourceNotFound"
    assert "the rollback to" in stalled.message
    assert world.condition("Ready").status == "True"
    world.please("retry").settle()
    assert world.condition("Promoted").status == "True"


def test_a_rollback_to_an_older_revision_by_name() -> None:
    world = twice_promoted()
    oldest = world.status.history[1].revision
    world.ask_version(3).settle().wait(10.1).wait(10.1).wait(31)
    world.please("rollback", revision=oldest).settle()
    assert stable(world) == oldest


def test_a_rollback_in_the_middle_of_a_rollout_goes_back_to_stable() -> None:
    world = under_way()
    first = stable(world)
    world.please("rollback").settle()
    assert world.weights == {first: 100}
    assert world.condition("Stalled").reason == "RolledBackByRequest"


def test_a_rollback_to_an_older_revision_in_the_middle_of_a_rollout_drains_the_canary_first() -> None:
    world = twice_promoted()
    oldest = world.status.history[1].revision
    world.ask_version(3).settle()
    third = canary(world)
    world.please("rollback", revision=oldest)
    while canary(world) == third:
        assert oldest not in world.weights
        world.run()
        if world.status.canary is None:
            break
    world.settle()
    assert stable(world) == oldest
    world.wait(10_000)
    assert stable(world) == oldest


def test_an_abort_before_the_rollout_begins_keeps_it_from_beginning() -> None:
    world = served().ask(model={"uri": "http://store/m-2.tar.gz"}).settle()
    assert world.of_kind("Job")
    world.please("abort").settle()
    assert world.condition("Stalled").reason == "Aborted"
    assert world.of_kind("Job") == []


REFUSALS = (
    (served, {"action": "promote"}, "no rollout is under way"),
    (served, {"action": "abort"}, "no rollout is under way"),
    (served, {"action": "retry"}, "nothing is blocked"),
    (served, {"action": "rollback"}, "these can be had: none"),
    (served, {"action": "pause"}, "no rollout is under way"),
    (served, {"action": "resume"}, "no rollout is under way"),
    (under_way, {"action": "promote"}, "goes on by itself"),
    (under_way, {"action": "promote", "revision": "other"}, "not the revision under way"),
    (under_way, {"action": "abort", "revision": "other"}, "not the revision under way"),
    (under_way, {"action": "resume"}, "is not paused"),
    (under_way, {"action": "retry"}, "nothing is blocked"),
    (under_way, {"action": "abort", "full": True}, "full belongs to promote"),
    (taken_back, {"action": "promote"}, "the spec is blocked (Aborted): retry starts it anew"),
    (taken_back, {"action": "abort"}, "the spec is blocked"),
    (taken_back, {"action": "retry", "revision": "other"}, "not what is blocked"),
    (twice_promoted, {"action": "rollback", "revision": "0123456789"}, "these can be had"),
)


@pytest.mark.parametrize(("given", "request_", "why"), REFUSALS, ids=[f"{r[1]} {r[2]}" for r in REFUSALS])
def test_what_cannot_be_done_now_is_refused_with_the_reason_and_changes_nothing(
    given: Any, request_: dict[str, Any], why: str
) -> None:
    world = given()
    before = world.settle().status
    world.request = json.dumps({"id": "new", **request_})
    world.settle()
    told = world.status.requests[0]
    assert told.outcome == "Refused"
    assert why in told.message
    assert world.status.model_copy(update={"requests": before.requests}) == before
    assert world.events[-1].reason == "RequestRefused"


@pytest.mark.parametrize(
    "text", ["promote", "{}", '{"id": "1"}', '{"id": "1", "action": "destroy"}', '{"id": "", "action": "abort"}',
             '{"id": "1", "action": "abort", "force": true}']
)  # fmt: skip
def test_an_annotation_that_is_no_request_is_refused_once(text: str) -> None:
    world = under_way()
    world.request = text
    world.settle()
    assert [entry.outcome for entry in world.status.requests] == ["Refused"]
    assert "sluice.dev/request" in world.status.requests[0].message
    world.wait(3)
    assert len(world.status.requests) == 1
    assert world.status.rollout


def test_the_same_request_is_carried_out_once_also_when_another_came_in_between() -> None:
    world = under_way()
    world.please("abort", id="a").settle()
    first = world.request
    world.please("retry", id="b").settle()
    assert world.status.rollout
    world.request = first
    world.settle().wait(1)
    assert world.status.rollout is not None, "a tool that puts an old annotation back asks for nothing"
    assert [entry.id for entry in world.status.requests] == ["b", "a"]


def test_answers_are_bounded() -> None:
    world = served()
    for number in range(ANSWERS_KEPT + 5):
        world.please("retry", id=str(number)).settle()
    assert len(world.status.requests) == ANSWERS_KEPT


def test_a_request_that_is_found_without_any_status_is_not_carried_out() -> None:
    """A restored backup has the annotation of long ago and no status."""
    world = under_way().please("abort", id="old").settle()
    world.status = ModelDeploymentStatus()
    before = dict(world.weights)
    world.run()
    assert world.weights == before
    world.settle()
    assert [(entry.id, entry.outcome) for entry in world.status.requests] == [("old", "Refused")]
    assert world.status.blocked is None or world.status.blocked.reason != "Aborted"


def test_a_new_resource_that_was_copied_with_an_annotation_starts_as_any_other() -> None:
    world = World(make_spec()).please("abort", id="copied").settle()
    assert world.condition("Promoted").status == "True"
    assert world.status.requests[0].outcome == "Refused"


def test_an_operator_that_dies_right_after_the_answer_carries_the_decision_out_when_it_is_back() -> None:
    world = under_way()
    first = stable(world)
    world.please("abort")
    world.status = world.think().status
    assert world.status.requests[0].outcome == "Done"
    world.settle()
    assert world.weights == {first: 100}
    assert len(world.status.requests) == 1


def test_a_full_promote_of_a_canary_that_was_judged_bad_comes_too_late() -> None:
    world = served(rollout={**HOLD, "analysis": ANALYSIS}).ask_version(2).settle()
    first, second = stable(world), canary(world)
    world.windows = {second: Window(requests=1000, errors=500), first: Window(requests=1000)}
    world.wait(6)
    assert world.status.blocked
    world.please("promote", full=True).settle()
    assert answer(world)[1] == "Refused"
    assert world.weights == {first: 100}


def test_history_says_what_when_and_who() -> None:
    world = twice_promoted()
    entry = world.status.history[0]
    assert entry.requested_by == "argocd"
    assert entry.started_at < entry.finished_at
    assert entry.uri.endswith("m-2.tar.gz")
    assert entry.digest


def test_an_abort_of_the_first_version_takes_it_away() -> None:
    world = World(make_spec())
    world.run()
    world.ready[canary(world)] = False
    world.settle().please("abort").settle()
    assert world.status.rollout is None
    assert world.condition("Stalled").reason == "Aborted"
    assert world.weights == {}
    world.ready.clear()
    world.please("retry").settle()
    assert world.condition("Promoted").status == "True"


def test_phases_that_go_back_take_no_other_request() -> None:
    world = under_way()
    world.routers_follow = False
    world.please("abort", id="1").settle()
    assert world.status.rollout
    assert world.status.rollout.phase is Phase.rolling_back
    world.please("promote", id="2", full=True).settle()
    assert answer(world)[1] == "Refused"


def test_a_full_promote_is_not_stopped_by_a_verdict_any_more() -> None:
    world = served(scaling={"replicas": 4}, rollout={**HOLD, "analysis": ANALYSIS}).ask_version(2).settle()
    second = canary(world)
    world.windows = {second: Window(requests=1000, errors=500), stable(world): Window(requests=1000)}
    world.please("promote", full=True).settle().wait(60)
    assert stable(world) == second


def test_a_full_promote_leaves_a_pause_of_its_step_as_well() -> None:
    steps = [{"weight": 10, "pause": True}, {"weight": 50, "pause": True}]
    world = served(rollout={"steps": steps}).ask_version(2).settle()
    second = canary(world)
    world.please("promote", full=True).settle()
    assert stable(world) == second


def test_a_full_promote_still_asks_who_must_confirm_a_promotion() -> None:
    hook = {"name": "board", "url": "http://board/ask", "gate": "confirmPromotion"}
    world = served(rollout={**HOLD, "webhooks": [hook]}).ask_version(2).settle()
    world.please("promote", full=True).settle()
    assert world.status.rollout
    assert world.weights[canary(world)] == 10
    assert [gate.answer for gate in world.status.rollout.gates] == ["Waiting"]
