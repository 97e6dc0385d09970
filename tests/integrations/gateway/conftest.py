"""One Envoy Gateway for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.gateway import envoy_gateway
from support.cluster import Cluster


@pytest.fixture(scope="session")
def gateway(cluster: Cluster) -> Iterator[None]:
    """A gateway in the cluster."""
    with envoy_gateway.installed(cluster):
        yield
