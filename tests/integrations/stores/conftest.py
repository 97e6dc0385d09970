"""One server of each kind for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.stores.packing import Shelf, shelf
from integrations.stores.servers import KINDS


@pytest.fixture(scope="session", params=sorted(KINDS))
def any_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """Each kind of store in turn, with packages in it."""
    with shelf(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture(scope="session")
def s3_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """An S3 server of its own."""
    with shelf("s3", tmp_path_factory.mktemp("s3-alone")) as found:
        yield found
