"""How often others may make the authorizer ask: a rate for each source, and one for all."""

from hypothesis import given
from hypothesis import strategies as st

from sluice_authorizer.budget import Bucket, Budget, Rate


def test_a_source_has_its_burst_and_then_its_rate():
    budget = Budget(Rate(2.0, 3), Rate(100.0, 100), 10, 0.0)
    assert [budget.spend("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert not budget.spend("a", 0.4)
    assert budget.spend("a", 0.5)
    assert not budget.spend("a", 0.5)


def test_one_source_leaves_the_others_theirs():
    budget = Budget(Rate(1.0, 2), Rate(100.0, 10), 10, 0.0)
    assert [budget.spend("a", 0.0) for _ in range(50)].count(True) == 2
    assert budget.spend("b", 0.0)


def test_many_sources_share_one_budget():
    budget = Budget(Rate(1.0, 2), Rate(1.0, 5), 1000, 0.0)
    assert sum(budget.spend(str(source), 0.0) for source in range(100)) == 5
    assert sum(budget.spend(str(source), 3.0) for source in range(100)) == 3


def test_what_is_refused_costs_nobody():
    budget = Budget(Rate(1.0, 1), Rate(0.0, 2), 10, 0.0)
    assert budget.spend("a", 0.0)
    assert not any(budget.spend("a", 0.0) for _ in range(10))
    assert budget.spend("b", 0.0)


def test_sources_are_forgotten_rather_than_gathered():
    budget = Budget(Rate(1.0, 1), Rate(1e9, 10**9), 10, 0.0)
    for source in range(10_000):
        budget.spend(str(source), 0.0)
    assert len(budget) == 10


@given(st.lists(st.floats(-5.0, 5.0), max_size=60))
def test_whatever_the_clock_does_no_more_is_spent_than_has_come(steps):
    rate, now = Rate(2.0, 4), 100.0
    bucket, latest, spent = Bucket(rate, now), now, 0
    for step in steps:
        now += step
        latest = max(latest, now)
        if bucket.has(now):
            bucket.take()
            spent += 1
        assert spent <= rate.burst + (latest - 100.0) * rate.per_second + 1e-6
