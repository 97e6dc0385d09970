"""A namespace on a real API server that knows the CustomResourceDefinition."""

from collections.abc import Iterator

import pytest

from controlplane.apiserver import ApiServer
from controlplane.crd import definition
from support.kube import Kube


@pytest.fixture(scope="session")
def kube(api_server: ApiServer) -> Iterator[Kube]:
    with api_server.namespace("crd") as connected:
        definition.install(connected)
        yield connected
