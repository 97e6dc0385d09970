"""One measurement: what it takes to pass, to fail and to be neither."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_operator.api.analysis import Analysis, CheckMetric
from sluice_operator.planning import analysis
from sluice_operator.planning.analysis import Measured, judge
from sluice_operator.planning.histograms import above, quantile
from sluice_operator.planning.observed import Answer, Excuse, Window
from sluice_operator.planning.outages import spread
from sluice_operator.planning.shares import measure

GOLDEN = Path(__file__).parent / "golden" / "judgement.json"


def rules(*checks: dict[str, Any], **more: Any) -> Analysis:
    return Analysis.model_validate({"checks": list(checks), **more})


def errors(requests: int, bad: int) -> Window:
    return Window(requests, bad, {0.01: float(requests), math.inf: float(requests)})


def latencies(fast: int, slow: int, slow_at: float = 0.4) -> Window:
    """So many in 10 ms, the rest at `slow_at`."""
    total = float(fast + slow)
    return Window(
        int(total), 0, {0.008: 0.0, 0.01: float(fast), slow_at * 0.99: float(fast), slow_at: total, math.inf: total}
    )


def measured(canary: Window | None, stable: Window | None = None, **more: Any) -> Measured:
    return Measured(**({"canary": canary, "stable": stable, "faulty": False, "answers": {}, "number": 1} | more))


RATE = {"metric": "errorRate", "max": 0.01}
P99 = {"metric": "latencyP99", "max": 0.1}
TIMES = {"metric": "errorRate", "maxTimesStable": 2}
P99_TIMES = {"metric": "latencyP99", "maxTimesStable": 1.5}

VERDICTS = {
    "no errors in enough requests": (RATE, errors(100, 0), None, "Pass"),
    "too few requests by minRequests": (RATE, errors(49, 49), None, "Inconclusive"),
    "one error in few proves nothing": (RATE, errors(60, 1), None, "Inconclusive"),
    "one error in more acquits": (RATE, errors(150, 1), None, "Pass"),
    "a fifth of few": (RATE, errors(50, 10), None, "Fail"),
    "twice the limit in a hundred": (RATE, errors(100, 2), None, "Inconclusive"),
    "twice the limit in ten thousand": (RATE, errors(10_000, 200), None, "Fail"),
    "exactly the limit in ten thousand": (RATE, errors(10_000, 100), None, "Pass"),
    "none may fail and one does": ({"metric": "errorRate", "max": 0}, errors(100, 1), None, "Fail"),
    "slow ones beyond a hundredth": (P99, latencies(180, 20), None, "Fail"),
    "a slow one in fifty is no p99": (P99, latencies(49, 1), None, "Inconclusive"),
    "few fast ones are no p99": (P99, latencies(60, 0), None, "Inconclusive"),
    "fast ones": (P99, latencies(200, 0), None, "Pass"),
    "as many errors as stable": (TIMES, errors(500, 5), errors(9500, 95), "Pass"),
    "far more errors than stable": (TIMES, errors(200, 10), errors(3800, 8), "Fail"),
    "no errors at all": (TIMES, errors(100, 0), errors(1900, 0), "Pass"),
    "errors beside a stable without any": (TIMES, errors(100, 6), errors(1900, 0), "Fail"),
    "nothing to compare with": (TIMES, errors(500, 50), errors(10, 0), "Inconclusive"),
    "no stable": (TIMES, errors(500, 50), None, "Inconclusive"),
    "as slow as stable": (P99_TIMES, latencies(990, 10), latencies(9900, 100), "Pass"),
    "slower than stable": (P99_TIMES, latencies(900, 100), latencies(9990, 10), "Fail"),
    "slow within the absolute, not the relative limit": (
        {"metric": "latencyP99", "max": 1.0, "maxTimesStable": 1.5},
        latencies(900, 100),
        latencies(9990, 10),
        "Fail",
    ),
    "half are slower": ({"metric": "latencyP50", "max": 0.02}, latencies(40, 160), None, "Fail"),
    "a tenth is slower": ({"metric": "latencyP50", "max": 0.02}, latencies(180, 20), None, "Pass"),
    "a p95 of a tenth": ({"metric": "latencyP95", "max": 0.02}, latencies(900, 200), None, "Fail"),
}


@pytest.mark.parametrize(("check", "canary", "stable", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_a_verdict(check: Any, canary: Any, stable: Any, verdict: Any) -> None:
    found = judge(rules(check), measured(canary, stable))
    assert (found.verdict, found.requests) == (verdict, canary.requests), found.message


def test_a_fault_of_the_measurement_is_an_error_and_no_windows_yet_are_inconclusive() -> None:
    assert judge(rules(RATE), measured(None, faulty=True)).verdict == "Error"
    assert judge(rules(RATE), measured(None)).verdict == "Inconclusive"


def test_a_silent_pod_is_an_error_for_latency_only() -> None:
    canary = Window(100, 0, None)
    assert judge(rules(RATE), measured(canary)).verdict == "Pass"
    assert judge(rules(P99), measured(canary)).verdict == "Error"
    assert judge(rules(P99_TIMES), measured(latencies(900, 0), canary)).verdict == "Error"


def excused(window: Window, **excuse: Any) -> Window:
    return replace(window, excuse=Excuse(**excuse))


DIFFER = {"metric": "answersDiffer", "max": 0.01}
EXCUSED = {
    "an outage alone": (RATE, excused(errors(500, 500), left_out=500), None, "Inconclusive", 0),
    "an outage among good answers": (RATE, excused(errors(700, 500), left_out=500), None, "Pass", 200),
    "an outage hides nothing else": (RATE, excused(errors(700, 550), left_out=500), None, "Fail", 200),
    "too few are left": (RATE, excused(errors(540, 520), left_out=500), None, "Inconclusive", 40),
    "in doubt alone": (RATE, excused(errors(500, 500), doubtful=500), None, "Inconclusive", 0),
    "in doubt among good answers": (RATE, excused(errors(700, 100), doubtful=100), None, "Inconclusive", 600),
    "a few in doubt among many": (RATE, excused(errors(10_000, 50), doubtful=50), None, "Pass", 9950),
    "in doubt beside faults of its own": (RATE, excused(errors(700, 150), doubtful=100), None, "Fail", 600),
    "more is excused than the routers saw": (
        RATE,
        excused(errors(500, 10), left_out=12, doubtful=3),
        None,
        "Pass",
        490,
    ),
    "as bad as stable in the outage": (
        *(TIMES, excused(errors(500, 300), left_out=300), excused(errors(9500, 95), left_out=90), "Pass", 200),
    ),
    "worse than stable beside the outage": (
        *(TIMES, excused(errors(500, 340), left_out=300), excused(errors(9500, 95), left_out=90), "Fail", 200),
    ),
    "too little is left of stable": (
        *(TIMES, errors(500, 50), excused(errors(500, 480), left_out=480), "Inconclusive", 500),
    ),
    "good beside a stable that the store lets down": (
        *(TIMES, errors(500, 0), excused(errors(5000, 5000), left_out=4990), "Pass", 500),
    ),
    "not good beside a stable that the store lets down": (
        *(TIMES, errors(500, 50), excused(errors(5000, 5000), left_out=4990), "Inconclusive", 500),
    ),
    "stable's doubts are the canary's": (
        *(TIMES, errors(500, 50), excused(errors(5000, 500), doubtful=500), "Inconclusive", 500),
    ),
    "slow for want of the store": (P99, excused(latencies(100, 100), clouded=True), None, "Inconclusive", 200),
    "fast by its defaults": (P99, excused(latencies(900, 0), clouded=True), None, "Pass", 900),
    "fast in what it refused": (
        *(P99, excused(replace(latencies(900, 0), errors=300), left_out=300, clouded=True), None, "Inconclusive", 600),
    ),
    "fast beside a stable that refused": (
        *(P99, latencies(900, 0), excused(errors(700, 300), left_out=300, clouded=True), "Pass", 900),
    ),
    "slow beside a stable that missed it": (
        *(P99_TIMES, latencies(900, 100), excused(latencies(9990, 10), clouded=True), "Inconclusive", 1000),
    ),
    "other answers for want of the store": (
        *(DIFFER, replace(excused(errors(100, 0), clouded=True), pairs=100, different=90), None, "Inconclusive", 100),
    ),
}


@pytest.mark.parametrize(("check", "canary", "stable", "verdict", "judged"), EXCUSED.values(), ids=EXCUSED)
def test_what_the_feature_store_is_to_blame_for(
    check: Any, canary: Any, stable: Any, verdict: Any, judged: Any
) -> None:
    found = judge(rules(check), measured(canary, stable, copied=True))
    assert (found.verdict, found.requests) == (verdict, judged), found.message
    assert found.left_out == canary.excuse.left_out
    told = f"{found.left_out} answers are left out: the feature store was away"
    assert (told in found.message) == (found.left_out > 0)
    assert ("errors are in doubt" in found.message) == (canary.excuse.doubtful > 0)


BACK = {"clouded": True, "over": True}
RENEWED = {
    "in doubt, and back": (RATE, excused(errors(700, 100), doubtful=100, **BACK), None, True),
    "in doubt, and not back": (RATE, excused(errors(700, 100), doubtful=100, clouded=True), None, False),
    "and bad": (RATE, excused(errors(700, 500), doubtful=100, **BACK), None, False),
    "and good": (RATE, excused(errors(700, 500), left_out=500, **BACK), None, False),
    "what is left out leaves the others": (RATE, excused(errors(540, 500), left_out=500, **BACK), None, False),
    "it lacks requests alone": (RATE, excused(errors(40, 0), **BACK), None, False),
    "a doubt drowns": (RATE, excused(errors(60, 1), doubtful=1, over=True), None, False),
    "too slow to say, and back": (P99, excused(latencies(100, 100), **BACK), None, True),
    "too slow to say, and not back": (P99, excused(latencies(100, 100), clouded=True), None, False),
    "too few to say": (P99, excused(latencies(40, 0), doubtful=9, over=True), None, False),
    "beside a stable that missed it": (P99_TIMES, latencies(900, 0), excused(errors(700, 0), **BACK), True),
    "by its own limit beside one that missed it": (P99, latencies(40, 0), excused(errors(700, 0), **BACK), False),
    "stable is in doubt": (TIMES, errors(60, 3), excused(errors(700, 90), doubtful=90, over=True), True),
    "as a trial": ({**P99, "dryRun": True}, excused(latencies(40, 0), **BACK), None, False),
}


@pytest.mark.parametrize(("check", "canary", "stable", "renewed"), RENEWED.values(), ids=RENEWED)
def test_a_window_is_renewed_where_an_outage_that_is_over_is_why_it_says_nothing(
    check: Any, canary: Any, stable: Any, renewed: bool
) -> None:
    found = judge(rules(check), measured(canary, stable))
    assert found.renew is renewed, found


UNTOLD = {"doubtful": 5000, "untold": True}
SILENT = {
    "all fails and nobody missed the store": (RATE, errors(5000, 5000), None, "Fail"),
    "all fails and it may be the store's": (RATE, excused(errors(5000, 5000), **UNTOLD), None, "Error"),
    "more fails than can be the store's": (RATE, excused(errors(6000, 5500), **UNTOLD), None, "Fail"),
    "nothing fails": (RATE, excused(errors(100, 0), untold=True), None, "Pass"),
    "a few fail": (RATE, excused(errors(9000, 50), doubtful=50, untold=True), None, "Pass"),
    "stable is silent": (RATE, errors(5000, 5000), excused(errors(5000, 5000), **UNTOLD), "Fail"),
    "stable is silent, and may be as bad": (
        *(TIMES, errors(500, 50), excused(errors(6000, 5000), **UNTOLD), "Inconclusive"),
    ),
    "stable is silent, and good": (TIMES, errors(500, 50), excused(errors(9000, 9), untold=True), "Fail"),
}


@pytest.mark.parametrize(("check", "canary", "stable", "verdict"), SILENT.values(), ids=SILENT)
def test_what_a_silent_pod_has_not_explained(check: Any, canary: Any, stable: Any, verdict: Any) -> None:
    assert judge(rules(check), measured(canary, stable)).verdict == verdict


def test_what_is_in_flight_between_two_looks_is_no_error_of_a_version() -> None:
    refused = spread(Excuse(24_940, 5000, clouded=True), told=29_940, counted=30_000)
    assert judge(rules(RATE), measured(replace(errors(30_000, 30_000), excuse=refused))).verdict == "Inconclusive"
    worse = spread(Excuse(24_940, 5000, clouded=True), told=30_440, counted=30_500)
    assert judge(rules(RATE), measured(replace(errors(30_500, 30_500), excuse=worse))).verdict == "Fail"


def test_a_dry_run_is_shown_and_never_counted() -> None:
    found = judge(rules({**RATE, "dryRun": True, "name": "trial"}, P99), measured(latencies(200, 0)))
    assert found.verdict == "Pass"
    failing = judge(rules({**P99, "dryRun": True}, RATE), measured(latencies(100, 100)))
    assert failing.verdict == "Pass"
    assert [(check.name, check.verdict, check.dry_run) for check in failing.checks] == [
        ("latencyP99", "Fail", True),
        ("errorRate", "Pass", False),
    ]
    assert judge(rules({**P99, "dryRun": True}), measured(latencies(100, 100))).verdict == "Pass"


def test_a_dry_run_takes_nothing_of_the_tolerated_error() -> None:
    assert analysis.comparisons(rules({**RATE, "maxTimesStable": 2}, {**P99, "dryRun": True})) == 2


QUERY = {"name": "revenue", "prometheus": {"query": "x"}, "max": 10, "min": 1}
HOOK = {"name": "judge", "webhook": {"url": "http://judge"}}
ANSWERS = {
    "within": (QUERY, Answer(value=5.0), "Pass"),
    "above": (QUERY, Answer(value=10.5), "Fail"),
    "below": (QUERY, Answer(value=0.5), "Fail"),
    "at its limit": (QUERY, Answer(value=10.0), "Pass"),
    "not a number": (QUERY, Answer(value=math.nan), "Inconclusive"),
    "infinite": (QUERY, Answer(value=math.inf), "Fail"),
    "no sample": (QUERY, Answer(), "Inconclusive"),
    "no Prometheus": (QUERY, Answer(fault=True, message="connection refused"), "Error"),
    "yes": (HOOK, Answer(yes=True), "Pass"),
    "no": (HOOK, Answer(), "Fail"),
    "no service": (HOOK, Answer(fault=True), "Error"),
}


@pytest.mark.parametrize(("check", "answer", "verdict"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_from_outside(check: Any, answer: Any, verdict: Any) -> None:
    answers = {f"check/{check['name']}": answer}
    assert judge(rules(check), measured(errors(100, 0), answers=answers)).verdict == verdict
    few = judge(rules(check), measured(errors(10, 0), answers=answers)).verdict
    assert few == ("Error" if verdict == "Error" else "Inconclusive")


def test_a_failure_outweighs_an_error_and_an_error_a_pass() -> None:
    answers = {"check/revenue": Answer(fault=True, message="refused")}
    assert judge(rules(RATE, QUERY), measured(errors(100, 0), answers=answers)).verdict == "Error"
    assert judge(rules(RATE, QUERY), measured(errors(100, 50), answers=answers)).verdict == "Fail"


@given(requests=st.integers(1, 3000), bad=st.integers(0, 3000), more=st.integers(0, 500))
def test_more_errors_never_help(requests: int, bad: int, more: int) -> None:
    order = ["Fail", "Inconclusive", "Pass"]
    bad = min(bad, requests)
    worse = min(bad + more, requests)
    found = [judge(rules(RATE), measured(errors(requests, count))).verdict for count in (bad, worse)]
    assert order.index(found[1]) <= order.index(found[0])


HISTOGRAM = st.lists(st.integers(0, 400), min_size=4, max_size=12)


def histogram(counts: list[int], unit: float = 0.001) -> dict[float, float]:
    bounds = [unit * 1.5**i for i in range(len(counts) - 1)] + [math.inf]
    return {bound: float(sum(counts[: i + 1])) for i, bound in enumerate(bounds)}


@given(canary=HISTOGRAM, stable=HISTOGRAM, unit=st.sampled_from([0.002, 0.5, 4.0]))
def test_a_comparison_does_not_depend_on_the_unit_of_time(canary: Any, stable: Any, unit: float) -> None:
    verdicts = set()
    for scale in (0.001, unit):
        sides = [Window(sum(counts), 0, histogram(counts, scale)) for counts in (canary, stable)]
        verdicts.add(judge(rules(P99_TIMES), measured(*sides)).verdict)
    assert len(verdicts) == 1


@given(counts=HISTOGRAM, times=st.floats(1, 4), metric=st.sampled_from(["latencyP50", "latencyP95", "latencyP99"]))
def test_a_version_is_never_worse_than_itself(counts: Any, times: float, metric: str) -> None:
    window = Window(sum(counts), 0, histogram(counts))
    assert judge(rules({"metric": metric, "maxTimesStable": times}), measured(window, window)).verdict != "Fail"


@given(counts=HISTOGRAM, q=st.sampled_from([0.5, 0.95, 0.99]))
def test_as_many_exceed_a_percentile_as_its_name_says(counts: Any, q: float) -> None:
    found = histogram(counts)
    value = quantile(q, found)
    if value is None or value >= max(bound for bound in found if math.isfinite(bound)):
        return
    assert above(value, found) == pytest.approx((1 - q) * sum(counts), abs=1e-6)


def test_the_measure_of_a_window() -> None:
    assert measure(CheckMetric.error_rate, errors(200, 3)) == 0.015
    assert measure(CheckMetric.error_rate, Window()) is None
    assert measure(CheckMetric.latency_p99, Window()) is None
    assert quantile(0.5, {0.1: 10.0, 0.2: 20.0, math.inf: 20.0}) == pytest.approx(0.1)
    assert quantile(0.99, {0.1: 0.0, math.inf: 5.0}) == 0.1


def test_a_measurement_in_status_is_what_a_person_needs() -> None:
    checks = ({**RATE, "maxTimesStable": 2}, P99, {**P99_TIMES, "name": "trial", "dryRun": True}, QUERY)
    answers = {"check/revenue": Answer(value=12.25)}
    canary, stable = Window(400, 30, latencies(370, 30).latency), errors(7600, 20)
    found = judge(rules(*checks), measured(canary, stable, answers=answers))
    shown = {
        "verdict": found.verdict,
        "requests": found.requests,
        "message": found.message,
        "checks": [check.to_json() for check in found.checks],
    }
    assert shown == json.loads(GOLDEN.read_text())
