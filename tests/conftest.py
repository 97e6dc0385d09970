"""What more than one suite needs and is dear to start."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from controlplane import apiserver
from controlplane.apiserver import ApiServer

# How long an example takes says nothing about the code: machines are shared. The same examples on every run.
settings.register_profile("sluice", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sluice")


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server that belongs to the tests alone."""
    with apiserver.running(tmp_path_factory.mktemp("apiserver")) as server:
        yield server
