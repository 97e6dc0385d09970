"""Measurements in the course of a rollout: when one is taken, what is counted, and when a step is acquitted.

A window holds what both versions did since it was opened: at the beginning of each hold (after the initialDelay), and
anew when a passing one has seen so many requests that a fault to come would drown in it, or when the feature store is
back and left one behind that says little.
"""

from sluice_operator.api.analysis import OnInconclusive
from sluice_operator.api.status import AnalysisStatus, Measurement, ModelDeploymentStatus
from sluice_operator.planning import analysis, comparing, questions
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.situation import (
    HELD,
    Situation,
    seconds_to_measurement,
    seconds_to_window,
    undecided,
    window_is_open,
)

MEASUREMENTS_KEPT = 5
FULL = 20
"""A window is full with this many times minRequests."""


def judge(s: Situation) -> ModelDeploymentStatus | None:
    """Open a window or take a measurement, where one is due. None where none is, or an answer is still to come."""
    rules = s.resource.spec.rollout.analysis
    if rules is None or s.rollout.phase not in HELD:
        return None
    if not window_is_open(s.resource):
        waits = seconds_to_window(s.resource, s.now) > 0
        return None if waits else s.progress(analysis=_opened(s.rollout.analysis, stamp(s.now)))
    awaited = any(question not in s.observed.answers for question in questions.needed(rules))
    if awaited or seconds_to_measurement(s.resource, s.now) > 0:
        return None
    judgement = analysis.judge(rules, _seen(s))
    counted = _count(s.rollout.analysis, judgement, stamp(s.now))
    full = judgement.requests >= FULL * rules.min_requests
    if (full and judgement.verdict == "Pass") or judgement.renew:
        counted = _opened(counted, stamp(s.now))
    return s.progress(analysis=counted, **comparing.noted(s))


def acquitted(s: Situation) -> bool:
    """Whether the step may end as far as the analysis is concerned."""
    rules = s.resource.spec.rollout.analysis
    if rules is None or s.rollout.analysis.passed_in_step:
        return True
    return rules.on_inconclusive is OnInconclusive.proceed and undecided(s) is not None


def _seen(s: Situation) -> analysis.Measured:
    windows = s.observed.windows or {}
    return analysis.Measured(
        canary=windows.get(s.canary.revision),
        stable=windows.get(s.status.stable.revision) if s.status.stable else None,
        faulty=s.observed.windows is None,
        answers=s.observed.answers,
        number=s.rollout.analysis.windows,
        copied=comparing.copied(s.resource),
    )


def _opened(counts: AnalysisStatus, at: str) -> AnalysisStatus:
    return counts.model_copy(update={"windows": counts.windows + 1, "window_since": at})


def _count(counts: AnalysisStatus, judgement: analysis.Judgement, at: str) -> AnalysisStatus:
    verdict = judgement.verdict
    measurement = Measurement(
        time=at,
        verdict=verdict,
        requests=judgement.requests,
        message=judgement.message,
        left_out=judgement.left_out,
        checks=list(judgement.checks),
    )
    return counts.model_copy(
        update={
            "passed": counts.passed + (verdict == "Pass"),
            "failed": counts.failed + (verdict == "Fail"),
            "inconclusive": counts.inconclusive + (verdict == "Inconclusive"),
            "errors": counts.errors + (verdict == "Error"),
            "errors_in_row": counts.errors_in_row + 1 if verdict == "Error" else 0,
            "passed_in_step": counts.passed_in_step + (verdict == "Pass"),
            "last_measured_at": at,
            "measurements": [*counts.measurements, measurement][-MEASUREMENTS_KEPT:],
        }
    )
