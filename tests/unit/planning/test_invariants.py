"""Rollouts driven through random orders of events, by the real reconciler: what must hold after every single one."""

import dataclasses
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sluice_operator.api.status import Phase
from sluice_operator.planning.comparison import Comparison, Tally
from sluice_operator.planning.observed import Problem, Window
from sluice_operator.planning.traffic import wanted_traffic

from .simulation import Simulation
from .world import make_spec

REPLICAS = 3
DRAIN_SECONDS = 30
ALIAS = {"uri": "models:/m@champion", "endpoint": "http://mlflow:5000"}
FOLLOWED = {**ALIAS, "poll": "10s"}
ANALYSIS = {
    "interval": "5s",
    "minRequests": 50,
    "failureLimit": 1,
    "inconclusiveDeadline": "60s",
    "checks": [{"metric": "errorRate", "max": 0.01}],
}
ANSWERS = [*ANALYSIS["checks"], {"metric": "answersDiffer", "max": 0.02}]  # type: ignore[misc]
STEPS = [{"weight": 10, "hold": "10s"}, {"weight": 50, "hold": "10s"}]
WALKS: dict[str, dict[str, Any]] = {
    "steps": {"steps": STEPS, "analysis": ANALYSIS},
    "at once": {},
    "pause": {"steps": [{"weight": 20, "pause": True}, {"weight": 60, "hold": "10s"}]},
    "testers": {
        "steps": [{"weight": 0, "hold": "10s"}, *STEPS],
        "match": [{"header": {"name": "x-test", "value": "1"}}],
    },
    "mirror": {"steps": STEPS, "mirror": {"percent": 50, "hold": "10s"}, "analysis": ANALYSIS},
    "compared": {"steps": STEPS, "mirror": {"hold": "10s"}, "analysis": {**ANALYSIS, "checks": ANSWERS}},
    "compared, no judge": {"steps": STEPS, "mirror": {"hold": "40s"}},
    "no judge": {"steps": STEPS},
    "blue/green": {"strategy": "BlueGreen", "preview": {"hold": "10s"}},
}
ROUTERS: tuple[dict[str, Any], ...] = ({}, {"backend": "GatewayAPI", "gateway": {"parentRefs": [{"name": "public"}]}})
ACTIONS = ("promote", "abort", "retry", "rollback", "pause", "resume")


