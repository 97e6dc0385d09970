"""How requests and statuses become claims: every rule that a number in a report rests on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.cluster import SetupError, find_cluster, image_values
from support.history import Period, weight_periods
from support.load import Request, between, failures, wrong
from support.report import Report
from support.stats import binomial_interval, percentile
from support.writes import COUNTER


def request(start: float = 0.0, revision: str = "a", status: int = 200, outputs: tuple[float, ...] = (0.5,)) -> Request:
    return Request(start, 0.1, revision, status, 0, outputs, "" if status == 200 else "no")


def test_the_binomial_interval_holds_at_least_the_wanted_share_and_not_much_more() -> None:
    low, high = binomial_interval(2000, 0.1)
    assert (low, high) == (157, 245)
    assert binomial_interval(2000, 1.0) == (2000, 2000)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert np.isnan(percentile([], 99))


def test_only_requests_that_lie_completely_in_a_period_count_for_it() -> None:
    requests = [request(start) for start in (0.95, 1.0, 1.85, 1.95)]
    assert [one.start for one in between(requests, 1.0, 2.0)] == [1.0, 1.85]


def test_a_wrong_prediction_or_one_of_an_unknown_revision_is_wrong_and_a_failure_is_not_counted_twice() -> None:
    requests = [request(), request(outputs=(0.6,)), request(revision="b"), request(status=500, outputs=())]
    expected = {"a": np.array([[0.5]])}
    assert wrong(requests, expected) == requests[1:3]
    assert failures(requests) == requests[3:]


def test_a_row_without_an_expected_value_has_no_right_answer() -> None:
    assert wrong([request()], {"a": np.array([[np.nan]])}) == [request()]


def at(second: int) -> str:
    return f"1970-01-01T00:00:{second:02d}.000000Z"


def stepping(weight: int, decided: int, held: int | None = None, canary: str = "c") -> dict[str, Any]:
    rollout = {"weight": weight, "weightSetAt": at(decided)} | ({"holdStartedAt": at(held)} if held else {})
    return {"canary": {"revision": canary}, "rollout": rollout}


def test_a_period_lasts_from_verification_to_the_next_decision() -> None:
    statuses = [stepping(10, 1), stepping(10, 1, 2), stepping(10, 1, 2), stepping(50, 9), stepping(50, 9, 10), {}]
    assert weight_periods(statuses) == [Period("c", 10, 1.0, 2.0, 9.0), Period("c", 50, 9.0, 10.0, None)]


def test_a_roll_back_is_verified_when_the_drain_begins() -> None:
    # The hold of the step before is still there while the canary is taken back: it verifies nothing.
    statuses = [stepping(10, 1, 2), stepping(0, 5, 2), {"draining": [{"revision": "c", "since": at(6)}]}]
    assert weight_periods(statuses)[-1] == Period("c", 0, 5.0, 6.0, None)


def test_a_report_without_claims_or_with_a_broken_one_is_no_success(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.report.BUILD", tmp_path)
    report = Report("x-report.json")
    assert report.conclude() == 1
    report.at_most("small", 2.0, 1.0)
    assert report.conclude() == 0
    report.at_most("not measured", 2.0, None)
    assert report.conclude() == 1


def test_image_names_become_values_of_the_chart() -> None:
    assert image_values({"runtime": "registry.example:5000/team/runtime:1"}) == {
        "images.runtime.registry": "registry.example:5000",
        "images.runtime.repository": "team/runtime",
        "images.runtime.tag": "1",
    }


def test_a_prefix_for_images_needs_a_cluster_that_pulls_from_there() -> None:
    with pytest.raises(SetupError, match="KUBECONFIG"):
        find_cluster({"IMAGE_PREFIX": "registry.example"})


def test_the_operators_writes_are_read_from_its_metrics() -> None:
    text = 'x 1\nsluice_operator_api_writes_total{kind="Pod",verb="patch"} 3.0\n'
    assert COUNTER.findall(text) == [('kind="Pod",verb="patch"', "3.0")]
