"""Batchers whose clocks stand still, and runs that a test holds."""

import asyncio
import threading

import pytest

from sluice_runtime.batching import INLINE_SECONDS, Batcher
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.running import Work
from sluice_runtime.signature import Tensor
from unit.serving.fakes import FakeRunner

SLOW = INLINE_SECONDS * 1000


def batcher_of(runner: FakeRunner, **settings: object) -> Batcher:
    """A batcher whose clock stands still, so that its idea of fast and slow is the test's alone."""
    clocks = {"cpu_clock": lambda: 0.0, "wall_clock": lambda: 0.0}
    defaults: dict[str, object] = {"max_rows": 64, "max_queue": 100, "typical_seconds": 0.0, **clocks}
    return Batcher(runner, **{**defaults, **settings})  # type: ignore[arg-type]


def slow_batcher_of(runner: FakeRunner, **settings: object) -> Batcher:
    ticks = iter(range(10**6))
    clocks = {"cpu_clock": lambda: next(ticks) * SLOW, "wall_clock": lambda: next(ticks) * SLOW}
    return batcher_of(runner, **{"typical_seconds": SLOW, **clocks, **settings})


def work_of(x: Tensor, outputs: tuple[str, ...] = ("y",), key: object = None) -> Work:
    future: asyncio.Future[list[Tensor]] = asyncio.get_running_loop().create_future()
    return Work({"x": x}, outputs, len(x), (outputs, key or x.shape[1:]), future)


def submit(batcher: Batcher, *works: Work) -> None:
    for work in works:
        batcher.submit(work)


async def kind_of(work: Work) -> Kind:
    with pytest.raises(RequestError) as caught:
        await work.future
    return caught.value.kind


async def until_entered(gate: "Gate") -> None:
    assert await asyncio.to_thread(gate.entered.wait, 20)


class Gate:
    """Holds a runner inside its run until the test opens it."""

    def __init__(self, runner: FakeRunner) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        runner.before = self.hold

    def hold(self) -> None:
        self.entered.set()
        assert self.open.wait(20)
