"""The wait that a queue promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.queueing import Mean, expected_wait


@pytest.mark.parametrize(
    ("queued", "rows", "running", "seconds", "wait"),
    [
        (0, 64, False, 1.0, 0),
        (0, 64, True, 1.0, 1),
        (1, 64, True, 1.0, 2),
        (64, 64, False, 1.0, 1),
        (65, 64, True, 0.5, 1.5),
    ],
)
def test_a_request_waits_for_the_runs_before_it(
    queued: int, rows: int, running: bool, seconds: float, wait: float
) -> None:
    assert expected_wait(queued, rows, running, seconds) == wait


@given(st.lists(st.floats(0, 100), min_size=1))
def test_a_mean_lies_between_what_it_has_seen(samples: list[float]) -> None:
    mean = Mean(samples[0])
    for sample in samples:
        mean.add(sample)
    assert min(samples) - 1e-9 <= mean.value <= max(samples) + 1e-9
