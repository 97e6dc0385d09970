"""What counts of a canary prove, however often one looks at them.

A canary is measured again and again, so a test that errs once in a hundred looks would condemn a good version sooner or
later. These are sequential tests: the evidence is a beta mixture of likelihood ratios, a martingale where the share
under test is the true one, so that by Ville's inequality it exceeds 1/a at *any* look with a probability of at most a
(H. Robbins, Ann. Math. Statist. 41, 1970; M. Lindon and A. Malek, Anytime-Valid Inference for Multinomial Count Data,
NeurIPS 2022, who judge canaries by it). Counts are of requests that were bad (answered with an error, or slower than a
limit); they may be fractions where a histogram was interpolated. It holds for requests that fail independently: an
outage that hits many at once looks like more evidence than it is, which is what failureLimit is for.
"""

import math

RATIO = 4.0
"""The ratio of odds to which the comparison of two versions is most sensitive, beyond the limit itself."""
LEAST = 0.005
"""Where no bad requests at all are expected, the test asks as if one in two hundred were."""
_WEIGHT = 2.0
"""Strength of the mixture's prior, in counts of the rarer outcome; it costs little anywhere between 1 and 4."""


def above(bad: float, total: float, share: float, matters: float) -> float:
    """Logarithm of the evidence that more than `share` of the requests are bad; -inf where they do not even look it.

    It is most sensitive to a share that is above by what `matters`.
    """
    if share >= 1.0 or bad <= share * total:
        return -math.inf
    return math.inf if share <= 0.0 else _evidence(bad, total, share, share + (1.0 - share) * matters)


def below(bad: float, total: float, share: float, expected: float) -> float:
    """Logarithm of the evidence that fewer than `share` of the requests are bad, if about `expected` are."""
    if share >= 1.0:
        return math.inf
    if bad >= share * total:
        return -math.inf
    return _evidence(bad, total, share, max(expected, LEAST))


def worse(bad: float, total: float, stable_bad: float, stable_total: float, times: float) -> float:
    """Logarithm of the evidence that the canary's share of bad requests is above `times` that of stable.

    Conditional on how many were bad in both together, each of them is the canary's with a probability that only the
    two numbers of requests say, if the shares are as the limit has them (the conditional test of two Poisson rates: J.
    Przyborowski and H. Wilenski, Biometrika 31, 1940).
    """
    both = bad + stable_bad
    if total <= 0 or stable_total <= 0 or both <= 0:
        return -math.inf
    share = times * total / (times * total + stable_total)
    if bad <= share * both:
        return -math.inf
    odds = RATIO * share / (1.0 - share)
    return _evidence(bad, both, share, odds / (1.0 + odds))


def needed(error: float, comparisons: int, window: int) -> float:
    """What the logarithm of the evidence must reach to err with probability `error` at most in a whole rollout.

    The error is divided among the comparisons, and among windows (1, 2, ...) as 6 / (pi * window)^2, which sums to one.
    """
    return math.log(max(1, comparisons) / error) + 2.0 * math.log(max(1, window)) + math.log(math.pi**2 / 6.0)


def _evidence(bad: float, total: float, share: float, centre: float) -> float:
    """Logarithm of the mixture's likelihood ratio against `share`, with a beta prior around `centre`."""
    scale = _WEIGHT / min(centre, 1.0 - centre)
    a, b = scale * centre, scale * (1.0 - centre)
    ratio = _log_beta(a + bad, b + total - bad) - _log_beta(a, b)
    return ratio - bad * math.log(share) - (total - bad) * math.log1p(-share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
