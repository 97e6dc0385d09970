"""A reference that moves becomes a canary; one that cannot be looked at, or has not moved, changes nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sluice_operator.api import names
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning.planner import plan

from .registry import ALIAS, INTERVAL, Registry, canary_uri, digest, events, following, stable_uri
from .world import IMAGES, World, make_spec


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
