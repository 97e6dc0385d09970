"""One MLflow server for all tests of registries: it is dear to start, and each test has names of its own there."""

from collections.abc import Iterator

import pytest

from integrations.registries.servers import Server, mlflow_server


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow") / "server") as server:
        yield server
