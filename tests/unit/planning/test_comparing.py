"""Answers to copies are compared: what a check of it decides, and what status and Events tell in any case."""

import json
from typing import Any

import pytest

from sluice_operator.api.analysis import Analysis
from sluice_operator.api.status import ComparisonStatus, OutputComparison
from sluice_operator.planning.analysis import Measured, comparisons, judge
from sluice_operator.planning.comparing import NOTED_EVERY, sentence
from sluice_operator.planning.comparison import Comparison, OutputTally, Tally
from sluice_operator.planning.observed import Window
from sluice_operator.planning.questions import due

from .world import World, make_spec

CHECK = {"metric": "answersDiffer", "max": 0.02}
RATE = {"metric": "errorRate", "max": 0.01}
MIRROR = {"hold": "30s"}
STEPS = [{"weight": 10, "hold": "10s"}]


def rules(*checks: dict[str, Any], **more: Any) -> Analysis:
    return Analysis.model_validate({"checks": list(checks), "minRequests": 50, **more})


def measured(pairs: int | None, different: int = 0, requests: int = 5000, **more: Any) -> Measured:
    canary = Window(requests, 0, pairs=pairs, different=different)
    settings = {"stable": None, "faulty": False, "answers": {}, "number": 1, "copied": True} | more
    return Measured(canary=canary, **settings)


VERDICTS = {
    "all the same": (0.02, 200, 0, "Pass"),
    "as many as allowed": (0.02, 2000, 40, "Pass"),
    "half of them": (0.02, 60, 30, "Fail"),
    "one of few": (0.02, 60, 1, "Inconclusive"),
    "too few": (0.02, 49, 49, "Inconclusive"),
    "none": (0.02, 0, 0, "Inconclusive"),
    "unreadable": (0.02, None, 0, "Error"),
    "one, where none may": (0, 200, 1, "Fail"),
    "none, where none may": (0, 200, 0, "Pass"),
}


