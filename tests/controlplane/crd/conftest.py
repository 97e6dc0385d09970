"""A namespace of its own on a real cluster that knows the CustomResourceDefinition."""

from collections.abc import Iterator

import pytest

from controlplane.crd import definition
from support.kube import Kube


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    connected = definition.connect("crd")
    definition.install(connected)
    connected.create_namespace()
    yield connected
    connected.run("delete", "namespace", connected.namespace, "--wait=false")
