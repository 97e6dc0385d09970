"""Counters of processes that come, go and restart, summed over a window."""

from sluice_operator.cluster.increments import Increments


def _increments(opened_at: float = 100.0) -> Increments[str]:
    return Increments(opened_at)


def test_what_happened_before_the_window_does_not_count() -> None:
    increments = _increments()
    increments.add("router-1", {"v1": {"requests": 1000}}, started_at=50)
    increments.add("router-1", {"v1": {"requests": 1007}}, started_at=50)
    assert increments.sums("v1") == {"requests": 7}


def test_sources_add_up() -> None:
    increments = _increments()
    for source in ("router-1", "router-2"):
        increments.add(source, {"v1": {"requests": 5}}, started_at=50)
        increments.add(source, {"v1": {"requests": 9}}, started_at=50)
    assert increments.sums("v1") == {"requests": 8}


def test_a_restarted_source_counts_from_zero_and_never_backwards() -> None:
    increments = _increments()
    for requests in (1000, 1007, 3):
        increments.add("router-1", {"v1": {"requests": requests}}, started_at=50)
    assert increments.sums("v1") == {"requests": 10}


def test_a_source_that_started_after_the_window_opened_counts_from_zero() -> None:
    increments = _increments(opened_at=100)
    increments.add("router-2", {"v1": {"requests": 4}}, started_at=101)
    assert increments.sums("v1") == {"requests": 4}


def test_an_older_source_first_seen_late_counts_from_then() -> None:
    increments = _increments(opened_at=100)
    increments.add("router-2", {"v1": {"requests": 4000}}, started_at=50)
    increments.add("router-2", {"v1": {"requests": 4001}}, started_at=50)
    assert increments.sums("v1") == {"requests": 1}


def test_a_source_of_unknown_age_counts_from_its_first_report() -> None:
    increments = _increments()
    increments.add("pod-1", {"v1": {"requests": 40}}, started_at=None)
    increments.add("pod-1", {"v1": {"requests": 42}}, started_at=None)
    assert increments.sums("v1") == {"requests": 2}


def test_a_revision_that_appears_on_a_known_router_counts_from_zero() -> None:
    increments = _increments()
    increments.add("router-1", {"v1": {"requests": 10}}, started_at=50)
    increments.add("router-1", {"v1": {"requests": 12}, "v2": {"requests": 3}}, started_at=50)
    assert increments.sums("v2") == {"requests": 3}


def test_a_revision_that_was_removed_and_comes_back_starts_at_zero_alone() -> None:
    increments = _increments()
    increments.add("router-1", {"v1": {"requests": 10}, "v2": {"requests": 5}}, started_at=50)
    increments.add("router-1", {"v1": {"requests": 20}}, started_at=50)
    increments.add("router-1", {"v1": {"requests": 30}, "v2": {"requests": 7}}, started_at=50)
    assert increments.sums("v1") == {"requests": 20}
    assert increments.sums("v2") == {"requests": 7}


def test_a_new_window_starts_from_the_last_report() -> None:
    increments = _increments()
    for requests in (10, 15):
        increments.add("router-1", {"v1": {"requests": requests}}, started_at=50)
    increments.reopen(200)
    assert increments.sums("v1") == {}
    increments.add("router-1", {"v1": {"requests": 18}}, started_at=50)
    assert increments.sums("v1") == {"requests": 3}
