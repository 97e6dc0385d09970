"""Who waits for a run: how long at most, who is let in, and what becomes of those who leave."""

import asyncio

import pytest

from sluice_runtime.batching import Batcher
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.running import Work
from unit.serving.batchers import Gate, batcher_of, kind_of, slow_batcher_of, submit, until_entered, work_of
from unit.serving.fakes import FakeRunner, row


async def test_abandoned_work_is_dropped_before_it_runs() -> None:
    runner = FakeRunner()
    gate = Gate(runner)
    batcher = slow_batcher_of(runner)
    works = [work_of(row(i)) for i in range(3)]
    submit(batcher, works[0])
    await until_entered(gate)
    submit(batcher, *works[1:])
    batcher.drop(works[1], RequestError(Kind.ABANDONED, "gone"))
    gate.open.set()
    await works[2].future
    assert await kind_of(works[1]) is Kind.ABANDONED
    assert runner.runs == [1, 1]


async def test_cancelled_work_is_dropped_and_its_place_in_the_queue_is_free_again() -> None:
    runner = FakeRunner()
    works = [work_of(row(i)) for i in range(3)]
    batcher = batcher_of(runner)
    submit(batcher, *works)
    works[1].future.cancel()
    await works[2].future
    assert runner.runs == [2]


async def test_leaving_while_the_run_is_on_harms_nobody() -> None:
    runner = FakeRunner()
    gate = Gate(runner)
    batcher = slow_batcher_of(runner)
    works = [work_of(row(i)) for i in range(2)]
    submit(batcher, *works)
    await until_entered(gate)
    batcher.drop(works[0], RequestError(Kind.ABANDONED, "gone"))
    gate.open.set()
    assert (await works[1].future)[0].item() == 2
    assert await kind_of(works[0]) is Kind.ABANDONED


async def test_a_full_queue_refuses_at_once_and_recovers() -> None:
    runner = FakeRunner()
    gate = Gate(runner)
    batcher = slow_batcher_of(runner, max_queue=2)
    first = work_of(row(0))
    submit(batcher, first)
    await until_entered(gate)
    waiting = [work_of(row(i)) for i in (1, 2)]
    submit(batcher, *waiting)
    assert batcher.full
    with pytest.raises(RequestError) as caught:
        batcher.submit(work_of(row(3)))
    assert caught.value.kind is Kind.OVERLOADED
    gate.open.set()
    await asyncio.gather(first.future, *(work.future for work in waiting))
    assert not batcher.full


async def test_a_deadline_passes_for_waiting_and_running_work_alike() -> None:
    runner = FakeRunner()
    gate = Gate(runner)
    batcher = slow_batcher_of(runner, deadline=0.05)
    running = work_of(row(0))
    submit(batcher, running)
    await until_entered(gate)
    waiting = work_of(row(1))
    submit(batcher, waiting)
    assert await kind_of(running) is Kind.DEADLINE
    assert await kind_of(waiting) is Kind.DEADLINE
    gate.open.set()


class Wall:
    """A wall clock that only moves while a run is on, by a second a run."""

    def __init__(self, runner: FakeRunner) -> None:
        self.now = 0.0
        self.inner = runner.before
        runner.before = self.run

    def run(self) -> None:
        self.now += 1.0
        self.inner()

    def __call__(self) -> float:
        return self.now


async def busy_batcher(runner: FakeRunner, max_wait: float = 3600.0) -> tuple[Batcher, Gate, Work]:
    """A batcher that has seen 100 runs of a second, with another one under way."""
    gate = Gate(runner)
    gate.open.set()
    batcher = slow_batcher_of(runner, max_rows=1, max_wait=max_wait, max_queue=1000, wall_clock=Wall(runner))
    for _ in range(100):
        work = work_of(row(1))
        submit(batcher, work)
        await work.future
    gate.open.clear()
    gate.entered.clear()
    submit(batcher, work := work_of(row(1)))
    await until_entered(gate)
    return batcher, gate, work


async def test_who_would_wait_too_long_is_refused_at_once() -> None:
    batcher, gate, running = await busy_batcher(FakeRunner(), max_wait=10.0)
    waiting = [work_of(row(i)) for i in range(8)]
    submit(batcher, *waiting)
    assert batcher.full
    with pytest.raises(RequestError, match="too long to wait") as caught:
        batcher.submit(work_of(row(0)))
    assert caught.value.kind is Kind.OVERLOADED
    gate.open.set()
    await asyncio.gather(running.future, *(work.future for work in waiting))
    assert not batcher.full


async def test_a_short_patience_is_told_at_once_that_it_is_in_vain() -> None:
    batcher, gate, running = await busy_batcher(FakeRunner())
    patient, hasty = work_of(row(0)), work_of(row(0))
    submit(batcher, patient)
    hasty.seconds = 0.5
    with pytest.raises(RequestError) as caught:
        batcher.submit(hasty)
    assert caught.value.kind is Kind.OVERLOADED
    gate.open.set()
    await asyncio.gather(running.future, patient.future)


async def test_who_was_let_in_is_run_however_long_the_wait_became() -> None:
    runner = FakeRunner()
    batcher, gate, running = await busy_batcher(runner, max_wait=10.0)
    waiting = work_of(row(0))
    submit(batcher, waiting)
    batcher._wall_clock.now += 100  # type: ignore[attr-defined]
    gate.open.set()
    await running.future
    assert len(await waiting.future) == 1
    assert len(runner.runs) == 102


async def test_a_work_has_its_own_deadline_and_does_not_run_when_it_has_passed() -> None:
    runner = FakeRunner()
    gate = Gate(runner)
    batcher = slow_batcher_of(runner)
    hasty, in_vain, patient = (work_of(row(i)) for i in range(3))
    hasty.seconds = in_vain.seconds = 0.05
    submit(batcher, hasty)
    await until_entered(gate)
    submit(batcher, in_vain, patient)
    assert await kind_of(hasty) is Kind.DEADLINE
    assert await kind_of(in_vain) is Kind.DEADLINE
    gate.open.set()
    assert (await patient.future)[0].item() == 4
    assert runner.runs == [1, 1]