class Rollouts(RuleBasedStateMachine):
    """Specs change, people ask, pods come and go, metrics fail, routers and watches lag, the operator dies anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.sim: Simulation
        self.asked = 0

    @initialize(walk=st.sampled_from(list(WALKS)), router=st.sampled_from(ROUTERS), followed=st.booleans())
    def serve_the_first_version(self, walk: str, router: dict[str, Any], followed: bool) -> None:
        rollout = {"drainDelay": f"{DRAIN_SECONDS}s", "readyDeadline": "10m", **WALKS[walk]}
        spec = make_spec(uri(1), scaling={"replicas": REPLICAS}, rollout=rollout, router=router)
        self.sim = Simulation(spec | ({"model": FOLLOWED} if followed else {}))
        self.sim.settle()

    @rule(number=st.integers(1, 4))
    def another_version(self, number: int) -> None:
        self.sim.ask(model=make_spec(uri(number))["model"])

    @rule(poll=st.booleans())
    def an_alias_is_asked_for(self, poll: bool) -> None:
        self.sim.ask(model=FOLLOWED if poll else ALIAS)

    @rule(alias=st.sampled_from([None, 1, 2, 3]))
    def the_alias_moves(self, alias: int | None) -> None:
        self.sim.alias = alias

    @rule(answers=st.booleans())
    def the_registry(self, answers: bool) -> None:
        """Where it does not answer, resolvers run on."""
        self.sim.registry_answers = answers

    @rule(walk=st.sampled_from(list(WALKS)))
    def another_walk(self, walk: str) -> None:
        self.sim.ask(rollout={"drainDelay": f"{DRAIN_SECONDS}s", **WALKS[walk]})

    @rule(paused=st.booleans())
    def the_spec_pauses(self, paused: bool) -> None:
        self.sim.ask(rollout={**self.sim.truth.spec["rollout"], "paused": paused})

    @rule(action=st.sampled_from(ACTIONS), full=st.booleans())
    def a_person_asks(self, action: str, full: bool) -> None:
        self.asked += 1
        self.sim.request(id=str(self.asked), action=action, full=full and action == "promote")

    @rule(to=st.integers(0, 3))
    def a_person_asks_for_a_former_revision(self, to: int) -> None:
        self.asked += 1
        past = self.sim.status.history
        revision = past[to % len(past)].revision if past else ""
        self.sim.request(id=str(self.asked), action="rollback", revision=revision)

    @rule()
    def an_old_request_is_put_back(self) -> None:
        self.sim.request(id=str(max(1, self.asked - 1)), action="abort")

    @rule(weights=st.sampled_from([[10, 50], [5, 20, 40], [80], []]), pause=st.booleans())
    def the_steps_change(self, weights: list[int], pause: bool) -> None:
        steps = [{"weight": weight, "hold": "10s", "pause": pause} for weight in weights]
        self.sim.ask(rollout={**WALKS["testers"], "steps": steps})

    @rule()
    def a_pass(self) -> None:
        self.sim.run()

    @rule(writes=st.integers(0, 12))
    def a_pass_in_which_the_operator_dies(self, writes: int) -> None:
        self.sim.run(writes)

    @rule()
    def a_good_while(self) -> None:
        """Passes with nothing in their way, so that rollouts get on."""
        self.sim.lag(False)
        for _ in range(5):
            self.sim.run()
            self.sim.pass_time(3)

    @rule()
    def routers_stay_behind_for_long(self) -> None:
        """No deadline makes up for a router that has not been seen to follow."""
        self.sim.routers_follow = False
        for _ in range(4):
            self.sim.run()
            self.sim.pass_time(200)

    @rule(seconds=st.sampled_from([0.5, 5.1, 11.0, 31.0, 700.0, -30.0]))
    def time_passes(self, seconds: float) -> None:
        """Also backwards, as a clock that is set."""
        self.sim.pass_time(seconds)

    @rule(lagging=st.booleans())
    def watches(self, lagging: bool) -> None:
        self.sim.lag(lagging)

    @rule(follow=st.booleans())
    def routers(self, follow: bool) -> None:
        self.sim.routers_follow = follow

    @rule(number=st.integers(0, 1))
    def one_router_follows(self, number: int) -> None:
        self.sim.router_follows(number)

    @precondition(lambda self: self.sim.status.canary)
    @rule(ready=st.booleans())
    def the_canary_changes(self, ready: bool) -> None:
        self.sim.pods_change(self.canary, ready=ready)

    @precondition(lambda self: self.sim.status.canary)
    @rule()
    def the_canary_breaks(self) -> None:
        self.sim.pods_change(self.canary, ready=False, problem=Problem("CrashLoop", "exit 1", permanent=True))

    @rule(ready=st.booleans())
    def the_stable_version_changes(self, ready: bool) -> None:
        self.sim.pods_change(self.sim.status.stable.revision, ready=ready)  # type: ignore[union-attr]

    @precondition(lambda self: self.sim.status.canary)
    @rule(errors=st.sampled_from([0, 50]), different=st.sampled_from([0, 50]))
    def measurements(self, errors: int, different: int) -> None:
        self.sim.windows = {self.canary: Window(requests=100, errors=errors, pairs=100, different=different)}
        self.sim.compared = Comparison(Tally(100, different), 100, different)

    @rule()
    def metrics_fail(self) -> None:
        self.sim.windows = self.sim.compared = None

    @property
    def canary(self) -> str:
        canary = self.sim.status.canary
        return canary.revision if canary else ""

    @invariant()
    def weights_sum_to_100(self) -> None:
        for config in (self.sim.truth.config, *self.sim.truth.routers):
            assert sum(config.weights.values()) == 100

    @invariant()
    def routers_send_requests_only_where_pods_are(self) -> None:
        """Also those that lag behind: a revision keeps its pods until no router sends it anything."""
        for config in (self.sim.truth.config, *self.sim.truth.routers):
            assert set(config.weights) <= set(self.sim.truth.pods)
            assert set(config.weights) <= config.clusters

    @invariant()
    def a_canary_gets_more_only_with_pods_that_can_carry_it(self) -> None:
        assert all(available > 0 for _, available in self.sim.raised), self.sim.raised

    @invariant()
    def testers_and_copies_never_go_where_a_rollback_has_begun(self) -> None:
        status = self.sim.status
        told = wanted_traffic(self.sim.get())
        if status.rollout is None or status.rollout.phase in (Phase.starting, Phase.rolling_back):
            assert (told.testers, told.mirror) == (None, None)

    @invariant()
    def pods_outlive_their_requests(self) -> None:
        assert all(idle >= DRAIN_SECONDS for _, idle in self.sim.cut_short), self.sim.cut_short

    @invariant()
    def stable_is_never_below_what_it_carries(self) -> None:
        stable = self.sim.status.stable
        assert stable
        assert self.sim.truth.pods[stable.revision].wanted >= REPLICAS

    @invariant()
    def a_request_is_answered_once(self) -> None:
        answered = [entry.id for entry in self.sim.status.requests]
        assert len(answered) == len(set(answered))

    @invariant()
    def nobody_looks_twice_at_a_time(self) -> None:
        assert self.sim.most_jobs <= 1

    @invariant()
    def status_stays_small(self) -> None:
        status = self.sim.status
        assert len(status.history) <= 11
        assert len(status.requests) <= 20

    def teardown(self) -> None:
        """It always ends: promoted, taken back or waiting for a person, the reason stated, nothing orphaned."""
        if not hasattr(self, "sim"):
            return
        self.leave_alone()
        self.ends_well()
        self.nothing_is_left_over()

    def leave_alone(self) -> None:
        """The world is calm: watches and routers follow, stable is well, nothing is measured."""
        sim = self.sim
        sim.routers_follow = sim.registry_answers = True
        sim.lag(False)
        sim.windows = None
        for revision in list(sim.truth.pods):
            if revision != self.canary:
                sim.pods_change(revision, ready=True)
        for _ in range(30):
            sim.settle()
            sim.pass_time(700)
        sim.settle()

    def ends_well(self) -> None:
        status = self.sim.status
        conditions = {one.type: one for one in status.conditions}
        waiting = status.rollout is not None and status.rollout.pause is not None
        taken_back = status.blocked is not None and bool(status.blocked.reason) and bool(status.blocked.message)
        promoted = conditions["Promoted"].status == "True"
        assert promoted or taken_back or waiting, status
        assert taken_back == (conditions["Stalled"].status == "True")
        assert waiting or status.rollout is None
        if waiting and status.rollout:
            assert (conditions["Reconciling"].reason, status.reason) == ("Paused", "Paused")
        assert conditions["Ready"].status == "True"

    def nothing_is_left_over(self) -> None:
        status = self.sim.status
        live = {one.revision for one in (status.stable, status.canary) if one}
        assert status.draining == []
        assert self.sim.truth.jobs == {}
        assert set(self.sim.truth.pods) == live
        assert live <= set(self.sim.truth.records)
        # And a calm world is left alone.
        before = dataclasses.replace(self.sim.truth)
        version = self.sim.truth.version
        self.sim.run(writes=0)
        assert (self.sim.truth, self.sim.truth.version) == (before, version)


def uri(number: int) -> str:
    return f"http://store/m-{number}.tar.gz"


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
