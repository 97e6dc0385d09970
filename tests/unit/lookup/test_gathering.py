"""Keys that gather while the store is busy: nobody waits without end, and nobody suffers from another."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Sequence

import pytest

from sluice_runtime.features.client import StoreError, Trouble
from sluice_runtime.features.gathering import LANES, LEFT_FOR_SMALL, MOST_PARTS, MOST_WAITING, Ask, Gathering
from sluice_runtime.features.lines import Lines
from sluice_runtime.features.rows import Key, Row
from sluice_runtime.running import Receiver

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


class Step(Held):
    """A store that gives so many answers as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._left = asyncio.Semaphore(0)

    async def __call__(self, keys: Sequence[Key]) -> Sequence[Row]:
        await self._left.acquire()
        return [ROW] * len(keys)

    async def steps(self, count: int) -> None:
        for _ in range(count):
            self._left.release()
            for _ in range(8):
                await asyncio.sleep(0)


class Refusing:
    """A store that answers no call in which one of some keys is."""

    def __init__(self, bad: Collection[int]) -> None:
        self._bad = bad
        self.calls = 0

    async def __call__(self, keys: Sequence[Key]) -> Sequence[Row]:
        self.calls += 1
        await asyncio.sleep(0)
        if any(key[0] in self._bad for key in keys):
            raise StoreError(Trouble.STATUS, "the feature store answers with status 500", divides=True)
        return [ROW] * len(keys)


class Counting:
    """Somebody who waits for many rows."""

    def __init__(self) -> None:
        self.rows = self.errors = 0

    def landed(self, key: Key, found: Row | StoreError) -> None:
        if isinstance(found, StoreError):
            self.errors += 1
        else:
            self.rows += 1

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENT):
            while self.rows + self.errors < count:  # noqa: ASYNC110 - it is not told
                await asyncio.sleep(0)


Answering = Callable[[Sequence[Key]], Awaitable[Sequence[Row]]]


def asking(store: Answering) -> Ask:
    """The store, as who gathers asks it."""

    async def tell(keys: Sequence[Key], receiver: Receiver[Sequence[Row]]) -> None:
        try:
            rows = await store(keys)
        except Exception as error:
            receiver.set_exception(error)
        else:
            receiver.set_result(rows)

    return lambda keys, receiver: asyncio.get_running_loop().create_task(tell(keys, receiver))


def wait_for(gathering: Gathering, number: int) -> Waiting:
    waiting = Waiting()
    gathering.join([(number,)], waiting)
    return waiting


async def told(waiting: Waiting) -> Row | StoreError:
    return await asyncio.wait_for(waiting.found, PATIENT)


async def test_a_key_waits_for_its_call_no_longer_than_a_call_may_take() -> None:
    store = Held()
    gathering = Gathering(asking(store), seconds=0.05, most_keys=1)
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
    gathering.close()


async def test_a_request_with_a_fault_keeps_no_other_from_its_features(caplog: pytest.LogCaptureFixture) -> None:
    store = Held()
    gathering = Gathering(asking(store), seconds=PATIENT, most_keys=8)
    gathering.join([(1,)], Broken())
    others = [wait_for(gathering, 1), wait_for(gathering, 2)]
    store.open.set()
    assert [await told(waiting) for waiting in others] == [ROW, ROW]
    assert "could not take its features" in caplog.text
    gathering.close()


async def test_a_store_that_fails_in_a_way_that_was_not_foreseen_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(keys: Sequence[Key]) -> Sequence[Row]:
        raise RuntimeError("nobody thought of this")

    gathering = Gathering(asking(ask), seconds=PATIENT, most_keys=8)
    found = await told(wait_for(gathering, 1))
    assert isinstance(found, StoreError)
    assert found.trouble is Trouble.INVALID
    assert "nobody thought of this" in caplog.text
    gathering.close()


async def test_who_waits_when_it_ends_is_told() -> None:
    gathering = Gathering(asking(Held()), seconds=PATIENT, most_keys=1)
    waiting = [wait_for(gathering, number) for number in range(LANES + 2)]
    await asyncio.sleep(0)
    gathering.close()
    found = [await told(one) for one in waiting]
    assert all(isinstance(one, StoreError) for one in found)


