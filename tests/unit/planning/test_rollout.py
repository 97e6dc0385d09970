"""Whole rollouts, pass by pass, in a world without a cluster."""

from typing import Any

import pytest

from sluice_operator.api.status import ModelDeploymentStatus, Phase
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.observed import Problem, Resolver, Window
from sluice_operator.planning.planner import Images, plan
from sluice_operator.planning.waking import SLOW_POLL

from .world import DIGEST, START, World, make_spec

ANALYSIS = {
    "interval": "5s",
    "minRequests": 50,
    "failureLimit": 1,
    "inconclusiveDeadline": "60s",
    "checks": [{"metric": "errorRate", "max": 0.01}],
}


def served(**changes: Any) -> World:
    """A world in which version 1 is stable."""
    world = World(make_spec(**changes)).settle()
    assert world.status.stable is not None
    assert world.condition("Ready").status == "True"
    return world


def stable_of(world: World) -> str:
    assert world.status.stable
    return world.status.stable.revision


def test_the_first_version_gets_everything_as_soon_as_it_is_ready() -> None:
    world = World(make_spec())
    world.run()
    assert world.status.canary is not None
    assert world.weights == {}
    world.settle()
    assert world.weights == {stable_of(world): 100}
    assert world.condition("Promoted").status == "True"
    assert world.condition("Reconciling").status == "False"


def test_the_first_version_gets_nothing_before_it_is_ready() -> None:
    world = World(make_spec())
    world.run()
    assert world.status.canary
    world.ready[world.status.canary.revision] = False
    world.settle().wait(3600)
    assert world.weights == {}
    assert world.condition("Ready").status == "False"
    assert world.status.rollout is not None


def test_a_second_version_walks_the_steps_and_is_promoted() -> None:
    world = served()
    first = stable_of(world)
    world.ask_version(2).settle()
    assert world.status.canary
    second = world.status.canary.revision
    seen = [dict(world.weights)]
    for _ in range(2):
        world.wait(10.1)
        seen.append(dict(world.weights))
    assert seen == [{first: 90, second: 10}, {first: 50, second: 50}, {second: 100}]
    assert stable_of(world) == second
    assert [entry.revision for entry in world.status.draining] == [first]
    world.wait(31)
    assert set(world.wanted) == {second}
    assert first in world.records


def test_no_weight_moves_before_the_routers_know_the_canary() -> None:
    world = served()
    world.routers_follow = False
    world.ask_version(2).settle()
    world.wait(300)
    assert world.status.rollout
    assert world.status.rollout.weight == 0, "no weight before the routers know the canary's members"
    assert stable_of(world) in world.weights


def test_routers_that_lag_hold_the_rollout() -> None:
    world = served().ask_version(2)
    while not (world.status.rollout and world.status.rollout.weight):
        world.run()
    world.router_version = "old"
    world.routers_follow = False
    world.wait(300)
    assert world.status.rollout.weight == 10
    assert world.status.rollout.hold_started_at is None


def test_a_canary_that_never_gets_ready_is_taken_back_and_stays_blocked() -> None:
    world = served()
    first = stable_of(world)
    world.ask_version(2).run()
    assert world.status.canary
    world.ready[world.status.canary.revision] = False
    world.settle().wait(599)
    assert world.status.rollout is not None
    world.wait(2)
    assert world.status.rollout is None
    assert world.weights == {first: 100}
    assert world.condition("Stalled").status == "True"
    assert world.condition("Ready").status == "True"
    assert world.condition("Promoted").status == "False"
    assert set(world.wanted) == {first}
    world.wait(10_000)
    assert world.status.blocked is not None


def test_a_permanent_problem_takes_the_canary_back_at_once_and_is_told_once() -> None:
    world = served().ask_version(2)
    world.run()
    assert world.status.canary
    bad = world.status.canary.revision
    world.ready[bad] = False
    world.problems[bad] = Problem("DigestMismatch", "the package is another one", permanent=True)
    world.settle()
    assert world.status.reason == "DigestMismatch"
    world.wait(100).wait(100)
    assert [note.reason for note in world.events].count("DigestMismatch") == 1


def test_a_blocked_version_gives_way_to_a_new_spec() -> None:
    world = served().ask_version(2)
    world.run()
    assert world.status.canary
    bad = world.status.canary.revision
    world.ready[bad] = False
    world.problems[bad] = Problem("DigestMismatch", "", permanent=True)
    world.settle().ask_version(3).settle()
    assert world.status.blocked is None
    assert world.status.rollout is not None


