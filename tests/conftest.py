"""What more than one suite needs and is dear to start."""

from collections.abc import Iterator

import pytest

from controlplane import apiserver
from controlplane.apiserver import ApiServer


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server that belongs to the tests alone."""
    with apiserver.running(tmp_path_factory.mktemp("apiserver")) as server:
        yield server
