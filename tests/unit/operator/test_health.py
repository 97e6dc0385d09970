"""Alive means: work gets done. Answering is not enough."""

import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.health import Health, Vitals, complaints, serve
from sluice_operator.workqueue import Progress

NOW = 10_000.0
IDLE = Progress(depth=0, oldest_waiting=None, oldest_running=None, last_finished=NOW - 5000)
WELL = Vitals(at=NOW, started=0, synced=True, late=(), api_away=False, queue=IDLE)


def busy(**changes: Any) -> Any:
    return replace(WELL, queue=replace(IDLE, **changes))


ALIVE = {
    "idle for hours": WELL,
    "a reconcile that takes a while": busy(oldest_running=NOW - 20),
    "a queue that is long but moves": busy(depth=900, oldest_waiting=NOW - 200, last_finished=NOW - 1),
    "not complete yet, just started": replace(WELL, synced=False, started=NOW - 30),
    "not complete because nobody answers, which a restart cannot mend": replace(WELL, synced=False, api_away=True),
    "watches that show nothing because nobody answers": replace(WELL, late=("pods",), api_away=True),
}
DEAD = {
    "the event loop is blocked": replace(WELL, at=NOW - 31),
    "a reconcile is stuck": busy(oldest_running=NOW - 121),
    "work waits and nothing gets done": busy(depth=1, oldest_waiting=NOW - 61, last_finished=NOW - 61),
    "the cache was never complete": replace(WELL, synced=False),
    "watches have stopped: pods": replace(WELL, late=("pods",)),
}


@pytest.mark.parametrize("vitals", ALIVE.values(), ids=ALIVE)
def test_alive(vitals: Any) -> None:
    assert complaints(vitals, NOW) == []


@pytest.mark.parametrize(("complaint", "vitals"), DEAD.items(), ids=DEAD)
def test_not_alive(complaint: Any, vitals: Any) -> None:
    assert complaints(vitals, NOW) == [complaint]


@pytest.fixture
def ask() -> Any:
    """Serve given vitals and ask for a path."""
    servers = []

    def asked(vitals: Any, path: Any) -> Any:
        server = serve(0, Health(lambda at: vitals, clock=lambda: NOW))
        servers.append(server)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    yield asked
    for server in servers:
        server.shutdown()
        server.server_close()


def test_liveness_is_served(ask: Any) -> None:
    assert ask(WELL, "/healthz") == (200, "ok")
    assert ask(replace(WELL, at=NOW - 60), "/healthz") == (503, "the event loop is blocked")


def test_readiness_waits_for_the_cache(ask: Any) -> None:
    assert ask(WELL, "/readyz") == (200, "ok")
    assert ask(replace(WELL, synced=False), "/readyz") == (503, "the cache is not complete yet")


def test_who_cannot_take_part_in_the_election_is_not_ready(ask: Any) -> None:
    assert ask(replace(WELL, election="forbidden"), "/readyz") == (503, "forbidden")
    assert ask(replace(WELL, election="forbidden"), "/healthz") == (200, "ok")


def test_metrics_are_served(ask: Any) -> None:
    status, text = ask(WELL, "/metrics")
    assert status == 200
    for name in ("api_writes_total", "leader", "queue_depth", "queue_lag_seconds", "reconcile_duration_seconds"):
        assert f"sluice_operator_{name}" in text


def test_other_paths_are_not_there(ask: Any) -> None:
    assert ask(WELL, "/etc/passwd")[0] == 404
