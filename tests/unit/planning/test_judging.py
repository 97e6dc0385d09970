"""Measurements and gates within whole rollouts: when they are taken, what is counted, who is waited for."""

import json
from typing import Any

import pytest

from sluice_operator.api.status import Phase
from sluice_operator.planning import questions
from sluice_operator.planning.observed import Answer, Excuse, Problem, Window
from sluice_operator.planning.waking import GATE_POLL, ROUTER_POLL

from .world import World, make_spec

ANALYSIS: dict[str, Any] = {
    "interval": "5s",
    "failureLimit": 1,
    "inconclusiveDeadline": "60s",
    "checks": [{"metric": "errorRate", "max": 0.01}],
}
GOOD, BAD, FEW = Window(100, 0), Window(100, 50), Window(10, 0)


def rolling(webhooks: Any = (), hold: str = "60s", **analysis: Any) -> World:
    """A world in which version 2 has its first step's weight."""
    rollout = {"steps": [{"weight": 10, "hold": hold}], "analysis": ANALYSIS | analysis, "webhooks": list(webhooks)}
    return World(make_spec(rollout=rollout)).settle().ask_version(2).settle()


def see(world: World, window: Window | None) -> World:
    world.windows = {world.status.canary.revision: window} if world.status.canary and window else None
    return world


def measurements(world: World) -> Any:
    assert world.status.rollout
    return world.status.rollout.analysis


def hook(gate: str, **more: Any) -> dict[str, Any]:
    return {"name": "board", "gate": gate, "url": "http://board.example/ask"} | more


def say(world: World, **answer: Any) -> World:
    world.answers = {"gate/board": Answer(**answer)}
    return world


def reasons(world: World) -> list[str]:
    return [note.reason for note in world.events]


def due(world: World) -> Any:
    return questions.due(world.resource, world.now)


def test_nothing_is_measured_before_the_initial_delay() -> None:
    world = see(rolling(initialDelay="20s"), BAD)
    for _ in range(24):
        world.wait(1)
    assert measurements(world).failed == 0
    world.wait(2)
    assert measurements(world).failed == 1


def test_a_window_opens_with_each_hold_and_after_the_initial_delay() -> None:
    world = rolling(initialDelay="20s")
    assert measurements(world.wait(19)).windows == 0
    assert measurements(world.wait(1)).windows == 1
    assert measurements(world.wait(1)).windows == 1


def test_a_window_goes_on_until_it_is_full_of_good_requests() -> None:
    world = see(rolling(), GOOD).wait(5.1).wait(5.1)
    assert (measurements(world).passed, measurements(world).windows) == (2, 1)
    see(world, Window(1000, 3)).wait(5.1)
    assert (measurements(world).passed, measurements(world).windows) == (3, 2)
    see(world, Window(5000, 500)).wait(5.1)
    assert (measurements(world).failed, measurements(world).windows) == (1, 2)


def test_an_outage_of_the_feature_store_holds_the_rollout_and_is_told_once() -> None:
    world = see(rolling(), Window(300, 300, excuse=Excuse(left_out=300, clouded=True))).wait(5.1).wait(5.1)
    found = measurements(world)
    assert (found.inconclusive, found.failed, found.windows) == (2, 0, 1)
    assert found.measurements[-1].left_out == 300
    assert "300 answers are left out: the feature store was away" in found.measurements[-1].message
    assert reasons(world).count("AnswersLeftOut") == 1
    # When the store is back, then the window begins anew, without what is in doubt, and the rollout goes on
    see(world, Window(310, 303, excuse=Excuse(left_out=300, doubtful=3, clouded=True, over=True))).wait(5.1)
    assert measurements(world).windows == 2
    see(world, GOOD).wait(5.1)
    assert (measurements(world).passed, measurements(world).windows) == (1, 2)


