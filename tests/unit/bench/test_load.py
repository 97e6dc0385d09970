"""What the load generators print becomes numbers with the right units, and a failure never becomes a number."""

import json

import pytest

from bench.serving.errors import BenchError
from bench.serving.load import parse_ghz, parse_wrk

WRK = {
    "requests": 5000,
    "duration_us": 2_000_000,
    "p50_us": 1300.5,
    "p99_us": 4100.0,
    "max_us": 9000.0,
    **dict.fromkeys(("connect", "read", "write", "status", "timeout"), 0),
}
GHZ = {
    "count": 3000,
    "rps": 1499.5,
    "statusCodeDistribution": {"OK": 3000},
    "errorDistribution": {},
    "latencyDistribution": [{"percentage": 50, "latency": 2_500_000}, {"percentage": 99, "latency": 7_000_000}],
}


def wrk_output(**changes: int) -> str:
    return f"Running 2s test @ http://127.0.0.1:1\n  1 threads\nBENCH {json.dumps({**WRK, **changes})}\n"


def test_wrk_counts_answers_a_second_and_milliseconds() -> None:
    seen = parse_wrk(wrk_output())
    assert (seen.rate, seen.p50, seen.p99, seen.requests) == (2500.0, 1.3005, 4.1, 5000)


@pytest.mark.parametrize("failure", ["connect", "read", "write", "status", "timeout"])
def test_a_failure_under_wrk_is_no_measurement(failure: str) -> None:
    with pytest.raises(BenchError, match=failure):
        parse_wrk(wrk_output(**{failure: 1}))


def test_no_answer_under_wrk_is_no_measurement() -> None:
    with pytest.raises(BenchError, match="0 requests"):
        parse_wrk(wrk_output(requests=0))


def test_output_without_the_scripts_line_is_shown() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_ghz_counts_calls_a_second_and_milliseconds() -> None:
    seen = parse_ghz(json.dumps(GHZ))
    assert (seen.rate, seen.p50, seen.p99, seen.requests) == (1499.5, 2.5, 7.0, 3000)


@pytest.mark.parametrize("codes", [{"OK": 2999, "Unavailable": 1}, {"Unimplemented": 3000}, {}, None])
def test_a_call_under_ghz_that_is_not_ok_is_no_measurement(codes: dict[str, int] | None) -> None:
    with pytest.raises(BenchError, match="status codes"):
        parse_ghz(json.dumps({**GHZ, "statusCodeDistribution": codes}))
