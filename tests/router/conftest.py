"""Every test gets an Envoy of its own, and where callers are checked, somebody who checks them and a pod to reach."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router import harness
from router.judge import Judge, Pod


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[harness.Bench]:
    async with harness.bench(tmp_path) as found:
        yield found


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
async def authorizer(bench: harness.Bench, judge: Judge) -> harness.Upstream:
    return await bench.upstream(handler=judge.handle)


@pytest.fixture
def pod() -> Pod:
    return Pod()