def test_an_outage_beyond_the_deadline_is_why_it_is_taken_back() -> None:
    world = see(rolling(hold="1s"), Window(300, 300, excuse=Excuse(left_out=300)))
    for _ in range(13):
        world.wait(5.1)
    blocked = world.status.blocked
    assert blocked
    assert blocked.reason == "AnalysisInconclusive"
    assert "the feature store was away" in blocked.message


def test_the_failure_limit_is_strict() -> None:
    world = see(rolling(failureLimit=2), BAD)
    for failed in (1, 2):
        world.wait(5.1)
        assert measurements(world).failed == failed
    assert world.wait(5.1).status.blocked
    assert world.status.reason == "AnalysisFailed"


@pytest.mark.parametrize("window", [None, FEW])
def test_without_limits_only_the_deadline_ends_waiting(window: Any) -> None:
    world = see(rolling(), window)
    for _ in range(20):
        world.wait(5.1)
    assert world.status.rollout is not None


def test_inconclusive_measurements_beyond_their_limit_take_it_back() -> None:
    world = see(rolling(inconclusiveLimit=2), FEW).wait(5.1).wait(5.1)
    assert world.status.rollout
    see(world, GOOD).wait(5.1)
    assert see(world, FEW).wait(5.1).status.reason == "AnalysisInconclusive"


def test_errors_are_counted_in_a_row_and_never_as_failures() -> None:
    world = see(rolling(errorLimit=2), None).wait(5.1).wait(5.1)
    assert (measurements(world).errors, measurements(world).failed) == (2, 0)
    see(world, GOOD).wait(5.1)
    assert measurements(world).errors_in_row == 0
    see(world, None).wait(5.1).wait(5.1)
    assert world.status.rollout
    assert world.wait(5.1).status.reason == "AnalysisError"
    assert "errorRate cannot be read" in (world.status.blocked.message if world.status.blocked else "")


def test_errors_beyond_their_limit_may_let_it_proceed() -> None:
    world = see(rolling(errorLimit=0, onInconclusive="Proceed", hold="10s"), None)
    world.wait(5.1).wait(5.1)
    assert world.status.rollout is None
    assert world.status.blocked is None


def test_failures_and_changes_of_verdict_are_told_and_nothing_else() -> None:
    world = see(rolling(failureLimit=5), GOOD)
    for window in (GOOD, GOOD, FEW, FEW, BAD, BAD, None, None, GOOD):
        see(world, window).wait(5.1)
    told = [reason for reason in reasons(world) if reason.startswith("Measurement")]
    short = [reason.removeprefix("Measurement") for reason in told]
    assert short == ["Passed", "Inconclusive", "Failed", "Failed", "NotMade", "Passed"]
    assert len(measurements(world).measurements) == 5


QUERY = {
    "name": "revenue",
    "prometheus": {"query": 'sum(x{r=~"$canary|$stable$"}[$interval]) / $namespace'},
    "max": 1,
}


def test_a_query_is_due_with_the_measurement_and_the_measurement_waits_for_its_answer() -> None:
    world = see(rolling(checks=[QUERY], prometheus={"url": "http://prometheus:9090"}), GOOD)
    assert due(world) == ()
    world.wait(5.1)
    (asked,) = due(world)
    canary, stable = (live.revision for live in (world.status.canary, world.status.stable) if live)
    assert asked.query == f'sum(x{{r=~"{canary}|{stable}$"}}[5000ms]) / shop'
    assert (asked.id, asked.url, asked.again) == ("check/revenue", "http://prometheus:9090", None)
    assert measurements(world).last_measured_at is None
    assert world.run().requeue_after == ROUTER_POLL
    world.answers = {"check/revenue": Answer(value=0.5)}
    assert measurements(world.settle()).passed == 1
    assert due(world) == ()
    world.answers = {}
    world.wait(5.1)
    assert due(world)[0].moment != asked.moment, "the next measurement asks anew"


