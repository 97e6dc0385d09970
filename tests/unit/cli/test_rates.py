"""Rates from what pods say of themselves, over pods that come, go and restart."""

from typing import Any

import pytest

from sluice_operator.cli.rates import Meter


class Pods:
    """Answers for pods: how much each has answered since its process started."""

    def __init__(self) -> None:
        self.said: dict[str, str | None] = {}

    def pod_metrics(self, pod: str, port: int) -> str | None:
        return self.said.get(pod)

    def answered(self, pod: str, fast: int, slow: int = 0, errors: int = 0, started: float = 0.0) -> None:
        self.said[pod] = (
            f'sluice_request_duration_seconds_bucket{{le="0.01"}} {fast}\n'
            f'sluice_request_duration_seconds_bucket{{le="1.0"}} {fast + slow}\n'
            f'sluice_request_duration_seconds_bucket{{le="+Inf"}} {fast + slow}\n'
            f'sluice_requests_total{{code="200"}} {fast + slow - errors}\n'
            f'sluice_requests_total{{code="503"}} {errors}\n'
            f"process_start_time_seconds {started}\n"
        )


def pod(name: str, revision: str = "r1", phase: str = "Running") -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"sluice.dev/revision": revision}}, "status": {"phase": phase}}


def meter(pods: Pods) -> Meter:
    return Meter(pods)  # type: ignore[arg-type]  # the one method of the connection that it asks


def test_the_first_look_measures_nothing() -> None:
    pods = Pods()
    pods.answered("a", 100)
    assert meter(pods).look([pod("a")], 1000.0) == {}


def test_rates_are_summed_over_the_pods_of_a_revision() -> None:
    pods = Pods()
    pods.answered("a", 100)
    pods.answered("b", 1000)
    measured = meter(pods)
    measured.look([pod("a"), pod("b")], 1000.0)
    pods.answered("a", 120, errors=1)
    pods.answered("b", 1080, errors=1)
    found = measured.look([pod("a"), pod("b")], 1002.0)["r1"]
    assert found.requests == 50.0
    assert found.error_rate == pytest.approx(0.02)
    assert found.p99 is not None
    assert found.p99 <= 0.01


def test_a_pod_that_starts_meanwhile_counts_from_its_start_and_one_that_restarts_counts_anew() -> None:
    pods = Pods()
    pods.answered("a", 100)
    measured = meter(pods)
    measured.look([pod("a")], 1000.0)
    pods.answered("a", 10, started=1001.0)
    pods.answered("b", 20, started=1001.0)
    assert measured.look([pod("a"), pod("b")], 1002.0)["r1"].requests == 15.0


def test_rates_are_over_the_last_ten_seconds() -> None:
    pods, measured = Pods(), None
    pods.answered("a", 0)
    measured = meter(pods)
    measured.look([pod("a")], 1000.0)
    pods.answered("a", 1000)
    assert measured.look([pod("a")], 1001.0)["r1"].requests == 1000.0
    for second in range(2, 13):
        found = measured.look([pod("a")], 1000.0 + second)["r1"]
    assert found.requests == 0.0
    assert found.p99 is None


def test_pods_that_may_not_be_asked_leave_the_rates_open() -> None:
    measured = meter(Pods())
    assert measured.look([pod("a")], 1000.0) == {}
    assert measured.look([pod("a")], 1001.0) == {}


def test_pods_that_do_not_run_are_not_asked() -> None:
    pods = Pods()
    pods.answered("a", 1)
    measured = meter(pods)
    measured.look([pod("a", phase="Pending")], 1000.0)
    assert measured.look([pod("a", phase="Pending")], 1001.0) == {}
