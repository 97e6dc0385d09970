"""Keys that gather while the store is busy: nobody waits without end, and nobody suffers from another."""

import asyncio
import math
from collections.abc import Sequence

import pytest

from sluice_runtime.features.client import StoreError, Trouble
from sluice_runtime.features.gathering import LANES, MOST_WAITING, Gathering
from sluice_runtime.features.rows import Key, Row

ROW = Row((1.0,), (math.inf,), math.inf, known=True, held=(True,))
PATIENT = 60.0


class Waiting:
    """Somebody who waits for one row."""

    def __init__(self) -> None:
        self.found: asyncio.Future[Row | StoreError] = asyncio.get_running_loop().create_future()

    def landed(self, key: Key, found: Row | StoreError) -> None:
        self.found.set_result(found)


class Broken(Waiting):
    """Somebody who cannot take it."""

    def landed(self, key: Key, found: Row | StoreError) -> None:
        raise RuntimeError("a fault of the request's own")


class Held:
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.calls: list[list[Key]] = []

    async def __call__(self, keys: Sequence[Key]) -> Sequence[Row]:
        self.calls.append(list(keys))
        await self.open.wait()
        return [ROW] * len(keys)


def wait_for(gathering: Gathering, number: int) -> Waiting:
    waiting = Waiting()
    gathering.join((number,), waiting)
    return waiting


async def told(waiting: Waiting) -> Row | StoreError:
    return await asyncio.wait_for(waiting.found, PATIENT)


async def test_a_key_waits_for_its_call_no_longer_than_a_call_may_take() -> None:
    store = Held()
    gathering = Gathering(store, seconds=0.05, most_keys=1)
    busy = [wait_for(gathering, number) for number in range(LANES)]
    late = [wait_for(gathering, number) for number in range(LANES, LANES + 3)]
    for waiting in late:
        found = await told(waiting)
        assert isinstance(found, StoreError)
        assert found.trouble is Trouble.CROWDED
    assert not any(waiting.found.done() for waiting in busy), "their calls have limits of their own"
    store.open.set()
    assert [await told(waiting) for waiting in busy] == [ROW] * LANES
    assert len(store.calls) == LANES
    await gathering.close()


async def test_a_request_with_a_fault_keeps_no_other_from_its_features(caplog: pytest.LogCaptureFixture) -> None:
    store = Held()
    gathering = Gathering(store, seconds=PATIENT, most_keys=8)
    gathering.join((1,), Broken())
    others = [wait_for(gathering, 1), wait_for(gathering, 2)]
    store.open.set()
    assert [await told(waiting) for waiting in others] == [ROW, ROW]
    assert "could not take its features" in caplog.text
    await gathering.close()


async def test_a_store_that_fails_in_a_way_that_was_not_foreseen_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(keys: Sequence[Key]) -> Sequence[Row]:
        raise RuntimeError("nobody thought of this")

    gathering = Gathering(ask, seconds=PATIENT, most_keys=8)
    found = await told(wait_for(gathering, 1))
    assert isinstance(found, StoreError)
    assert found.trouble is Trouble.INVALID
    assert "nobody thought of this" in caplog.text
    await gathering.close()


async def test_who_waits_when_it_ends_is_told() -> None:
    gathering = Gathering(Held(), seconds=PATIENT, most_keys=1)
    waiting = [wait_for(gathering, number) for number in range(LANES + 2)]
    await asyncio.sleep(0)
    await gathering.close()
    found = [await told(one) for one in waiting]
    assert all(isinstance(one, StoreError) for one in found)


async def test_more_keys_than_can_wait_are_refused() -> None:
    gathering = Gathering(Held(), seconds=PATIENT, most_keys=1)
    assert gathering.refusal(MOST_WAITING) is None
    refused = gathering.refusal(MOST_WAITING + 1)
    assert refused is not None
    assert refused.trouble is Trouble.CROWDED
    await gathering.close()