@pytest.mark.parametrize(("limit", "pairs", "different", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_a_verdict(limit: float, pairs: int | None, different: int, verdict: str) -> None:
    found = judge(rules({**CHECK, "max": limit}), measured(pairs, different))
    assert found.verdict == verdict, found.message
    (check,) = found.checks
    assert check.requests == (pairs or 0)
    assert check.value == (pytest.approx(different / pairs, rel=1e-5) if pairs else None)


def test_few_pairs_hold_back_a_verdict_whatever_the_number_of_copies() -> None:
    found = judge(rules({**CHECK, "max": 0.0}), measured(49, 49))
    assert found.message == "answersDiffer 1 on 49 pairs of answers of the 50 that a verdict needs"


def test_once_nothing_is_copied_the_check_is_not_asked() -> None:
    found = judge(rules(CHECK, RATE), measured(None, copied=False))
    assert found.verdict == "Pass"
    assert [check.name for check in found.checks] == ["errorRate"]
    assert judge(rules(CHECK), measured(None, copied=False)).verdict == "Pass"
    assert judge(rules(CHECK), measured(None, requests=10, copied=False)).verdict == "Inconclusive"


def test_a_dry_run_is_shown_and_takes_nothing_back() -> None:
    found = judge(rules({**CHECK, "dryRun": True}, RATE), measured(200, 200))
    assert found.verdict == "Pass"
    assert [(check.name, check.verdict) for check in found.checks] == [("answersDiffer", "Fail"), ("errorRate", "Pass")]


def test_it_shares_the_tolerated_error_with_the_others() -> None:
    assert comparisons(rules(CHECK, RATE)) == 2


def compared(pairs: int, different: int) -> Comparison:
    outputs = {"label": OutputTally(), "revenue": OutputTally(different, 1 / 3)}
    return Comparison(Tally(pairs, different, different // 10, outputs), pairs, different)


def mirroring(**rollout: Any) -> World:
    """A world in which version 2 gets copies of what version 1 answers."""
    world = World(make_spec(rollout={"mirror": MIRROR, "steps": STEPS, **rollout})).settle()
    return world.ask_version(2).settle()


def told(world: World) -> ComparisonStatus | None:
    assert world.status.rollout
    return world.status.rollout.comparison


def test_without_an_analysis_it_is_told_now_and_then_and_at_the_end_and_decides_nothing() -> None:
    world = mirroring()
    world.comparison = compared(10, 1)
    assert told(world.wait(14)) is None
    writes = world.writes
    world.wait(1.1)
    assert told(world) == ComparisonStatus(
        pairs=10,
        different=1,
        outputs=[
            OutputComparison(name="revenue", different=1, largest_difference=0.333333),
            OutputComparison(name="label"),
        ],
        at=told(world).at,  # type: ignore[union-attr]
    )
    assert world.writes == writes + 1
    world.comparison = compared(400, 380)
    world.wait(15)
    assert told(world).pairs == 400  # type: ignore[union-attr]
    (event,) = [note for note in world.events if note.reason == "AnswersCompared"]
    assert event.type == "Normal"
    assert event.message == "380 of 400 answers differ (95.0 %): 38 by an error, revenue in 380 by up to 0.3333"
    world.wait(10.1).wait(10.1)
    assert world.condition("Promoted").status == "True"


def test_where_nothing_new_was_compared_nothing_is_written() -> None:
    world = mirroring(mirror={"hold": "1h"})
    world.comparison = compared(10, 1)
    world.wait(15.1)
    writes = world.writes
    for _ in range(10):
        world.wait(15.1)
        assert 1 <= (world.think().requeue_after or 0) <= NOTED_EVERY
    assert world.writes == writes
    world.comparison = compared(11, 1)
    world.wait(1)
    assert told(world).pairs == 11  # type: ignore[union-attr]


def test_it_is_told_with_each_measurement_and_to_whoever_is_asked() -> None:
    world = mirroring(analysis={"interval": "5s", "checks": [RATE]}, webhooks=[HOOK])
    world.comparison = compared(10, 1)
    world.windows = {}
    world.wait(5.1)
    assert told(world).pairs == 10  # type: ignore[union-attr]


HOOK = {"name": "judge", "gate": "confirmPromotion", "url": "http://judge"}


def test_a_gate_is_told_what_was_compared() -> None:
    world = mirroring(webhooks=[HOOK])
    world.comparison = compared(10, 1)
    world.wait(30.1).wait(10.1)
    (question,) = due(world.resource, world.now)
    assert json.loads(question.body)["comparison"]["different"] == 1


def test_a_version_that_answers_otherwise_is_taken_back_before_anybody_sees_it() -> None:
    world = mirroring(analysis={"interval": "5s", "failureLimit": 0, "checks": [CHECK]})
    stable, canary = world.status.stable, world.status.canary
    assert stable
    assert canary
    world.comparison = compared(200, 50)
    world.windows = {canary.revision: Window(requests=200, pairs=200, different=50)}
    for _ in range(3):
        world.wait(5.1)
        assert world.weights == {stable.revision: 100}
    assert world.status.blocked
    assert world.status.blocked.reason == "AnalysisFailed"
    assert "answersDiffer 0.25 > 0.02" in world.status.blocked.message


def test_a_version_that_says_the_same_goes_on_and_is_judged_by_other_checks() -> None:
    world = mirroring(analysis={"interval": "5s", "failureLimit": 0, "checks": [CHECK, RATE]})
    canary = world.status.canary
    assert canary
    world.comparison = compared(500, 0)
    world.windows = {canary.revision: Window(requests=500, pairs=500)}
    for _ in range(12):
        world.wait(5.1)
        if world.status.rollout and not world.status.rollout.mirrored:
            continue
        # Nothing is copied any more.
        world.windows = {canary.revision: Window(requests=500)}
    assert world.condition("Promoted").status == "True"


def test_where_a_gateway_copies_nothing_is_compared() -> None:
    world = World(make_spec(rollout={"mirror": MIRROR, "steps": STEPS})).settle().ask_version(2).settle()
    gateway = {"backend": "GatewayAPI", "gateway": {"parentRefs": [{"name": "public"}]}}
    world.comparison = compared(10, 1)
    assert world.observe().comparison
    world.spec = {**world.spec, "router": gateway}
    assert world.observe().comparison is None


def test_a_sentence_says_what_there_is() -> None:
    assert sentence(ComparisonStatus(at="")) == "no answers could be compared"
    assert sentence(ComparisonStatus(pairs=3, at="")) == "0 of 3 answers differ (0.0 %)"
    label = OutputComparison(name="label", different=2)
    assert sentence(ComparisonStatus(pairs=8, different=2, outputs=[label], at="")) == (
        "2 of 8 answers differ (25.0 %): label in 2"
    )
