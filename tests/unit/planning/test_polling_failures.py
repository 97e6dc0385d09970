"""A look that fails, hangs, lies or was begun by another's clock harms nothing."""

from datetime import timedelta

import pytest

from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning.observed import Problem, Resolver
from sluice_operator.planning.policy import Policy

from .registry import (
    ALIAS,
    INTERVAL,
    OPEN_STEP,
    Registry,
    canary_or_none,
    canary_uri,
    digest,
    events,
    following,
    stable_uri,
)
from .world import World, make_spec

FAILURES = {
    "no such alias": Problem("SourceNotFound", "the alias is gone", permanent=True),
    "registry away": Problem("SourceUnreachable", "no route"),
}


@pytest.mark.parametrize("problem", FAILURES.values(), ids=FAILURES)
def test_a_look_that_fails_is_told_once_and_harms_nothing(problem: Problem) -> None:
    registry = following()
    before = registry.world.status.stable
    registry.problem = problem
    for _ in range(3):
        world = registry.wait(INTERVAL)
        assert world.status.stable == before
        assert world.weights == {before.revision: 100}  # type: ignore[union-attr]
        assert world.condition("ReferenceFollowed").reason == problem.reason
        assert problem.message in world.condition("ReferenceFollowed").message
        assert [world.condition(kind).status for kind in ("Ready", "Promoted", "Stalled")] == ["True", "True", "False"]
    assert "3 times" in world.condition("ReferenceFollowed").message
    assert len(events(world, problem.reason)) == 1
    registry.problem = None
    registry.version = 2
    assert canary_uri(registry.wait(INTERVAL)) == "models:/shop/2"
    assert world.condition("ReferenceFollowed").status == "True"


def test_a_look_that_does_not_end_is_given_up_and_begun_again_at_its_time() -> None:
    registry = following(rollout={**OPEN_STEP, "readyDeadline": "30s"})
    world = registry.world
    world.resolvers = {}
    world.wait(INTERVAL)
    assert len(world.of_kind("Job")) == 1
    world.wait(31)
    assert not world.of_kind("Job")
    assert world.condition("ReferenceFollowed").reason == "NotResolvedInTime"
    assert canary_or_none(registry.wait(INTERVAL - 31)) is None
    assert world.condition("ReferenceFollowed").status == "True"


@pytest.mark.parametrize("ahead", [2, 2 * INTERVAL, 365 * 86400], ids=["a moment", "some minutes", "a year"])
@pytest.mark.parametrize("under_way", [False, True], ids=["after a look", "during a look"])
def test_a_clock_that_was_ahead_holds_no_look_up_for_long_once_it_is_set_right(
    ahead: float, *, under_way: bool
) -> None:
    registry = following(rollout={**OPEN_STEP, "readyDeadline": f"{INTERVAL}s"})
    world = registry.world
    world.now += timedelta(seconds=ahead)
    registry.settle()
    world.now += timedelta(seconds=INTERVAL)
    if under_way:
        world.resolvers = {}
        while not world.of_kind("Job"):
            world.wait(world.run().requeue_after or 0)
    else:
        registry.settle()
    world.now -= timedelta(seconds=ahead)
    registry.version = 2
    # Twice the interval at the most, and the same again for a look that is given up.
    for _ in range(4):
        world.wait(INTERVAL)
        if not under_way or world.condition("ReferenceFollowed").status == "False":
            registry.answer()
            registry.settle()
    assert canary_or_none(world) == "models:/shop/2"


def test_a_look_that_another_replica_began_with_its_clock_a_little_ahead_is_not_given_up() -> None:
    registry = following()
    world = registry.world
    world.resolvers = {}
    world.wait(INTERVAL)
    world.now -= timedelta(seconds=1)
    world.settle()
    assert len(world.of_kind("Job")) == 1
    assert world.condition("ReferenceFollowed").status == "True"


def test_a_reference_that_nobody_could_resolve_is_tried_again() -> None:
    registry = Registry(World(make_spec(model={"uri": ALIAS, "endpoint": "http://mlflow:5000", "poll": "60s"})))
    registry.problem = FAILURES["no such alias"]
    world = registry.settle()
    assert world.condition("Stalled").reason == "SourceNotFound"
    registry.problem = None
    assert stable_uri(registry.wait(INTERVAL)) == "models:/shop/1"
    assert world.condition("Stalled").status == "False"


def test_after_a_lost_status_what_serves_is_looked_at_again() -> None:
    registry = following()
    world = registry.world
    world.status = ModelDeploymentStatus()
    registry.settle()
    assert stable_uri(world) == "models:/shop/1"
    assert world.condition("Promoted").status == "True"
    world.status = ModelDeploymentStatus()
    registry.version = 2
    assert canary_uri(registry.settle()) == "models:/shop/2"


def test_a_moved_reference_to_what_the_cluster_refuses_is_looked_at_further() -> None:
    registry = following()
    world = registry.world
    world.demands = Policy(require_signature=True)
    registry.version = 2
    registry.wait(INTERVAL)
    assert (stable_uri(world), world.status.canary) == ("models:/shop/1", None)
    assert world.condition("Stalled").reason == "PolicyViolation"
    registry.version = 1
    registry.wait(INTERVAL)
    assert world.condition("Stalled").status == "False"
    assert world.condition("Promoted").status == "True"


def test_a_reference_that_a_person_aborted_before_it_was_resolved_is_left_alone() -> None:
    registry = Registry(World(make_spec(model={"uri": ALIAS, "endpoint": "http://mlflow:5000", "poll": "60s"})))
    world = registry.world.settle()
    world.please("abort").settle()
    assert registry.wait(10 * INTERVAL).status.stable is None
    assert world.condition("Stalled").reason == "Aborted"
    assert registry.looks == []


LIES = {
    "another model": Resolver("Succeeded", digest(2), uri="models:/other/2"),
    "another store": Resolver("Succeeded", digest(2), uri="s3://anywhere/shop/2"),
    "a claim": Resolver("Succeeded", digest(2), uri="pvc://payroll/shop"),
    "what moves itself": Resolver("Succeeded", digest(2), uri="models:/shop@challenger"),
    "the reference itself": Resolver("Succeeded", digest(2)),
    "no URI at all": Resolver("Succeeded", digest(2), uri="no uri"),
    "no digest": Resolver("Succeeded", "", uri="models:/shop/2"),
    "another kind of digest": Resolver("Succeeded", "sha256:1", uri="models:/shop/2"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_answer_that_cannot_be_true_is_not_believed(lie: Resolver) -> None:
    """It comes from a pod, and whose image that runs may be the spec's choice."""
    registry = following()
    registry.lie = lie
    world = registry.wait(INTERVAL)
    assert (stable_uri(world), world.status.canary) == ("models:/shop/1", None)
    assert world.condition("ReferenceFollowed").reason == "ResolverFailed"
    first = Registry(World(make_spec(model={"uri": ALIAS, "endpoint": "http://mlflow:5000"})))
    first.lie = lie
    assert first.settle().condition("Stalled").reason == "ResolverFailed"
