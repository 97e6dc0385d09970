"""Batching without delay: what has gathered while the graph was busy runs together.

A request joins a queue, and one flush per turn of the event loop takes what is there. Sixteen busy connections so batch
themselves, and a lone request waits for nothing. Runs of microseconds stay on the loop, because handing them to a
thread costs more than they do; longer ones go to a thread, and requests gather meanwhile. A model starts on the thread
and comes to the loop once its real requests have shown that it is fast, because one long run on the loop would silence
the probes; a model whose cost the shapes do not bound never comes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.sessions import Runner
from sluice_runtime.signature import Tensor, Tensors

log = logging.getLogger(__name__)

INLINE_SECONDS = 0.0005
"""Runs shorter than this, on average, stay on the event loop. A hand-over to a thread and back costs about 100 us."""

_SMOOTHING = 0.2
"""Weight of the latest run in the moving average: four fast runs prove a new model, ten forget a hiccup."""

_REPORT_SECONDS = 10.0

Outcome = list[Tensor] | Exception
BatchKey = tuple[object, ...]


@dataclass(slots=True, eq=False)
class Work:
    """One request on its way through the batcher. Works with equal keys may share a run; `rows` counts towards it."""

    inputs: Tensors
    outputs: tuple[str, ...]
    rows: int
    key: BatchKey
    future: asyncio.Future[list[Tensor]]
    timer: asyncio.TimerHandle | None = field(default=None)


class Batcher:
    """Runs works through one runner, never two runs at a time: a run has all of the pod's CPUs to itself."""

    def __init__(
        self,
        runner: Runner,
        *,
        max_rows: int,
        max_queue: int,
        max_delay: float = 0.0,
        deadline: float = 30.0,
        bounded: bool = True,
        typical_seconds: float = 2 * INLINE_SECONDS,
        observe: Callable[[int, float], None] = lambda rows, seconds: None,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._runner = runner
        self._max_rows = max_rows
        self._max_queue = max_queue
        self._max_delay = max_delay
        self._deadline = deadline
        self._mean_seconds = typical_seconds
        self._observe = observe
        # CPU time, because a thread's wall time includes its waits for the interpreter lock: under load a fast model
        # would look slow on the thread, and never come back from it.
        self._cpu_clock = cpu_clock
        self._bounded = bounded
        self._queue: deque[Work] = deque()
        self._queued_rows = 0
        self._running = False
        self._failures = 0
        self._reported_at = -_REPORT_SECONDS
        self._flush_handle: asyncio.Handle | None = None
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="run")

    @property
    def full(self) -> bool:
        """True when the next work would be refused."""
        return len(self._queue) >= self._max_queue

    @property
    def inline(self) -> bool:
        """True while runs are short enough for the event loop; then no work outlives its loop turn by much."""
        return self._bounded and self._mean_seconds < INLINE_SECONDS

    def submit(self, work: Work) -> None:
        """Queue a work; its future gets the outputs, or a RequestError (FAILED, DEADLINE).

        Raises:
            RequestError: OVERLOADED.
        """
        if self.full:
            raise RequestError(Kind.OVERLOADED, f"{self._max_queue} requests are waiting already; try again later")
        self._queue.append(work)
        self._queued_rows += work.rows
        work.timer = self._loop.call_later(self._deadline, self._expire, work)
        self._schedule()

    def drop(self, work: Work, error: RequestError) -> None:
        """Answer a work with an error and, if it has not started, do not run it."""
        if not work.future.done():
            work.future.set_exception(error)
        if work in self._queue:
            self._queue.remove(work)
            self._queued_rows -= work.rows
        self._stop_timer(work)

    def close(self) -> None:
        """Stop the thread. Works that still wait keep their deadline."""
        self._executor.shutdown(wait=False)

    def _expire(self, work: Work) -> None:
        self.drop(work, RequestError(Kind.DEADLINE, f"no prediction within {self._deadline:g} s"))

    def _schedule(self) -> None:
        if self._running or not self._queue:
            return
        full = self._queued_rows >= self._max_rows
        if self._flush_handle is not None:
            if not (full and isinstance(self._flush_handle, asyncio.TimerHandle)):
                return
            self._flush_handle.cancel()
        if self._max_delay > 0 and not full:
            self._flush_handle = self._loop.call_later(self._max_delay, self._flush)
        else:
            self._flush_handle = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_handle = None
        batch = self._take()
        if not batch:
            return
        if self.inline and batch[0].rows <= self._max_rows:
            self._deliver(batch, self._execute(batch))
            self._schedule()
        else:
            self._running = True
            task = self._loop.run_in_executor(self._executor, self._execute, batch)
            task.add_done_callback(lambda done: self._returned(batch, done))

    def _returned(self, batch: list[Work], done: asyncio.Future[list[Outcome]]) -> None:
        self._running = False
        self._deliver(batch, done.result())
        self._schedule()

    def _take(self) -> list[Work]:
        """The oldest work and the others that may share its run, up to the largest batch."""
        batch: list[Work] = []
        others: deque[Work] = deque()
        rows = 0
        while self._queue and (rows < self._max_rows or not batch):
            work = self._queue.popleft()
            if work.future.done():
                self._queued_rows -= work.rows
            elif batch and (work.key != batch[0].key or rows + work.rows > self._max_rows):
                others.append(work)
            else:
                batch.append(work)
                rows += work.rows
        others.extend(self._queue)
        self._queue = others
        self._queued_rows -= rows
        return batch

    def _execute(self, batch: list[Work]) -> list[Outcome]:
        """Run a batch; when it fails, run its members alone, so that only the guilty one fails."""
        if len(batch) > 1:
            try:
                return list(self._run_together(batch))
            except Exception as error:
                log.debug("a batch of %d requests failed and is run one by one: %s", len(batch), error)
        return [self._run_alone(work) for work in batch]

    def _run_alone(self, work: Work) -> Outcome:
        try:
            return self._timed_run(work.outputs, work.inputs, work.rows)
        except Exception as error:
            self._report(error)
            return RequestError(Kind.FAILED, f"the model failed: {_first_line(error)}")

    def _report(self, error: Exception) -> None:
        """Log a failure of the model, but not thousands a second: metrics count them all."""
        self._failures += 1
        now = time.monotonic()
        if now - self._reported_at >= _REPORT_SECONDS:
            log.warning("the model failed on %d valid requests; the latest: %s", self._failures, error)
            self._failures, self._reported_at = 0, now

    def _run_together(self, batch: list[Work]) -> list[list[Tensor]]:
        inputs = {name: np.concatenate([work.inputs[name] for work in batch]) for name in batch[0].inputs}
        rows = sum(work.rows for work in batch)
        outputs = self._timed_run(batch[0].outputs, inputs, rows)
        if any(tensor.shape[:1] != (rows,) for tensor in outputs):
            self._max_rows = 1
            log.warning("the graph does not give one row of output for each row of input; batching is off from now on")
            raise ValueError("rows were mixed")
        return _split(outputs, [work.rows for work in batch])

    def _timed_run(self, outputs: tuple[str, ...], inputs: Tensors, rows: int) -> list[Tensor]:
        started, cpu_started = time.perf_counter(), self._cpu_clock()
        result = self._runner.run(list(outputs), inputs)
        self._mean_seconds += _SMOOTHING * (self._cpu_clock() - cpu_started - self._mean_seconds)
        self._observe(rows, time.perf_counter() - started)
        return result

    def _deliver(self, batch: list[Work], outcomes: list[Outcome]) -> None:
        for work, outcome in zip(batch, outcomes, strict=True):
            self._stop_timer(work)
            if work.future.done():
                continue
            if isinstance(outcome, Exception):
                work.future.set_exception(outcome)
            else:
                work.future.set_result(outcome)

    @staticmethod
    def _stop_timer(work: Work) -> None:
        if work.timer is not None:
            work.timer.cancel()
            work.timer = None


def _split(outputs: list[Tensor], rows: list[int]) -> list[list[Tensor]]:
    parts = []
    start = 0
    for count in rows:
        parts.append([tensor[start : start + count] for tensor in outputs])
        start += count
    return parts


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