async def test_more_keys_than_can_wait_are_refused_and_large_requests_leave_room_for_others() -> None:
    gathering = Gathering(asking(Held()), seconds=PATIENT, most_keys=8)
    gathering.join([(-number,) for number in range(10_000, 10_000 + 8 * LANES)], Counting())
    await asyncio.sleep(0)
    most = MOST_WAITING - LEFT_FOR_SMALL
    refused = gathering.refusal(most + 1)
    assert refused is not None
    assert refused.trouble is Trouble.CROWDED
    assert gathering.refusal(most) is None
    gathering.join([(number,) for number in range(most)], Counting())
    assert gathering.refusal(9) is not None
    assert gathering.refusal(8) is None
    gathering.join([(-number,) for number in range(1, LEFT_FOR_SMALL)], Counting())
    assert gathering.refusal(1) is None
    assert gathering.refusal(2) is not None
    gathering.close()


async def test_a_large_request_delays_no_other_by_more_than_a_call() -> None:
    store = Step()
    gathering = Gathering(asking(store), seconds=PATIENT, most_keys=8)
    large = Counting()
    gathering.join([(number,) for number in range(800)], large)
    await store.steps(LANES)
    small = [wait_for(gathering, 1000), wait_for(gathering, 799)]
    await store.steps(2 * LANES)
    assert [await told(waiting) for waiting in small] == [ROW, ROW], "also where the large one wants the same"
    await store.steps(100)
    assert (large.rows, large.errors) == (800, 0)
    gathering.close()


async def test_who_sees_nothing_asked_for_is_late_and_others_are_not() -> None:
    lines, large, small, other = Lines(), Counting(), Counting(), Counting()
    lines.join([(1,), (2,), (3,)], large, 0.0)
    lines.join([(9,), (3,)], small, 0.5)
    assert [entry.key for entry in lines.take(1, 1.0)] == [(1,)]
    assert lines.oldest() == 0.5
    assert lines.late(0.4) == []
    assert lines.late(0.5) == [(small, [(9,), (3,)])]
    assert ((3,) in lines, (9,) in lines) == (True, False), "who is not late still wants it"
    assert lines.late(0.9) == [], "of the large one a key was asked for since"
    lines.join([(2,)], other, 1.1)
    lines.leave([(2,), (3,)], large)
    assert [entry.key for entry in lines.take(8, 1.2)] == [(2,)], "nobody wants the other any more"
    assert lines.oldest() is None
    assert len(lines) == 0


@pytest.mark.parametrize("bad", [(5,), (5, 60), (1, 20, 40), (0, 255), (31, 95, 159, 223), (1, 2, 3, 100, 200, 255)])
async def test_some_keys_that_the_store_refuses_harm_no_other(bad: tuple[int, ...]) -> None:
    store = Refusing(bad)
    gathering = Gathering(asking(store), seconds=PATIENT, most_keys=256)
    for _ in range(8):
        good, evil = Counting(), Counting()
        gathering.join([(number,) for number in range(256) if number not in bad], good)
        gathering.join([(number,) for number in bad], evil)
        await good.until(256 - len(bad))
        await evil.until(len(bad))
        assert (good.rows, good.errors) == (256 - len(bad), 0)
        assert (evil.rows, evil.errors) == (0, len(bad))
    assert store.calls <= 8 * (1 + 2 * 8 * len(bad))
    gathering.close()


async def test_a_store_that_refuses_everything_is_soon_believed() -> None:
    store = Refusing(range(256))
    gathering = Gathering(asking(store), seconds=PATIENT, most_keys=256)
    for most in (MOST_PARTS + 1, 7, 7):
        store.calls, asked = 0, Counting()
        gathering.join([(number,) for number in range(256)], asked)
        await asked.until(256)
        assert asked.errors == 256
        assert store.calls <= most
    gathering.close()


async def test_what_waits_when_it_ends_is_not_asked_for_afterwards() -> None:
    store = Held()
    gathering = Gathering(asking(store), seconds=PATIENT, most_keys=1)
    waiting = [wait_for(gathering, number) for number in range(LANES + 2)]
    await asyncio.sleep(0.01)
    gathering.close()
    await asyncio.gather(*(told(one) for one in waiting))
    await asyncio.sleep(0.01)
    assert len(store.calls) == LANES
    assert gathering.under_way == 0
