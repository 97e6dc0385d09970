"""Rollouts driven through random orders of events: what must hold after every single write."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sluice_operator.api import names
from sluice_operator.api.request import Action
from sluice_operator.api.status import ModelDeploymentStatus, Phase
from sluice_operator.planning.observed import Problem, Window
from sluice_operator.planning.traffic import wanted_traffic

from .world import World, make_spec

ANALYSIS = {
    "interval": "5s",
    "minRequests": 50,
    "failureLimit": 1,
    "inconclusiveDeadline": "60s",
    "checks": [{"metric": "errorRate", "max": 0.01}],
}

MATCH = [{"header": {"name": "x-tester", "present": True}}]


def model_revision(manifest: Any) -> str | None:
    """The revision whose pods a manifest makes."""
    labels = manifest["metadata"]["labels"]
    return labels.get(names.REVISION) if manifest["kind"] == "Deployment" else None


class Rollouts(RuleBasedStateMachine):
    """Specs change, pods come and go, metrics fail, routers lag, the operator dies between writes."""

    def __init__(self) -> None:
        super().__init__()
        steps = [{"weight": 10, "hold": "10s"}, {"weight": 50, "hold": "10s"}]
        rollout = {"steps": steps, "analysis": ANALYSIS, "match": MATCH, "mirror": {"hold": "5s"}}
        self.world = World(make_spec(scaling={"replicas": 3}, rollout=rollout))
        self.world.settle()
        self.asked = 0

    @rule(action=st.sampled_from(list(Action)), full=st.booleans())
    def a_person_asks(self, action: Action, full: bool) -> None:
        self.asked += 1
        self.world.please(action.value, id=str(self.asked), full=full and action is Action.promote)

    @rule(to=st.integers(0, 3))
    def a_person_asks_for_a_former_revision(self, to: int) -> None:
        self.asked += 1
        past = self.world.status.history
        self.world.please("rollback", id=str(self.asked), revision=past[to % len(past)].revision if past else "")

    @rule()
    def an_old_request_is_put_back(self) -> None:
        self.world.please("abort", id=str(max(1, self.asked - 1)))

    @rule(weights=st.sampled_from([[10, 50], [5, 20, 40], [80], []]), pause=st.booleans(), paused=st.booleans())
    def the_steps_change(self, weights: list[int], pause: bool, paused: bool) -> None:
        steps = [{"weight": weight, "hold": "10s", "pause": pause} for weight in weights]
        self.world.ask(rollout={"steps": steps, "analysis": ANALYSIS, "match": MATCH, "paused": paused})

    @rule(number=st.integers(1, 4))
    def another_version(self, number: int) -> None:
        self.world.ask_version(number)

    @rule()
    def a_pass(self) -> None:
        self.world.run()

    @rule()
    def the_operator_dies_after_the_status_write(self) -> None:
        self.world.status = ModelDeploymentStatus.model_validate(self.world.think().status.to_json())

    @rule()
    def the_operator_dies_before_the_status_write(self) -> None:
        self.world.think()

    @rule(seconds=st.sampled_from([0.5, 5.1, 31.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += timedelta(seconds=seconds)

    @property
    def canary(self) -> str:
        assert self.world.status.canary
        return self.world.status.canary.revision

    @precondition(lambda self: self.world.status.canary)
    @rule(ready=st.booleans())
    def the_canary_changes(self, ready: bool) -> None:
        self.world.ready[self.canary] = ready

    @precondition(lambda self: self.world.status.canary)
    @rule()
    def the_canary_breaks(self) -> None:
        self.world.problems[self.canary] = Problem("CrashLoop", "exit 1", permanent=True)

    @precondition(lambda self: self.world.status.canary)
    @rule(errors=st.sampled_from([0, 50]))
    def measurements(self, errors: int) -> None:
        self.world.windows = {self.canary: Window(requests=100, errors=errors)}

    @rule()
    def metrics_fail(self) -> None:
        self.world.windows = None

    @rule(follow=st.booleans())
    def routers(self, follow: bool) -> None:
        self.world.routers_follow = follow

    @invariant()
    def weights_sum_to_100(self) -> None:
        assert sum(self.world.weights.values()) in (0, 100)

    @invariant()
    def traffic_goes_only_where_pods_are_wanted(self) -> None:
        assert set(self.world.weights) <= set(self.world.wanted)

    @invariant()
    def testers_never_go_where_a_rollback_has_begun(self) -> None:
        told, rollout = wanted_traffic(self.world.resource).testers, self.world.status.rollout
        assert told is None or (rollout and rollout.phase not in (Phase.starting, Phase.rolling_back))

    @invariant()
    def stable_is_never_below_what_it_carries(self) -> None:
        stable = self.world.status.stable
        assert stable
        assert self.world.wanted.get(stable.revision, 0) >= 3

    @invariant()
    def every_pass_plans_pods_for_exactly_the_revisions_that_status_names(self) -> None:
        """Whatever an operator that died left behind, carrying out the next plan leaves no orphan."""
        decided = self.world.think()
        planned = {rev for rev in map(model_revision, decided.objects) if rev}
        named = {live.revision for live in (decided.status.stable, decided.status.canary) if live}
        live = named | {entry.revision for entry in decided.status.draining}
        # A revision whose record was never written has no pods to plan; nothing is pruned on such a picture.
        assert planned == live or (planned < live and not decided.prune)

    @invariant()
    def a_request_is_answered_once(self) -> None:
        answered = [entry.id for entry in self.world.status.requests]
        assert len(answered) == len(set(answered))

    def teardown(self) -> None:
        """It always ends: promoted, taken back with the reason stated, or waiting for a person who knows it."""
        self.world.request = ""
        self.world.routers_follow = True
        self.world.windows = None
        for _ in range(20):
            self.world.wait(700)
        status = self.world.status
        assert status.draining == []
        if status.rollout:
            assert status.rollout.pause
            assert (self.world.condition("Reconciling").reason, status.reason) == ("Paused", "Paused")
            return
        assert self.world.condition("Promoted").status == "True" or (status.blocked and status.blocked.reason)


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
