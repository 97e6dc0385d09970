"""Every test gets an Envoy of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router import harness


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[harness.Bench]:
    async with harness.bench(tmp_path) as found:
        yield found
