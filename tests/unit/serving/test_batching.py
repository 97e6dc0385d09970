"""Requests share runs without waiting, and none of them harms another."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_runtime.batching import Batcher
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.guard import LoopGuard
from sluice_runtime.signature import Tensor
from unit.serving.batchers import SLOW, Gate, batcher_of, kind_of, slow_batcher_of, submit, until_entered, work_of
from unit.serving.fakes import FakeRunner, row, turns


async def test_what_arrives_in_one_turn_runs_together_and_each_gets_its_own_rows() -> None:
    runner = FakeRunner()
    batcher = batcher_of(runner)
    works = [work_of(row(i, i)) for i in range(5)] + [work_of(np.full((3, 2), 9, np.float32))]
    submit(batcher, *works)
    results = [(await work.future)[0] for work in works]
    assert runner.runs == [8]
    assert [result.tolist() for result in results[:5]] == [[[2.0 * i, 2.0 * i]] for i in range(5)]
    assert results[5].tolist() == [[18, 18]] * 3


async def test_a_lone_request_waits_for_nothing() -> None:
    runner = FakeRunner()
    work = work_of(row(1))
    submit(batcher_of(runner), work)
    await turns(2)
    assert work.future.done()


async def test_a_run_never_holds_more_rows_than_allowed() -> None:
    runner = FakeRunner()
    works = [work_of(row(i)) for i in range(10)]
    submit(batcher_of(runner, max_rows=4), *works)
    await asyncio.gather(*(work.future for work in works))
    assert runner.runs == [4, 4, 2]


async def test_a_run_never_holds_more_bytes_than_allowed_but_for_a_lone_request() -> None:
    runner = FakeRunner()
    works = [work_of(np.zeros((rows, 25), np.float32)) for rows in (1, 1, 1, 5, 1)]
    submit(batcher_of(runner, max_bytes=250), *works)
    for work in works:
        await work.future
    assert runner.runs == [2, 2, 5]


async def test_a_request_larger_than_a_batch_runs_alone() -> None:
    runner = FakeRunner()
    works = [work_of(row(1)), work_of(np.zeros((10, 1), np.float32)), work_of(row(2))]
    submit(batcher_of(runner, max_rows=4), *works)
    await asyncio.gather(*(work.future for work in works))
    assert sorted(runner.runs) == [2, 10]


async def test_different_shapes_and_outputs_do_not_share_a_run() -> None:
    runner = FakeRunner()
    works = [work_of(row(1)), work_of(row(1, 2)), work_of(row(3)), work_of(row(4), outputs=("y", "z"))]
    submit(batcher_of(runner), *works)
    results = [await work.future for work in works]
    assert runner.runs == [2, 1, 1]
    assert [len(result) for result in results] == [1, 1, 1, 2]


async def test_only_the_guilty_member_of_a_batch_fails() -> None:
    runner = FakeRunner(guilty=3)
    works = [work_of(row(i)) for i in range(6)]
    submit(batcher_of(runner), *works)
    assert await kind_of(works[3]) is Kind.FAILED
    others = [(await works[i].future)[0].item() for i in (0, 1, 2, 4, 5)]
    assert others == [0, 2, 4, 8, 10]


async def test_only_the_guilty_member_of_a_batch_fails_on_the_thread_too() -> None:
    runner = FakeRunner(guilty=3)
    works = [work_of(row(i)) for i in range(6)]
    submit(slow_batcher_of(runner), *works)
    assert await kind_of(works[3]) is Kind.FAILED
    assert (await works[5].future)[0].item() == 10


async def test_the_callers_message_is_one_line() -> None:
    work = work_of(row(3))
    submit(batcher_of(FakeRunner(guilty=3)), work)
    with pytest.raises(RequestError, match=r"^the model failed: the guilty row$"):
        await work.future


async def test_a_graph_that_mixes_rows_is_found_out_and_batching_goes_off() -> None:
    class Mean(FakeRunner):
        def run(self, outputs: list[str], inputs: dict[str, Tensor]) -> list[Tensor]:  # type: ignore[override]
            super().run(outputs, inputs)
            return [inputs["x"].mean(axis=0, keepdims=True)]

    runner = Mean()
    batcher = batcher_of(runner)
    for _ in range(2):
        works = [work_of(row(i)) for i in range(3)]
        submit(batcher, *works)
        assert [(await work.future)[0].item() for work in works] == [0, 1, 2]
    assert runner.runs == [3, 1, 1, 1, 1, 1, 1]


async def test_a_scalar_output_cannot_be_shared() -> None:
    class Total(FakeRunner):
        def run(self, outputs: list[str], inputs: dict[str, Tensor]) -> list[Tensor]:  # type: ignore[override]
            return [np.asarray(inputs["x"].sum())]

    works = [work_of(row(i)) for i in range(3)]
    submit(batcher_of(Total()), *works)
    assert [(await work.future)[0].item() for work in works] == [0, 1, 2]


async def test_short_runs_stay_on_the_loop_and_long_ones_leave_it() -> None:
    for batcher_maker, name in ((batcher_of, "MainThread"), (slow_batcher_of, "run")):
        runner = FakeRunner()
        work = work_of(row(1))
        submit(batcher_maker(runner), work)
        await work.future
        assert runner.threads == {name}


async def test_requests_gather_while_a_long_run_is_busy() -> None:
    runner = FakeRunner()
    gate = Gate(runner)
    batcher = slow_batcher_of(runner)
    first = work_of(row(0))
    submit(batcher, first)
    await until_entered(gate)
    others = [work_of(row(i)) for i in range(1, 8)]
    submit(batcher, *others)
    await turns()
    assert not first.future.done()
    gate.open.set()
    await asyncio.gather(first.future, *(work.future for work in others))
    assert runner.runs == [1, 7]


async def test_a_new_model_proves_itself_on_the_thread_first() -> None:
    runner = FakeRunner()
    batcher = Batcher(runner, max_rows=64, max_queue=100, cpu_clock=lambda: 0.0, wall_clock=lambda: 0.0)
    assert not batcher.inline
    for _ in range(4):
        work = work_of(row(1))
        submit(batcher, work)
        await work.future
    assert runner.threads == {"run"}
    assert batcher.inline


async def test_what_shapes_do_not_bound_stays_on_the_thread() -> None:
    runner = FakeRunner()
    unbounded, large = work_of(row(1)), work_of(np.zeros((5, 1), np.float32))
    submit(batcher_of(runner, bounded=False), unbounded)
    submit(batcher_of(runner, max_rows=4), large)
    await asyncio.gather(unbounded.future, large.future)
    assert runner.threads == {"run"}


async def test_a_model_that_becomes_fast_comes_back_to_the_loop() -> None:
    runner = FakeRunner()
    batcher = batcher_of(runner, typical_seconds=SLOW)
    for _ in range(60):
        work = work_of(row(1))
        submit(batcher, work)
        await work.future
    assert batcher.inline
    assert runner.threads == {"run", "MainThread"}


async def test_waiting_for_the_processor_is_not_being_slow() -> None:
    runner = FakeRunner()
    ticks = iter(range(10**6))
    batcher = batcher_of(runner, wall_clock=lambda: next(ticks) * SLOW)
    for _ in range(20):
        work = work_of(row(1))
        submit(batcher, work)
        await work.future
    assert batcher.inline
    assert runner.threads == {"MainThread"}


async def test_a_model_that_becomes_slow_leaves_the_loop() -> None:
    runner = FakeRunner()
    walls, cpus = iter(range(10**6)), iter(range(10**6))
    batcher = batcher_of(runner, wall_clock=lambda: next(walls) * SLOW, cpu_clock=lambda: next(cpus) * SLOW)
    for _ in range(3):
        work = work_of(row(1))
        submit(batcher, work)
        await work.future
    assert not batcher.inline


async def test_a_delay_lets_requests_gather_and_a_full_batch_does_not_wait() -> None:
    runner = FakeRunner()
    batcher = batcher_of(runner, max_rows=3, max_delay=3600.0)
    works = [work_of(row(i)) for i in range(2)]
    submit(batcher, *works)
    await turns()
    assert runner.runs == []
    submit(batcher, work_of(row(2)))
    await asyncio.gather(*(work.future for work in works))
    assert runner.runs == [3]


async def test_a_short_delay_ends() -> None:
    runner = FakeRunner()
    work = work_of(row(1))
    submit(batcher_of(runner, max_delay=0.01), work)
    await work.future
    assert runner.runs == [1]


async def test_every_run_is_observed_with_its_rows() -> None:
    seen: list[int] = []
    works = [work_of(row(i)) for i in range(3)]
    submit(batcher_of(FakeRunner(), observe=lambda rows, seconds: seen.append(rows)), *works)
    await works[0].future
    assert seen == [3]


async def test_a_run_that_holds_the_loop_is_moved_to_the_thread_for_good() -> None:
    class Fired(LoopGuard):
        """Ends every run on the loop."""

        def __enter__(self) -> None:
            self.fired = True

        def __exit__(self, *_: object) -> None: ...

    runner = FakeRunner()
    batcher = batcher_of(runner, guard=Fired(runner))
    works = [work_of(row(i)) for i in range(3)]
    submit(batcher, *works)
    assert [(await work.future)[0].item() for work in works] == [0, 2, 4]
    assert not batcher.inline
    assert runner.threads == {"MainThread", "run"}


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_each_gets_its_own_rows_or_was_dropped(
    wishes: list[tuple[int, int, bool]], max_rows: int
) -> None:
    """`wishes`: rows, kind of request, and whether its caller leaves at once."""

    async def serve() -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_rows=max_rows)
        works = [work_of(np.full((rows, 1), i, np.float32), key=kind) for i, (rows, kind, _) in enumerate(wishes)]
        submit(batcher, *works)
        for work, (_, _, leaves) in zip(works, wishes, strict=True):
            if leaves:
                batcher.drop(work, RequestError(Kind.ABANDONED, "gone"))
        await asyncio.gather(*(work.future for work in works), return_exceptions=True)
        stay = [(i, rows) for i, (rows, _, leaves) in enumerate(wishes) if not leaves]
        assert [works[i].future.result()[0].tolist() for i, _ in stay] == [[[2.0 * i]] * rows for i, rows in stay]
        assert sum(runner.runs) == sum(rows for _, rows in stay)
        assert all(rows <= max_rows or rows in [rows for _, rows in stay] for rows in runner.runs)
        assert not batcher.full
        batcher.close()

    asyncio.run(serve())
