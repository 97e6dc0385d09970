"""What the tests of lookups are made with: a source whose lookups can be waited for, and calls that can be held."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from sluice.config import FeatureLookup
from sluice.contract import Entity, Feature, FeatureReferences
from sluice.manifest import Datatype
from sluice_runtime.features.metrics import FeatureMetrics
from sluice_runtime.features.source import FeatureSource, Fetched
from support.feature_store import Call, Store

NOW = 1795341600.0
"""`support.feature_store.TIME`."""

PATIENT = 60.0
"""Seconds after which a test gives up; never a claim about speed."""

DATATYPES = {"size": Datatype.FP32, "staff": Datatype.INT64, "city": Datatype.BYTES}
DEFAULTS = {"size": 2.5, "staff": 1, "city": "nowhere"}
ROW = {"size": 100.5, "staff": 3, "city": "Delft"}


class Source(FeatureSource):
    """One whose lookups can be waited for."""

    registry: CollectorRegistry

    async def find(self, keys: Sequence[Any], wanted: Sequence[str] = tuple(DATATYPES)) -> Fetched:
        return await self.begin(keys, wanted)

    def begin(self, keys: Sequence[Any], wanted: Sequence[str] = tuple(DATATYPES)) -> "asyncio.Future[Fetched]":
        loop = asyncio.get_running_loop()
        receiver: asyncio.Future[Fetched] = loop.create_future()
        column = np.array(keys, np.object_ if keys and isinstance(keys[0], str) else np.int64)
        self.lookup({"store_id": column}, dict.fromkeys(wanted), len(keys), loop.time() + PATIENT, receiver)
        return receiver

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"model": "m", "revision": "r", **labels}) or 0.0


@contextlib.asynccontextmanager
async def asking(
    store: Store,
    clock: Any = None,
    now: Any = lambda: NOW,
    max_age: float | None = None,
    service: str = "s",
    **settings: Any,
) -> AsyncIterator[Source]:
    features = [Feature(name=name, default=DEFAULTS[name], max_age_seconds=max_age) for name in DATATYPES]
    references = FeatureReferences(service=service, entities=(Entity(name="store_id"),), features=tuple(features))
    registry = CollectorRegistry()
    lookup = FeatureLookup(**{"url": store.url, "timeout_seconds": 10, **settings})
    clocks = {} if clock is None else {"clock": clock}
    source = Source(lookup, references, DATATYPES, FeatureMetrics("m", "r", registry), now=now, **clocks)
    source.registry = registry
    try:
        yield source
    finally:
        source.stop()


class Gate:
    """Calls wait for their answer until they are let go."""

    def __init__(self, store: Store) -> None:
        self.open = asyncio.Event()
        self._store = store

    async def __call__(self, call: Call) -> None:
        await self.open.wait()
        await self._store.answer(call)


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENT):
        while not condition():  # noqa: ASYNC110 - it is not told
            await asyncio.sleep(0.005)


def listed(fetched: Fetched) -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in fetched.values.items()}
