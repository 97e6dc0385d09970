"""A reference that moves becomes a canary; one that cannot be looked at, or has not moved, changes nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sluice_operator.api import names
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.observed import Problem, Resolver
from sluice_operator.planning.planner import plan
from sluice_operator.planning.policy import Policy

from .world import IMAGES, World, make_spec

ALIAS = "models:/shop@champion"
INTERVAL = 60
OPEN_STEP = {"steps": [{"weight": 10, "pause": True}]}


def digest(version: int) -> str:
    return f"sha256:{version:064x}"


class Registry:
    """What the alias stands for, and the resolver Jobs that ask it. `down`: it answers nothing."""

    def __init__(self, world: World) -> None:
        self.world, self.version = world, 1
        self.looks: list[str] = []
        self.problem: Problem | None = None
        self.lie: Resolver | None = None

    def answer(self) -> None:
        """Every Job that is there ends, as the resolver in its pod would have it."""
        self.world.resolvers = {}
        for job in self.world.of_kind("Job"):
            key = job["metadata"]["name"].rpartition("-")[2]
            self.world.resolvers[key] = self._word(job)

    def _word(self, job: Any) -> Resolver:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        uri, since = f"models:/shop/{self.version}", stamp(self.world.now)
        if job["metadata"]["name"] not in self.looks:
            self.looks.append(job["metadata"]["name"])
        if self.lie:
            return self.lie
        if self.problem:
            return Resolver("Failed", problem=self.problem, since=since)
        if f'"knownUri":"{uri}"' in container["env"][0]["value"]:
            return Resolver("Succeeded", uri=uri, since=since)
        return Resolver("Succeeded", digest(self.version), version=f"2.{self.version}", uri=uri, since=since)

    def settle(self) -> World:
        """Passes until nothing changes, with Jobs that end at once."""
        for _ in range(12):
            before = self.world.status
            self.world.settle()
            self.answer()
            if self.world.status == before and not self.world.of_kind("Job"):
                return self.world
        raise AssertionError(f"did not settle: {self.world.status}")

    def wait(self, seconds: float) -> World:
        self.world.now += timedelta(seconds=seconds)
        return self.settle()


def following(**changes: Any) -> Registry:
    """A world that serves what the alias stands for, with version 1 promoted."""
    model = {"uri": ALIAS, "endpoint": "http://mlflow:5000", "poll": f"{INTERVAL}s"}
    registry = Registry(World(make_spec() | {"model": model, "rollout": OPEN_STEP} | changes))
    registry.settle()
    return registry


def stable_uri(world: World) -> str:
    assert world.status.stable
    return world.status.stable.uri


def canary_uri(world: World) -> str:
    assert world.status.canary, world.status
    return world.status.canary.uri


def events(world: World, reason: str) -> list[str]:
    return [note.message for note in world.events if note.reason == reason]


def test_a_reference_is_pinned_to_what_it_stands_for() -> None:
    world = following().world
    assert world.status.resolved
    assert (world.status.resolved.uri, world.status.resolved.reference) == ("models:/shop/1", ALIAS)
    (record,) = world.records.values()
    assert (record.uri, record.digest, record.reference) == ("models:/shop/1", digest(1), ALIAS)
    assert world.status.stable
    assert (world.status.stable.model_version, world.status.stable.reference) == ("2.1", ALIAS)
    (deployment,) = (m for m in world.of_kind("Deployment") if m["metadata"]["labels"][names.COMPONENT] == "model")
    for step in ("initContainers", "containers"):
        (container,) = deployment["spec"]["template"]["spec"][step]
        assert '"uri":"models:/shop/1"' in container["env"][0]["value"]


def test_pods_are_of_the_same_revision_by_whatever_reference_their_package_was_found() -> None:
    by_alias = following().world
    named = Registry(World(make_spec(model={"uri": "models:/shop/1", "endpoint": "http://mlflow:5000"}))).settle()
    assert list(named.records) == list(by_alias.records)


def test_a_moved_reference_becomes_a_canary_and_is_promoted() -> None:
    registry = following()
    registry.version = 2
    world = registry.wait(INTERVAL)
    assert (stable_uri(world), canary_uri(world)) == ("models:/shop/1", "models:/shop/2")
    assert world.status.canary
    assert world.weights[world.status.canary.revision] == 10
    assert world.status.canary.model_version == "2.2"
    assert world.status.rollout
    assert world.status.rollout.requested_by == ALIAS
    assert world.condition("Promoted").status == "False"
    assert world.condition("Reconciling").status == "True"
    assert events(world, "ReferenceMoved") == [f"{ALIAS} is models:/shop/2, {digest(2)}"]
    world.please("promote")
    registry.settle()
    assert stable_uri(world) == "models:/shop/2"
    assert world.condition("Promoted").status == "True"
    assert [entry.uri for entry in world.status.history] == ["models:/shop/2", "models:/shop/1"]


def test_it_is_looked_at_once_an_interval_and_nothing_is_left_of_a_look() -> None:
    registry = following()
    world, before = registry.world, len(registry.looks)
    for _ in range(5):
        registry.wait(INTERVAL / 2)
        assert not world.of_kind("Job")
        registry.wait(INTERVAL / 2)
        assert not world.of_kind("Job")
    assert len(registry.looks) == before + 5
    assert len(set(registry.looks)) == len(registry.looks), "each has a name of its own"
    assert world.condition("Promoted").status == "True"
    assert len(events(world, "ModelResolved")) == 1


def test_between_two_looks_nothing_is_written_and_the_next_one_wakes_the_operator() -> None:
    registry = following()
    world = registry.wait(INTERVAL)
    writes = world.writes
    world.wait(INTERVAL / 3)
    assert world.writes == writes
    assert 0.9 * INTERVAL <= INTERVAL / 3 + (world.run().requeue_after or 0) <= INTERVAL


def test_looks_that_began_together_do_not_stay_together() -> None:
    world = following().wait(INTERVAL)
    resources = (replace(world.resource, uid=f"uid-{number}") for number in range(100))
    waits = [plan(one, world.observe(), world.now, IMAGES).requeue_after or 0 for one in resources]
    assert all(0.9 * INTERVAL <= wait <= INTERVAL for wait in waits)
    assert len({int(10 * wait) for wait in waits}) > 30, "tenths of a second"


def test_looks_that_were_missed_come_when_the_next_ones_would_have() -> None:
    world = following().wait(INTERVAL)
    later = world.now + timedelta(seconds=1000 * INTERVAL)
    plans = [
        plan(replace(world.resource, uid=f"uid-{number}"), world.observe(), later, IMAGES) for number in range(200)
    ]
    begun = [one for one in plans if one.status.poll and one.status.poll.running]
    assert 70 <= len(begun) <= 130, "half of a minute: by so much a look may be late"
    waits = [one.requeue_after or 0 for one in plans if one not in begun]
    assert all(0 < wait <= 0.5 * INTERVAL for wait in waits)
    assert len({int(wait) for wait in waits}) > 20, "seconds"


def test_a_look_has_begun_before_its_job_is_made_and_there_is_one_at_a_time() -> None:
    registry = following()
    world = registry.world
    world.now += timedelta(seconds=INTERVAL)
    decided = world.think()
    assert decided.status.poll
    assert decided.status.poll.running
    assert [m["kind"] for m in decided.objects].count("Job") == 1
    # An operator that died here, with the decision written, makes the very same Job; and later ones do not add another.
    world.status = ModelDeploymentStatus.model_validate(decided.status.to_json())
    first = [m for m in decided.objects if m["kind"] == "Job"]
    for _ in range(3):
        world.run()
        assert world.of_kind("Job") == first
        world.now += timedelta(seconds=INTERVAL)


def test_without_poll_a_reference_is_resolved_once() -> None:
    registry = following(model={"uri": ALIAS, "endpoint": "http://mlflow:5000"})
    registry.version = 2
    world = registry.wait(10 * INTERVAL)
    assert (stable_uri(world), world.status.canary) == ("models:/shop/1", None)
    assert len(registry.looks) == 1


def test_polling_begins_and_ends_without_a_new_revision() -> None:
    model = {"uri": ALIAS, "endpoint": "http://mlflow:5000"}
    registry = following(model=model)
    first = registry.world.status.stable
    registry.world.ask(model={**model, "poll": "10s"})
    registry.settle()
    assert registry.world.status.stable == first
    assert registry.world.condition("ReferenceFollowed").status == "True"
    registry.world.ask(model=model)
    registry.settle()
    assert registry.world.status.stable == first
    assert registry.world.status.poll is None


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


def canary_or_none(world: World) -> str | None:
    return world.status.canary.uri if world.status.canary else None


def taken_back(version: int) -> Registry:
    """Version 1 serves; the alias went on to another one, which was aborted."""
    registry = following()
    registry.version = version
    registry.wait(INTERVAL)
    registry.world.please("abort")
    registry.settle()
    return registry


def test_a_version_that_was_taken_back_stays_so_until_the_reference_moves_again() -> None:
    registry = taken_back(2)
    for _ in range(3):
        world = registry.wait(INTERVAL)
        assert (stable_uri(world), world.status.canary) == ("models:/shop/1", None)
        assert world.condition("Stalled").status == "True"
        assert world.condition("Promoted").status == "False"
    registry.version = 3
    world = registry.wait(INTERVAL)
    assert canary_uri(world) == "models:/shop/3"
    assert world.condition("Stalled").status == "False"


def test_a_reference_that_goes_back_to_what_serves_is_at_rest() -> None:
    registry = taken_back(2)
    registry.version = 1
    world = registry.wait(INTERVAL)
    assert (stable_uri(world), world.status.canary) == ("models:/shop/1", None)
    assert world.condition("Promoted").status == "True"
    assert world.condition("Stalled").status == "False"


def test_a_retry_tries_what_the_reference_stands_for() -> None:
    registry = taken_back(2)
    registry.world.please("retry")
    world = registry.settle()
    assert canary_uri(world) == "models:/shop/2"


def test_a_reference_that_moves_on_while_its_version_is_taken_back_is_not_held_against_it() -> None:
    registry = following()
    registry.version = 2
    world = registry.wait(INTERVAL)
    world.routers_follow = False
    world.please("abort").run()
    registry.version = 3
    registry.wait(INTERVAL)
    assert canary_uri(world) == "models:/shop/2", "its traffic has not been seen to leave"
    world.routers_follow = True
    world.run()
    assert canary_uri(registry.settle()) == "models:/shop/3"


def test_a_reference_that_moves_during_a_rollout_supersedes_it() -> None:
    registry = following()
    registry.version = 2
    registry.wait(INTERVAL)
    registry.version = 3
    world = registry.wait(INTERVAL)
    assert (stable_uri(world), canary_uri(world)) == ("models:/shop/1", "models:/shop/3")
    (left,) = (entry for entry in world.status.history if entry.uri == "models:/shop/2")
    assert (left.outcome, left.message) == ("Superseded", f"{ALIAS} stands for models:/shop/3 now")


def test_a_rollback_by_request_holds_until_the_reference_moves() -> None:
    registry = following()
    registry.version = 2
    world = registry.wait(INTERVAL)
    world.please("promote")
    registry.settle()
    assert stable_uri(world) == "models:/shop/2"
    world.please("rollback")
    registry.settle()
    for _ in range(2):
        assert stable_uri(registry.wait(INTERVAL)) == "models:/shop/1"
        assert world.condition("Stalled").status == "True"
    registry.version = 3
    assert canary_uri(registry.wait(INTERVAL)) == "models:/shop/3"


def test_a_reference_that_returns_to_a_former_version_goes_straight_back() -> None:
    registry = following()
    registry.version = 2
    world = registry.wait(INTERVAL)
    world.please("promote")
    registry.settle()
    registry.version = 1
    assert stable_uri(registry.wait(INTERVAL)) == "models:/shop/1"


def test_a_former_spec_returns_to_what_it_was_and_is_looked_at_at_once() -> None:
    registry = following(rollout={})
    model = registry.world.spec["model"]
    registry.world.ask(model={"uri": "http://store/other.tar.gz", "digest": digest(9)})
    registry.wait(INTERVAL)
    registry.version = 2
    registry.world.ask(model=model).settle()
    assert stable_uri(registry.world) == "models:/shop/1", "without waiting for anybody"
    assert stable_uri(registry.settle()) == "models:/shop/2"


def test_a_reference_that_nobody_could_resolve_is_tried_again() -> None:
    registry = Registry(World(make_spec(model={"uri": ALIAS, "endpoint": "http://mlflow:5000", "poll": "60s"})))
    registry.problem = FAILURES["no such alias"]
    world = registry.settle()
    assert world.condition("Stalled").reason == "SourceNotFound"
    registry.problem = None
    assert stable_uri(registry.wait(INTERVAL)) == "models:/shop/1"
    assert world.condition("Stalled").status == "False"


@pytest.mark.parametrize(("named", "looking"), [(None, "runtime:2"), ("own:1", "own:1")])
def test_a_look_is_of_todays_release_and_the_pods_stay_what_they_are(named: str | None, looking: str) -> None:
    """An image of a former release refuses settings that came later, such as knownUri."""
    registry = following(runtime={"image": named} if named else {})
    world = registry.world
    world.now += timedelta(seconds=INTERVAL)
    world.run()
    upgraded = plan(world.resource, world.observe(), world.now, replace(IMAGES, runtime="runtime:2"))
    pods = {
        m["metadata"]["labels"][names.COMPONENT]: m["spec"]["template"]["spec"]["containers"][0]
        for m in upgraded.objects
        if m["kind"] in ("Job", "Deployment")
    }
    assert pods["resolver"]["image"] == looking
    assert '"knownUri":"models:/shop/1"' in pods["resolver"]["env"][0]["value"]
    assert pods["model"]["image"] == (named or IMAGES.runtime)


def test_a_look_needs_no_default_image_where_a_version_has_one() -> None:
    registry = following()
    world = registry.world
    world.now += timedelta(seconds=INTERVAL)
    world.run()
    without = plan(world.resource, world.observe(), world.now, replace(IMAGES, runtime=""))
    (job,) = (m for m in without.objects if m["kind"] == "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGES.runtime


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