def test_too_many_failed_measurements_take_the_canary_back() -> None:
    world = served()
    first = stable_of(world)
    world.ask(rollout={"steps": [{"weight": 10, "hold": "60s"}], "analysis": ANALYSIS}).ask_version(2).settle()
    assert world.status.canary
    world.windows = {world.status.canary.revision: Window(requests=100, errors=20)}
    world.wait(5.1)
    assert world.status.rollout
    assert world.status.rollout.analysis.failed == 1
    world.wait(5.1)
    assert world.status.rollout is None
    assert world.status.blocked
    assert world.status.blocked.reason == "AnalysisFailed"
    assert world.weights == {first: 100}


def test_a_step_waits_for_a_verdict_and_gives_up_at_the_deadline() -> None:
    world = served()
    world.ask(rollout={"steps": [{"weight": 10, "hold": "10s"}], "analysis": ANALYSIS}).ask_version(2).settle()
    world.windows = None
    world.wait(30).wait(30)
    assert world.status.rollout
    assert world.status.rollout.phase is Phase.stepping
    world.wait(30)
    assert world.status.blocked
    assert world.status.blocked.reason == "AnalysisInconclusive"


def test_without_data_a_rollout_may_proceed_where_the_spec_says_so() -> None:
    world = served()
    proceed = {**ANALYSIS, "onInconclusive": "Proceed"}
    world.ask(rollout={"steps": [{"weight": 10, "hold": "10s"}], "analysis": proceed}).ask_version(2).settle()
    world.windows = None
    world.wait(71)
    world.wait(6)
    assert world.status.rollout is None
    assert world.status.blocked is None


def test_a_passing_canary_is_promoted() -> None:
    world = served()
    world.ask(rollout={"steps": [{"weight": 10, "hold": "10s"}], "analysis": ANALYSIS}).ask_version(2).settle()
    assert world.status.canary
    second = world.status.canary.revision
    world.windows = {second: Window(requests=100, errors=0)}
    world.wait(5.1).wait(5.1)
    assert stable_of(world) == second


def test_a_third_version_drains_the_canary_first() -> None:
    world = served()
    first = stable_of(world)
    world.ask_version(2).settle()
    assert world.status.canary
    second = world.status.canary.revision
    world.ask_version(3)
    while world.status.canary and world.status.canary.revision == second:
        world.run()
        assert world.weights.get(first, 0) >= 90
    assert world.weights == {first: 100}
    world.settle()
    assert world.status.blocked is None
    assert world.status.canary.revision not in (first, second)
    assert [entry.revision for entry in world.status.draining] == [second]


def test_going_back_to_a_former_version_skips_the_steps() -> None:
    world = served()
    first = stable_of(world)
    world.ask_version(2).settle().wait(10.1).wait(10.1)
    world.wait(60)
    world.ask_version(1).settle()
    assert stable_of(world) == first
    assert world.weights == {first: 100}


def test_going_back_to_stable_mid_rollout_drains_the_canary_and_blocks_nothing() -> None:
    world = served()
    first = stable_of(world)
    world.ask_version(2).settle()
    world.ask_version(1).settle()
    assert world.status.rollout is None
    assert world.status.blocked is None
    assert world.weights == {first: 100}
    assert world.condition("Promoted").status == "True"


def test_stable_keeps_its_pods_and_the_canary_has_its_share_before_its_weight() -> None:
    world = served(scaling={"replicas": 4})
    first = stable_of(world)
    world.ask_version(2).settle()
    assert world.status.canary
    second = world.status.canary.revision
    assert world.wanted == {first: 4, second: 1}
    world.wait(10.1)
    assert world.wanted == {first: 4, second: 2}
    world.wait(10.1)
    assert world.wanted == {first: 4, second: 4}


def test_a_canary_that_loses_its_pods_loses_its_traffic_and_may_come_back() -> None:
    world = served().ask_version(2).settle()
    first = stable_of(world)
    assert world.status.canary
    second = world.status.canary.revision
    world.ready[second] = False
    world.settle()
    assert world.weights == {first: 100}
    world.ready[second] = True
    world.settle()
    assert world.weights == {first: 90, second: 10}


