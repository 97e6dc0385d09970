"""What more than one suite needs and is dear to start, and what is done about a test that fails now and then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter
from hypothesis import HealthCheck, settings

from controlplane import apiserver
from controlplane.apiserver import ApiServer
from support.lanes import Lanes, place

# How long an example takes says nothing about the code: machines are shared. The same examples on every run.
settings.register_profile("sluice", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sluice")

TESTS = Path(__file__).parent
AGAINST_REAL_PARTS = ("chart", "controlplane", "e2e", "router", "runtime")
MOST_SECOND_TRIES = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test against processes, sockets and a cluster gets a second try; one of pure logic has no excuse."""
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in AGAINST_REAL_PARTS:
            item.add_marker(pytest.mark.flaky(reruns=1))
    items.sort(key=lambda item: place(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """Called where tests run in several processes."""
    config.option.loadscopereorder = False
    return Lanes(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Some second tries are the machine's doing; more of them are the code's, and fail the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and len(reporter.stats.get("rerun", ())) > MOST_SECOND_TRIES:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Why a first try failed is told as fully as any failure: each is a fault to be found."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"a first try failed: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server that belongs to the tests alone."""
    with apiserver.running(tmp_path_factory.mktemp("apiserver")) as server:
        yield server
