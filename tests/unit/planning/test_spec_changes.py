"""What a change of the spec does: a new revision where it shapes pods, nothing but what it says where it does not."""

from typing import Any

import pytest

from .world import World, make_spec

STEPS = [{"weight": 10, "hold": "10s"}, {"weight": 50, "hold": "10s"}]
ANALYSIS = {"interval": "5s", "checks": [{"metric": "errorRate", "max": 0.01}]}
REQUESTS = {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}

SHAPES_PODS: dict[str, dict[str, Any]] = {
    "another package": {"model": {"uri": "http://store/m-2.tar.gz", "digest": "sha256:" + "1" * 64}},
    "another digest": {"model": {"uri": "http://store/m-1.tar.gz", "digest": "sha256:" + "1" * 64}},
    "credentials": {
        "model": {**make_spec()["model"], "credentials": {"secretRef": {"name": "store"}}},
    },
    "an image": {"runtime": {"image": "mine:1"}},
    "resources": {"runtime": REQUESTS},
    "batching": {"runtime": {"batching": {"maxSize": 1}}},
    "the pod template": {"runtime": {"podTemplate": {"spec": {"nodeSelector": {"pool": "models"}}}}},
}
APPLIES_AT_ONCE: dict[str, dict[str, Any]] = {
    "a number of pods": {"scaling": {"replicas": 3}},
    "least pods": {"scaling": {"minReplicas": 2}},
    "steps": {"rollout": {"steps": [{"weight": 1, "hold": "1h", "pause": True}]}},
    "no steps": {"rollout": {}},
    "a pause": {"rollout": {"steps": STEPS, "paused": True}},
    "deadlines": {"rollout": {"steps": STEPS, "readyDeadline": "1m", "drainDelay": "1s"}},
    "an analysis": {"rollout": {"steps": STEPS, "analysis": ANALYSIS}},
    "routers": {"router": {"replicas": 3}},
    "resources of routers": {"router": {"resources": {"requests": {"cpu": "50m"}}}},
    "memory of former revisions": {"revisionHistoryLimit": 3},
    "what is the default anyway": {"runtime": {"batching": {"maxSize": 64}}},
}


def pods(world: World) -> list[Any]:
    """Pod templates of the models."""
    return [m["spec"]["template"] for m in world.of_kind("Deployment") if "-router" not in m["metadata"]["name"]]


@pytest.mark.parametrize("change", SHAPES_PODS.values(), ids=list(SHAPES_PODS))
def test_what_shapes_pods_makes_a_revision_that_walks_the_steps(change: dict[str, Any]) -> None:
    world = World(make_spec()).settle()
    before = pods(world)
    world.ask(**change).settle()
    assert world.status.canary
    assert world.weights[world.status.canary.revision] == 10
    assert before[0] in pods(world), "stable is left alone"


@pytest.mark.parametrize("change", APPLIES_AT_ONCE.values(), ids=list(APPLIES_AT_ONCE))
def test_what_does_not_shape_pods_applies_at_once_and_restarts_nothing(change: dict[str, Any]) -> None:
    world = World(make_spec()).settle()
    before, stable = pods(world), world.status.stable
    world.ask(**change).settle()
    assert world.status.canary is None
    assert pods(world) == before
    assert world.status.stable
    assert stable
    assert world.status.stable.revision == stable.revision
    assert world.condition("Promoted").status == "True"
    assert world.condition("Promoted").observed_generation == world.generation


@pytest.mark.parametrize("change", APPLIES_AT_ONCE.values(), ids=list(APPLIES_AT_ONCE))
def test_a_spec_that_was_taken_back_stays_so_when_nothing_of_its_pods_changes(change: dict[str, Any]) -> None:
    world = World(make_spec()).settle().ask_version(2).settle().please("abort").settle()
    assert world.condition("Stalled").status == "True"
    world.ask(**change).settle().wait(1000)
    assert world.status.rollout is None
    assert world.condition("Stalled").status == "True"
    assert world.condition("Stalled").observed_generation == world.generation
    assert world.condition("Reconciling").status == "False"


OTHER_STEPS: tuple[tuple[str, list[int], int], ...] = (
    ("the same", [10, 50], 50),
    ("a later one is added", [10, 50, 80], 50),
    ("an earlier one is added", [5, 50], 50),
    ("its own is taken out", [10, 80], 10),
    ("all are lower", [5, 20], 20),
    ("all are higher", [60, 70], 60),
    ("none", [], 100),
)


@pytest.mark.parametrize(("case", "weights", "then"), OTHER_STEPS, ids=[row[0] for row in OTHER_STEPS])
def test_steps_that_change_on_the_way_go_on_at_the_last_one_that_is_not_higher(
    case: str, weights: list[int], then: int
) -> None:
    # At 50 %, the second of two steps
    world = World(make_spec()).settle().ask_version(2).settle().wait(10.1)
    assert world.status.canary
    second = world.status.canary.revision
    assert world.weights[second] == 50
    world.ask(rollout={"steps": [{"weight": weight, "hold": "10s"} for weight in weights]}).settle()
    assert world.weights[second] == then
    world.wait(10.1).wait(10.1).wait(10.1)
    assert world.weights == {second: 100}


def test_the_hold_and_the_verdicts_of_a_step_that_stays_are_kept() -> None:
    world = World(make_spec()).settle().ask_version(2).settle().wait(6)
    world.ask(rollout={"steps": [{"weight": 5, "hold": "10s"}, *STEPS]}).settle()
    assert world.status.step == "2/3"
    world.wait(4.1)
    assert world.status.step == "3/3"


def test_a_step_that_was_put_in_its_place_is_held_from_its_own_beginning() -> None:
    world = World(make_spec()).settle().ask_version(2).settle().wait(9)
    world.ask(rollout={"steps": [{"weight": 5, "hold": "10s"}, {"weight": 20, "hold": "10s"}]}).settle()
    world.wait(9)
    assert world.status.step == "1/2"


def test_a_changed_hold_counts_from_when_the_step_began() -> None:
    world = World(make_spec()).settle().ask_version(2).settle().wait(5)
    world.ask(rollout={"steps": [{"weight": 10, "hold": "4s"}, STEPS[1]]}).settle()
    assert world.status.step == "2/2"
