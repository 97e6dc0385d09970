"""What the dashboard sees of the cache, without reading thousands of objects again and again."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from sluice_operator.cluster.cache import Cache
from sluice_operator.cluster.kinds import MODEL_DEPLOYMENT, Kind
from sluice_operator.cluster.onlooker import Onlooker
from sluice_operator.cluster.traffic import TrafficObserver
from unit.operator.kube_objects import metadata


class Counting(Cache):
    """Knows how many objects were read from it."""

    reads = 0

    def get(self, kind: Kind, namespace: str, name: str) -> Mapping[str, Any] | None:
        self.reads += 1
        return super().get(kind, namespace, name)


@pytest.fixture
async def traffic() -> AsyncIterator[TrafficObserver]:
    async with aiohttp.ClientSession() as http:
        yield TrafficObserver(http)


def model(name: str, version: int, **status: Any) -> dict[str, Any]:
    return {"metadata": metadata(name, version=version), "spec": {}, "status": status}


async def test_rollouts_are_told_as_the_models_change(traffic: TrafficObserver) -> None:
    cache = Cache()
    onlooker = Onlooker(cache, traffic)
    cache.put(MODEL_DEPLOYMENT, model("one", 1))
    cache.put(MODEL_DEPLOYMENT, model("two", 2, rollout={"phase": "Stepping"}))
    assert list(onlooker.rolling_out()) == [("shop", "two")]
    cache.put(MODEL_DEPLOYMENT, model("one", 3, rollout={"phase": "Stepping"}))
    cache.put(MODEL_DEPLOYMENT, model("two", 4))
    assert list(onlooker.rolling_out()) == [("shop", "one")]
    cache.drop(MODEL_DEPLOYMENT, model("one", 5))
    assert list(onlooker.rolling_out()) == []


async def test_a_model_that_does_not_change_is_read_once(traffic: TrafficObserver) -> None:
    cache = Counting()
    onlooker = Onlooker(cache, traffic)
    for number in range(3):
        cache.put(MODEL_DEPLOYMENT, model(f"m{number}", 1))
    for _ in range(5):
        assert list(onlooker.rolling_out()) == []
        assert onlooker.versions() == {("shop", f"m{number}"): 1 for number in range(3)}
    assert cache.reads == 3
