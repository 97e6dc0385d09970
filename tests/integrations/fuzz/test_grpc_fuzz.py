"""Tens of thousands of hostile gRPC calls: each that can be answered is, nothing fails inside, nothing grows."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integrations.fuzz.test_fuzz import GROWTH, LIMITS
from runtime.harness import config_for, package_of, serving
from runtime.models import trained
from runtime.shops import ROW, shop_package
from runtime.test_grpc_bounds import INFER
from runtime.test_protocol_grpc import Client
from sluice_runtime.errors import INTERNAL
from support.feature_store import feature_store_aside
from support.hostile_grpc import HostileCalls
from support.process import open_files, rss_bytes
from support.throwing import CALLERS, HINT, PATIENCE

CALLS = 60_000
EXPECTED = frozenset({0, 3, 4, 5, 8, 12, 13})
"""13 only for what breaks gRPC's own framing, as its specification asks; what fails inside says so in words."""

_STATUS = re.compile(rb"grpc-status[\x01\x02](\d{1,2})")


async def throw_calls(port: int, connections: Iterator[tuple[bytes, int | None]]) -> Counter[int]:
    """Send all connections; counts of the statuses that calls end with.

    Raises:
        TimeoutError: a call of a sound connection was never answered.
        AssertionError: something failed inside the runtime.
    """
    statuses: Counter[int] = Counter()
    await asyncio.gather(*(_caller(port, connections, statuses) for _ in range(CALLERS)))
    return statuses


async def _caller(port: int, connections: Iterator[tuple[bytes, int | None]], statuses: Counter[int]) -> None:
    for data, calls in connections:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            said = await _hear(reader, calls)
        finally:
            writer.close()
        assert INTERNAL.encode() not in said, data
        statuses.update(int(found) for found in _STATUS.findall(said))


async def _hear(reader: asyncio.StreamReader, calls: int | None) -> bytes:
    """What comes until all calls have ended or the connection has; of a spoiled one, until nothing more comes."""
    said = b""
    try:
        while calls is None or len(_STATUS.findall(said)) < calls:
            async with asyncio.timeout(HINT if calls is None else PATIENCE):
                piece = await reader.read(65536)
            if not piece:
                break
            said += piece
    except ConnectionError:
        pass
    except TimeoutError:
        if calls is not None:
            raise
    return said


def harm(package: Path, message: bytes, expected: frozenset[int] = EXPECTED, **more: Any) -> None:
    with serving(config_for(package, limits=LIMITS, **more)) as running:
        pid, port = running.process.pid, running.config.grpc_port or 0
        asyncio.run(throw_calls(port, HostileCalls(message, 1).connections(CALLS // 4)))
        rss, files = rss_bytes(pid), open_files(pid)
        statuses = asyncio.run(throw_calls(port, HostileCalls(message, 2).connections(CALLS - CALLS // 4)))
        assert set(statuses) <= expected, statuses
        assert min(statuses[0], statuses[3], statuses[13]) > CALLS / 100, statuses
        assert running.metrics()['sluice_requests_in_flight{model="shop",revision=""}'] == 0
        assert rss_bytes(pid) <= (1 + GROWTH) * rss
        assert open_files(pid) <= files + 2


@pytest.mark.timeout(3600)
def test_hostile_calls_harm_nobody(tmp_path: Path) -> None:
    harm(package_of(trained(), tmp_path), INFER)


@pytest.mark.timeout(3600)
def test_hostile_calls_harm_no_package_with_features_and_a_contract(tmp_path: Path) -> None:
    message = Client.request(("store_id", "INT64", [2], [1, 2]), ("rain", "FP64", [2, 1], [5, 500]))
    with feature_store_aside(rows={1: ROW, 2: ROW}) as store:
        features = {"url": store.url, "timeoutSeconds": 10, "cacheSeconds": 60}
        # 14: what the store says cannot be had.
        harm(shop_package(tmp_path), message.SerializeToString(), EXPECTED | {14}, features=features)
