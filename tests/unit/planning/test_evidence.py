"""The sequential tests: their formula against scipy's, their level by simulation, and what must hold for any counts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom

from sluice_operator.planning import evidence

SHARES = st.floats(0.001, 0.9)
COUNTS = st.integers(0, 2000)


@pytest.mark.parametrize(("bad", "total", "share"), [(3, 50, 0.01), (12, 200, 0.02), (700, 1000, 0.5), (1, 1, 0.01)])
def test_evidence_is_a_ratio_of_a_beta_binomial_to_a_binomial(bad: int, total: int, share: float) -> None:
    centre = share + (1 - share) * 0.05
    scale = 2.0 / min(centre, 1 - centre)
    mixture = betabinom.logpmf(bad, total, scale * centre, scale * (1 - centre))
    expected = mixture - binom.logpmf(bad, total, share)
    assert evidence.above(bad, total, share, 0.05) == pytest.approx(expected)


def test_the_tolerated_error_is_divided_among_windows_and_comparisons() -> None:
    spent = [math.exp(-evidence.needed(0.01, 3, window)) for window in range(1, 100_000)]
    assert 3 * sum(spent) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_however_often_one_looks_a_good_version_is_seldom_condemned(share: float) -> None:
    random, looks, need = np.random.default_rng(1), 200, math.log(1 / 0.05)
    condemned = 0
    for _ in range(400):
        bad = np.cumsum(random.binomial(10, share, looks))
        condemned += any(evidence.above(bad[i], 10 * (i + 1), share, 0.05) >= need for i in range(looks))
    assert condemned / 400 <= 0.05


@pytest.mark.parametrize("times", [1.0, 1.5])
def test_a_version_at_its_limit_relative_to_stable_is_seldom_condemned(times: float) -> None:
    random, looks, need = np.random.default_rng(2), 100, math.log(1 / 0.05)
    condemned = 0
    for _ in range(400):
        bad, stable = (np.cumsum(random.binomial(n, rate, looks)) for n, rate in ((25, 0.02 * times), (475, 0.02)))
        hits = (evidence.worse(bad[i], 25 * (i + 1), stable[i], 475 * (i + 1), times) >= need for i in range(looks))
        condemned += any(hits)
    assert condemned / 400 <= 0.05


@given(total=st.integers(1, 2000), bad=COUNTS, share=SHARES)
def test_more_bad_requests_never_speak_for_a_version(total: int, bad: int, share: float) -> None:
    bad = min(bad, total - 1)
    assert evidence.above(bad + 1, total, share, 0.05) >= evidence.above(bad, total, share, 0.05)
    assert evidence.below(bad + 1, total, share, share / 2) <= evidence.below(bad, total, share, share / 2)


@given(bad=COUNTS, stable=COUNTS, times=st.floats(1, 5))
def test_more_bad_requests_never_look_better_beside_stable(bad: int, stable: int, times: float) -> None:
    def worse(canary: int, other: int) -> float:
        return evidence.worse(canary, 2000, other, 20_000, times)

    assert worse(bad + 1, stable) >= worse(bad, stable) - 1e-9


@given(bad=COUNTS, total=st.integers(0, 2000), share=SHARES)
def test_nothing_is_both_shown_bad_and_shown_good(bad: int, total: int, share: float) -> None:
    bad = min(bad, total)
    assert not (evidence.above(bad, total, share, 0.05) > 0 and evidence.below(bad, total, share, share / 2) > 0)


def test_extremes() -> None:
    assert evidence.above(0, 0, 0.01, 0.05) == -math.inf
    assert evidence.above(1, 10, 0.0, 0.05) == math.inf
    assert evidence.above(10, 10, 1.0, 0.05) == -math.inf
    assert evidence.below(10, 10, 1.0, 0.05) == math.inf
    assert evidence.worse(5, 10, 0, 0, 1.0) == -math.inf
    assert evidence.worse(5, 100, 0, 1900, 2.0) > 5
