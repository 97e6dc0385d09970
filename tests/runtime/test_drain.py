"""A pod that is taken away loses no request."""

import concurrent.futures
import http.client
import json
import signal
import threading
from pathlib import Path

import httpx
import pytest

from runtime.harness import PATIENCE, Running, config_for, eventually, package_of, serving, turns_tensor
from runtime.models import as_slow_as_asked

BODY = json.dumps(
    {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 30], "data": [float(i) for i in range(30)]}]}
)
CALLERS = 16


def call_until_asked_to_leave(port: int, started: threading.Barrier) -> list[int]:
    """One keep-alive caller: asks again and again, and goes elsewhere when an answer says so, as a router does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    statuses = []
    while True:
        connection.request("POST", "/v2/models/shop/infer", BODY)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        if len(statuses) == 20:
            started.wait(PATIENCE)
        if response.getheader("Connection") == "close":
            return statuses


def test_a_stop_under_load_loses_no_request(trained_package: Path) -> None:
    with serving(config_for(trained_package, drain_seconds=30)) as running:
        started = threading.Barrier(CALLERS + 1)
        with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
            callers = [pool.submit(call_until_asked_to_leave, running.config.port, started) for _ in range(CALLERS)]
            started.wait(PATIENCE)
            running.process.send_signal(signal.SIGTERM)
            statuses = [status for caller in callers for status in caller.result(PATIENCE)]
        running.client.close()
        assert len(statuses) > 20 * CALLERS
        assert set(statuses) == {200}
        assert running.process.wait(PATIENCE) == 0


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    return package_of(as_slow_as_asked(), tmp_path)


def busy(running: Running) -> bool:
    return running.metrics()['sluice_requests_in_flight{model="shop",revision=""}'] > 0


def test_while_it_drains_it_is_not_ready_and_still_answers(slow: Path) -> None:
    with serving(config_for(slow, drain_seconds=600)) as running, concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.post, f"{running.url}/v2/models/shop/infer", json=slow_body(3000), timeout=PATIENCE)
        eventually(lambda: busy(running))
        running.process.send_signal(signal.SIGTERM)
        eventually(lambda: running.client.get("/v2/health/ready").status_code == 503)
        assert running.client.get("/readyz").status_code == 503
        assert running.client.get("/livez").status_code == 200
        late = running.infer(turns_tensor(1))
        assert late.status_code == 200
        assert late.headers["connection"] == "close"
        assert answer.result(PATIENCE).status_code == 200
        running.client.close()
        assert running.process.wait(PATIENCE) == 0


def test_a_second_signal_ends_it_at_once(slow: Path) -> None:
    with serving(config_for(slow, drain_seconds=600)) as running, concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.post, f"{running.url}/v2/models/shop/infer", json=slow_body(10**9), timeout=PATIENCE)
        eventually(lambda: busy(running))
        running.process.send_signal(signal.SIGTERM)
        eventually(lambda: running.client.get("/v2/health/ready").status_code == 503)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 128 + signal.SIGTERM
        with pytest.raises(httpx.TransportError):
            answer.result(PATIENCE)


def test_a_caller_that_leaves_before_its_turn_is_not_computed(slow: Path) -> None:
    with serving(config_for(slow)) as running, concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(running.infer, turns_tensor(5000))
        eventually(lambda: busy(running))
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{running.url}/v2/models/shop/infer", json=slow_body(1), timeout=0.1)
        assert first.result(PATIENCE).status_code == 200
        eventually(lambda: running.metrics()['sluice_requests_total{code="499",model="shop",revision=""}'] == 1)
        assert running.metrics()['sluice_inference_duration_seconds_count{model="shop",revision=""}'] == 1


def slow_body(turns: int) -> dict[str, object]:
    return {"inputs": [turns_tensor(turns)]}
