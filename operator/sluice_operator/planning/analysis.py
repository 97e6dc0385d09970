"""The checks that judge a canary: one measurement, from what was seen to a verdict.

Fail: the data shows that a limit is exceeded. Pass: it shows that the limit is not exceeded by a difference that
matters. Neither of the two: Inconclusive, and the window grows. How sure that is, over all looks of a rollout, says
`evidence`. A fault of the measurement is an Error, never a fault of the model.

Every metric is a share of bad requests: for errorRate those answered with an error, and for answersDiffer copies that
are answered otherwise than the requests themselves, against the limit itself; for a
percentile those slower than the limit, against 1, 5 or 50 %, because a p99 is above a limit exactly if more than 1 % of
the requests are slower. Relative to stable the same shares of both are compared, the canary's beyond `maxTimesStable`
times stable's own percentile.

What the feature store is to blame for (`outages`) is no request of either version; where that is in doubt, a check
fails only if it fails without those requests, and passes only if it passes with them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sluice_operator.api.analysis import Analysis, Check, CheckMetric
from sluice_operator.api.status import CheckResult, Verdict
from sluice_operator.planning import evidence, outages, shares
from sluice_operator.planning.observed import Answer, Excuse, Window
from sluice_operator.planning.questions import check_id

SHOWN = math.log(20.0)
"""Evidence that a canary is not worse by a difference that matters is enough at 95 %: each step asks for it anew."""

_WORST_FIRST: tuple[Verdict, ...] = ("Fail", "Error", "Inconclusive", "Pass")


_CLOUDED = "says little: the feature store was away for a time"


@dataclass(frozen=True)
class Judgement:
    """One measurement: its verdict, the canary requests it rests on, and each check by itself.

    `left_out`: canary requests that count for nothing because the feature store was away. `renew`: the window can say
    no more, and the store is back.
    """

    verdict: Verdict
    requests: int
    message: str
    checks: tuple[CheckResult, ...] = ()
    left_out: int = 0
    renew: bool = False


@dataclass(frozen=True)
class Measured:
    """All that a measurement rests on. `windows`: by role, None where they cannot be read; `number` counts windows.

    `copied`: the canary gets copies of requests, so that answers can be compared.
    """

    canary: Window | None
    stable: Window | None
    faulty: bool
    answers: Mapping[str, Answer]
    number: int
    copied: bool = False


@dataclass(frozen=True)
class _Comparison:
    """One limit of a check: its verdict without regard to minRequests."""

    verdict: Verdict
    limit: float | None
    message: str


def judge(rules: Analysis, seen: Measured) -> Judgement:
    """Judge what was seen against the limits."""
    requests = shares.total(CheckMetric.error_rate, seen.canary)
    enough = requests >= rules.min_requests
    checks = tuple(_held_back(_check(rules, check, seen), enough) for check in _asked(rules, seen))
    counted = [check for check in checks if not check.dry_run]
    verdict = _worst([check.verdict for check in counted]) if counted else ("Pass" if enough else "Inconclusive")
    said = "; ".join(check.message for check in counted if check.verdict == verdict)
    if verdict == "Inconclusive" and not enough and seen.canary:
        said = f"{requests} canary requests of the {rules.min_requests} that a verdict needs"
    excuse = seen.canary.excuse if seen.canary else Excuse()
    return Judgement(
        verdict,
        requests,
        "; ".join(filter(None, [said, *outages.told(excuse)])),
        checks,
        left_out=excuse.left_out,
        renew=verdict == "Inconclusive" and _is_spoilt(rules, checks, seen),
    )


def _is_spoilt(rules: Analysis, checks: Iterable[CheckResult], seen: Measured) -> bool:
    """Whether the store is why nothing can be said, and, being back, will not be why in a new window."""
    return any(
        _spoils(side, check.metric)
        for check, result in zip(_asked(rules, seen), checks, strict=True)
        if check.metric and not check.dry_run and result.verdict == "Inconclusive"
        for side in _sides(check, seen)
        if side
    )


def _sides(check: Check, seen: Measured) -> tuple[Window | None, ...]:
    """Those that a check looks at."""
    both = check.max_times_stable is not None or check.metric is CheckMetric.answers_differ
    return (seen.canary, seen.stable) if both else (seen.canary,)


def _spoils(side: Window, metric: CheckMetric) -> bool:
    in_doubt = shares.is_in_doubt(side) if metric is CheckMetric.error_rate else side.excuse.clouded
    return in_doubt and side.excuse.over


def _asked(rules: Analysis, seen: Measured) -> list[Check]:
    return [check for check in rules.checks if seen.copied or check.metric is not CheckMetric.answers_differ]


def _held_back(result: CheckResult, enough: bool) -> CheckResult:
    """No check passes or fails on fewer requests than minRequests."""
    if enough or result.verdict in ("Inconclusive", "Error"):
        return result
    return result.model_copy(update={"verdict": "Inconclusive"})


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    return min(verdicts, key=_WORST_FIRST.index)


def _check(rules: Analysis, check: Check, seen: Measured) -> CheckResult:
    if check.metric is not None:
        return _metric(rules, check, check.metric, seen)
    answer = seen.answers.get(check_id(check.shown_name), Answer(fault=True, message="it was not asked"))
    verdict, message = _webhook(answer) if check.webhook else _query(check, answer)
    return CheckResult(
        name=check.shown_name,
        verdict=verdict,
        # JSON has no other numbers.
        value=_rounded(answer.value) if answer.value is not None and math.isfinite(answer.value) else None,
        limit=check.max if check.max is not None else check.min,
        requests=shares.total(CheckMetric.error_rate, seen.canary),
        dry_run=check.dry_run,
        message=f"{check.shown_name} {message}",
    )


def _webhook(answer: Answer) -> tuple[Verdict, str]:
    if answer.fault:
        return "Error", answer.message
    return ("Pass" if answer.yes else "Fail"), answer.message


def _query(check: Check, answer: Answer) -> tuple[Verdict, str]:
    if answer.fault:
        return "Error", answer.message
    if answer.value is None or math.isnan(answer.value):
        return "Inconclusive", "has no value"
    if check.max is not None and answer.value > check.max:
        return "Fail", f"{answer.value:.4g} > {check.max:.4g}"
    if check.min is not None and answer.value < check.min:
        return "Fail", f"{answer.value:.4g} < {check.min:.4g}"
    return "Pass", f"{answer.value:.4g} keeps its limits"


def _metric(rules: Analysis, check: Check, metric: CheckMetric, seen: Measured) -> CheckResult:
    value = None if seen.canary is None else shares.measure(metric, seen.canary)
    comparisons = _told(_comparisons(rules, check, metric, seen), metric, seen.canary)
    verdict = _worst([comparison.verdict for comparison in comparisons])
    limits = [comparison.limit for comparison in comparisons if comparison.limit is not None]
    said = " and ".join(comparison.message for comparison in comparisons if comparison.verdict == verdict)
    return CheckResult(
        name=check.shown_name,
        verdict=verdict,
        value=None if value is None else _rounded(value),
        limit=_rounded(min(limits)) if limits else None,
        requests=shares.total(metric, seen.canary),
        dry_run=check.dry_run,
        message=f"{check.shown_name} {said}" if value is None else f"{check.shown_name} {value:.4g} {said}",
    )


def _told(found: Sequence[_Comparison], metric: CheckMetric, canary: Window | None) -> Sequence[_Comparison]:
    """What a silent pod would have to tell is no lack of requests, but of an answer: it condemns and acquits nobody."""
    if metric is not CheckMetric.error_rate or canary is None or not canary.excuse.untold:
        return found
    said = "and a pod does not tell which of the errors are the feature store's"
    return [
        replace(one, verdict="Error", message=f"{one.message}, {said}")
        if one.verdict == "Inconclusive" and shares.is_in_doubt(canary)
        else one
        for one in found
    ]


def _comparisons(rules: Analysis, check: Check, metric: CheckMetric, seen: Measured) -> Sequence[_Comparison]:
    if seen.faulty or (seen.canary and shares.unread(metric, seen.canary)):
        return [_Comparison("Error", check.max, "cannot be read")]
    if seen.canary is None or shares.measure(metric, seen.canary) is None:
        return [_Comparison("Inconclusive", check.max, "has no requests")]
    if (total := shares.total(metric, seen.canary)) < rules.min_requests and metric is CheckMetric.answers_differ:
        said = f"on {total} pairs of answers of the {rules.min_requests} that a verdict needs"
        return [_Comparison("Inconclusive", check.max, said)]
    clouded = metric is not CheckMetric.error_rate and any(
        side.excuse.clouded for side in (seen.canary, seen.stable) if side
    )
    if clouded and metric is CheckMetric.answers_differ:
        return [_Comparison("Inconclusive", check.max, _CLOUDED)]
    need = evidence.needed(1.0 - rules.confidence, comparisons(rules), seen.number)
    found = (
        [] if check.max is None else [_lenient(_absolute(metric, check.max, seen.canary, need), metric, seen.canary)]
    )
    if check.max_times_stable is not None and clouded:
        found.append(_Comparison("Inconclusive", None, _CLOUDED))
    elif check.max_times_stable is not None:
        found.append(_relative(rules, metric, check.max_times_stable, seen, need))
    return found


def _lenient(found: _Comparison, metric: CheckMetric, canary: Window) -> _Comparison:
    """Without the store requests wait for it in vain, and refused ones are fast: the one condemns nobody, and the other
    acquits nobody. A version that answers all of them in time, by its defaults, is good: it may be what ends the outage
    for its callers.
    """
    excuse = canary.excuse
    refused = excuse.left_out + excuse.doubtful > 0
    if metric is CheckMetric.error_rate or not excuse.clouded or (found.verdict == "Pass" and not refused):
        return found
    return replace(found, verdict="Inconclusive", message=_CLOUDED)


def comparisons(rules: Analysis) -> int:
    """How many limits are tested, among which the tolerated error is divided; a dry run decides nothing."""
    counted = [check for check in rules.checks if check.metric and not check.dry_run]
    return sum((check.max is not None) + (check.max_times_stable is not None) for check in counted)


def _absolute(metric: CheckMetric, limit: float, canary: Window, need: float) -> _Comparison:
    side = shares.side(metric, canary, limit)
    share = 1.0 - shares.PERCENTILES[metric] if metric in shares.PERCENTILES else limit
    against = evidence.above(side.bad, side.total, share, shares.MATTERS[metric])
    good = _is_shown_good(side.with_doubtful(), share, shares.MATTERS[metric])
    return _verdict(against >= need, good, f"{limit:.4g}", limit)


def _relative(rules: Analysis, metric: CheckMetric, times: float, seen: Measured, need: float) -> _Comparison:
    canary, stable = seen.canary or Window(), seen.stable
    if stable and metric is not CheckMetric.error_rate and stable.latency is None:
        return _Comparison("Error", None, "cannot be compared: stable's cannot be read")
    enough = shares.total(CheckMetric.error_rate, stable) >= rules.min_requests
    base = shares.measure(metric, stable) if stable and enough else None
    if base is None or stable is None:
        return _beside_nothing(metric, canary, stable, rules.min_requests)
    limit = times * base
    if metric is CheckMetric.error_rate:
        mine, other, ratio, share = shares.side(metric, canary, 0.0), shares.side(metric, stable, 0.0), times, limit
    else:
        mine, other = shares.side(metric, canary, limit), shares.side(metric, stable, base)
        ratio, share = 1.0, 1.0 - shares.PERCENTILES[metric]
    # Stable's own doubtful errors, counted, are in the canary's favour.
    other = other.with_doubtful()
    against = evidence.worse(mine.bad, mine.total, other.bad, other.total, ratio)
    good = _is_shown_good(mine.with_doubtful(), share, shares.MATTERS[metric])
    return _verdict(against >= need, good, f"{times:g} x stable's {base:.4g}", limit)


def _beside_nothing(metric: CheckMetric, canary: Window, stable: Window | None, least: int) -> _Comparison:
    """Without stable's part nothing can be worse than it. A canary that fails next to nobody while stable is refused
    by its store needs no comparison: it may be what ends the outage for its callers.
    """
    lost = stable is not None and stable.requests >= least and metric is CheckMetric.error_rate
    if lost and _is_shown_good(shares.side(metric, canary, 0.0).with_doubtful(), 0.0, shares.MATTERS[metric]):
        return _Comparison("Pass", 0.0, "not shown above 0, beside a stable that lacks the feature store")
    return _Comparison("Inconclusive", None, "has too few stable requests to compare with")


def _verdict(bad: bool, good: bool, shown: str, limit: float) -> _Comparison:
    if bad:
        return _Comparison("Fail", limit, f"> {shown}")
    if good:
        return _Comparison("Pass", limit, f"not shown above {shown}")
    return _Comparison("Inconclusive", limit, f"against {shown}: too few requests to tell")


def _is_shown_good(side: shares.Side, share: float, matters: float) -> bool:
    """Whether fewer are bad than the limit and a difference that matters allow."""
    return evidence.below(side.bad, side.total, share + matters, share) >= SHOWN


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