def test_a_gate_before_the_first_request_holds_until_it_says_yes() -> None:
    world = rolling([hook("confirmRollout")])
    assert world.status.rollout
    assert (world.status.rollout.phase, world.weights) == (Phase.starting, {stable_of(world): 100})
    (asked,) = due(world)
    body = json.loads(asked.body)
    assert (asked.id, asked.again) == ("gate/board", questions.GATE_SECONDS)
    assert (body["gate"], body["name"], body["canary"]["revision"]) == ("confirmRollout", "m", canary_of(world))
    assert world.run().requeue_after == GATE_POLL
    assert "board" in world.condition("Reconciling").message
    say(world, message="no (403)").wait(3600)
    assert world.status.rollout.gates[0].answer == "Refused"
    assert world.status.rollout.weight == 0
    say(world, yes=True, message="yes (200)").settle()
    assert world.status.rollout.weight == 10
    assert due(world) == ()
    assert [reason for reason in reasons(world) if "Gate" in reason] == ["GateWaiting", "GateRefused", "GateConfirmed"]


def test_an_answer_that_cannot_be_had_holds_too() -> None:
    world = say(rolling([hook("confirmRollout")]), fault=True, message="connection refused").wait(60)
    assert world.status.rollout
    assert (world.status.rollout.gates[0].answer, world.status.rollout.weight) == ("Waiting", 0)


def test_a_gate_before_promotion_holds_the_last_step_which_is_judged_on() -> None:
    world = see(rolling([hook("confirmPromotion")], hold="10s"), GOOD).wait(5.1).wait(5.1).wait(600)
    assert world.status.rollout
    assert (world.status.rollout.phase, world.status.rollout.weight) == (Phase.stepping, 10)
    say(world, yes=True).settle()
    assert world.status.rollout is None
    assert world.weights == {stable_of(world): 100}


def test_a_canary_that_turns_bad_before_a_promotion_is_confirmed_is_taken_back() -> None:
    world = see(rolling([hook("confirmPromotion")], hold="10s"), GOOD).wait(5.1).wait(5.1)
    see(world, BAD).wait(5.1).wait(5.1)
    assert world.status.reason == "AnalysisFailed"


def test_a_rollback_waits_for_a_word_until_its_deadline() -> None:
    world = see(rolling([hook("confirmRollback", deadline="30s")], failureLimit=0), BAD).wait(5.1)
    assert world.status.rollout
    assert world.status.rollout.failure is None
    say(world, message="no (403)").wait(20)
    assert world.status.rollout.weight == 10
    world.wait(11)
    assert world.status.reason == "AnalysisFailed"
    assert world.status.rollout is None


def test_a_confirmed_rollback_happens_at_once() -> None:
    world = see(rolling([hook("confirmRollback")], failureLimit=0), BAD).wait(5.1)
    say(world, yes=True).settle()
    assert world.status.reason == "AnalysisFailed"


def test_a_broken_canary_is_taken_back_without_a_word() -> None:
    world = rolling([hook("confirmRollback")])
    world.problems[canary_of(world)] = Problem("CrashLoop", "exit 1", permanent=True)
    assert world.settle().status.reason == "CrashLoop"


def test_a_canary_without_pods_gets_no_traffic_while_its_rollback_waits_for_a_word() -> None:
    world = see(rolling([hook("confirmRollback")], failureLimit=0), BAD).wait(5.1)
    world.ready[canary_of(world)] = False
    assert world.settle().weights == {stable_of(world): 100}


def test_the_first_version_and_a_return_ask_nobody() -> None:
    hooks = [hook("confirmRollout"), hook("confirmPromotion") | {"name": "board-2"}]
    world = World(make_spec(rollout={"webhooks": hooks})).settle()
    first = stable_of(world)
    world.ask(rollout={}).ask_version(2).settle().wait(60)
    world.ask(rollout={"webhooks": hooks}).ask_version(1).settle()
    assert stable_of(world) == first


def stable_of(world: World) -> str:
    assert world.status.stable
    return world.status.stable.revision


def canary_of(world: World) -> str:
    assert world.status.canary
    return world.status.canary.revision