def test_a_uri_without_a_digest_is_resolved_once_before_any_pod() -> None:
    world = World(make_spec(model={"uri": "http://store/m-1.tar.gz"}))
    world.settle()
    (job,) = world.of_kind("Job")
    assert not world.wanted
    world.resolvers = {job["metadata"]["name"].rsplit("-", 1)[1]: Resolver("Succeeded", digest=DIGEST)}
    world.settle()
    assert not world.of_kind("Job")
    assert world.status.stable
    assert world.status.stable.digest == DIGEST


def test_a_uri_that_cannot_be_resolved_is_refused_with_its_reason() -> None:
    world = served()
    first = stable_of(world)
    world.ask(model={"uri": "http://store/missing.tar.gz"}).settle()
    (job,) = world.of_kind("Job")
    spec_hash = job["metadata"]["name"].rsplit("-", 1)[1]
    world.resolvers = {spec_hash: Resolver("Failed", problem=Problem("SourceNotFound", "404", True))}
    world.settle()
    assert world.status.reason == "SourceNotFound"
    assert world.weights == {first: 100}
    assert [note.reason for note in world.events].count("SourceNotFound") == 1


def resolving(world: World, resolver: Resolver) -> World:
    """A world that asks for a version whose digest is not known, with a resolver in this state."""
    world.ask(model={"uri": "http://store/other.tar.gz"}).settle()
    (job,) = world.of_kind("Job")
    world.resolvers = {job["metadata"]["name"].rsplit("-", 1)[1]: resolver}
    return world.settle()


def test_what_keeps_a_resolver_waiting_is_told_at_once_and_refused_at_the_ready_deadline() -> None:
    problem = Problem("MountFailed", "secret no-such-secret not found")
    world = resolving(served(), Resolver("Running", problem=problem, since=stamp(START)))
    first = stable_of(world)
    assert world.status.reason == "MountFailed"
    assert problem.message in world.condition("Reconciling").message
    assert world.condition("Stalled").status == "False"
    assert world.run().requeue_after == SLOW_POLL, "a pod that cannot mount tells it in no event that is watched"
    world.wait(600)
    assert (world.status.reason, world.condition("Stalled").message) == ("MountFailed", problem.message)
    assert [note.reason for note in world.events].count("MountFailed") == 1
    assert world.weights == {first: 100}


def test_a_resolver_that_gives_no_reason_is_given_up_at_the_ready_deadline() -> None:
    world = resolving(served(), Resolver("Running", since=stamp(START))).wait(600)
    assert world.status.reason == "NotResolvedInTime"


def test_a_first_version_beyond_its_ready_deadline_is_looked_at_in_peace() -> None:
    world = World(make_spec())
    world.run()
    world.ready = dict.fromkeys(world.wanted, False)
    assert world.wait(3600).run().requeue_after == 5.0


def test_at_rest_a_pass_changes_nothing() -> None:
    world = served()
    writes = world.writes
    decided = world.run()
    assert world.writes == writes
    assert decided.events == ()
    assert decided.requeue_after is None


def test_a_lost_status_is_rebuilt_from_the_routers_and_moves_no_traffic() -> None:
    world = served().ask_version(2).settle()
    weights = dict(world.weights)
    stable = stable_of(world)
    world.status = ModelDeploymentStatus()
    world.run()
    assert stable_of(world) == stable
    assert world.weights == weights
    world.settle()
    assert world.weights == weights
    world.wait(10.1)
    world.wait(10.1)
    assert stable_of(world) != stable


def test_a_missing_record_prunes_nothing() -> None:
    world = served()
    world.ask_version(2)
    world.records = {}
    assert world.think().prune is False


@pytest.mark.parametrize("field", ["hostNetwork", "hostPID", "serviceAccountName", "securityContext"])
def test_a_template_that_would_raise_privileges_is_refused(field: str) -> None:
    world = served()
    first = stable_of(world)
    world.ask(runtime={"podTemplate": {"spec": {field: True}}}).settle()
    assert world.condition("Stalled").reason == "PodTemplateRefused"
    assert field in world.condition("Stalled").message
    assert world.weights == {first: 100}


def test_an_operator_upgrade_restarts_no_pod() -> None:
    world = served()
    upgraded = plan(world.resource, world.observe(), world.now, Images("runtime:2", "envoy:1"))
    deployments = [m for m in upgraded.objects if m["kind"] == "Deployment"]
    assert deployments == world.of_kind("Deployment")
