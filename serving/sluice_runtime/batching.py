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
import math
import time
from collections import deque
from collections.abc import Callable, Sequence

from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.guard import LoopGuard
from sluice_runtime.queueing import expected_wait
from sluice_runtime.running import BatchRunner, Outcome, Runner, Work
from sluice_runtime.runthread import RunThread

log = logging.getLogger(__name__)

INLINE_SECONDS = 0.0005
"""Runs shorter than this, on average, stay on the event loop. A hand-over to a thread and back costs about 100 us."""


_PROMISE = 0.8
"""Part of the longest wait up to which works are admitted: runs differ, and a refusal should come early."""


class Batcher:
    """Runs works through one runner, never two runs at a time: a run has all of the pod's CPUs to itself."""

    def __init__(
        self,
        runner: Runner,
        *,
        max_rows: int,
        max_queue: int,
        max_bytes: float = math.inf,
        max_delay: float = 0.0,
        max_wait: float = math.inf,
        deadline: float = 30.0,
        bounded: bool = True,
        typical_seconds: float = 2 * INLINE_SECONDS,
        observe: Callable[[int, float], None] = lambda rows, seconds: None,
        observe_wait: Callable[[float], None] = lambda seconds: None,
        cpu_clock: Callable[[], float] = time.thread_time,
        wall_clock: Callable[[], float] = time.perf_counter,
        guard: LoopGuard | None = None,
    ) -> None:
        self._runs = BatchRunner(
            runner,
            max_rows,
            typical_seconds,
            observe,
            short_seconds=INLINE_SECONDS,
            cpu_clock=cpu_clock,
            wall_clock=wall_clock,
        )
        self._max_queue = max_queue
        self._max_bytes = max_bytes
        self._max_delay = max_delay
        self._promised_wait = _PROMISE * max_wait
        self._deadline = deadline
        self._wall_clock = wall_clock
        self._observe_wait = observe_wait
        self._bounded = bounded
        self._guard = guard or LoopGuard(runner)
        self._queue: deque[Work] = deque()
        self._queued_rows = 0
        self._reserved = 0
        self._running: Sequence[Work] = ()
        self._submitted = 0
        self._seen = 0
        self._flush_handle: asyncio.Handle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._next_expiry = math.inf
        self._loop = asyncio.get_running_loop()
        self._thread = RunThread(self._runs.execute, self._loop, self._returned)

    @property
    def full(self) -> bool:
        """True when the next work would be refused."""
        return len(self._queue) + self._reserved >= self._max_queue or self.wait_seconds > self._promised_wait

    @property
    def wait_seconds(self) -> float:
        """How long a work would wait for its run if it came now; not worth a calculation while all fit the next run."""
        if not self._running and self._queued_rows <= self._runs.max_rows:
            return 0.0
        return expected_wait(self._queued_rows, self._runs.max_rows, bool(self._running), self._runs.wall_seconds.value)

    @property
    def inline(self) -> bool:
        """True while runs are short enough for the event loop; then no work outlives its loop turn by much."""
        return self._bounded and self._runs.cpu_seconds.value < INLINE_SECONDS

    def submit(self, work: Work) -> None:
        """Queue a work; its receiver gets the outputs, or a RequestError (FAILED, DEADLINE).

        Raises:
            RequestError: OVERLOADED.
        """
        seconds = self.seconds_for(work)
        self._admit(seconds)
        work.deadline = self._loop.time() + seconds
        if work.deadline < self._next_expiry:
            self._expire_at(work.deadline)
        work.queued_at = self._wall_clock()
        self._queue.append(work)
        self._queued_rows += work.rows
        self._submitted += 1
        self._schedule()

    def seconds_for(self, work: Work) -> float:
        """How long a work may take from now on."""
        return self._deadline if work.seconds is None else min(work.seconds, self._deadline)

    def reserve(self, work: Work) -> None:
        """Hold a place in the queue for a work that is still to come; `release` gives it back, or up.

        Raises:
            RequestError: OVERLOADED.
        """
        self._admit(self.seconds_for(work))
        self._reserved += 1

    def release(self) -> None:
        """The place is not held any longer."""
        self._reserved -= 1

    def drop(self, work: Work, error: RequestError) -> None:
        """Answer a work with an error and, if it has not started, do not run it."""
        if not work.receiver.done():
            work.receiver.set_exception(error)
        self.forget(work)

    def forget(self, work: Work) -> None:
        """Do not run a work whose caller is gone, if it has not started."""
        if work in self._queue:
            self._queue.remove(work)
            self._queued_rows -= work.rows

    def close(self) -> None:
        """Stop the threads. Works that still wait keep their deadline."""
        self._thread.close()
        self._guard.close()

    def _admit(self, seconds: float) -> None:
        if len(self._queue) + self._reserved >= self._max_queue:
            raise RequestError(Kind.OVERLOADED, f"{self._max_queue} requests are waiting already; try again later")
        wait = self.wait_seconds
        if wait > min(seconds, self._promised_wait):
            message = f"{wait:.3g} s are too long to wait for a run; try again later"
            raise RequestError(Kind.OVERLOADED, message)

    def _expire_at(self, when: float) -> None:
        """One timer for all works, set for the earliest: most works are answered long before their deadline."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._next_expiry = when
        # The loop's clock has whole milliseconds; one more makes sure that the deadline has passed.
        self._expiry = self._loop.call_at(when + 0.001, self._expire)

    def _expire(self) -> None:
        now = self._loop.time()
        pending = [work for work in (*self._running, *self._queue) if not work.receiver.done()]
        for work in pending:
            if work.deadline <= now:
                self.drop(work, RequestError(Kind.DEADLINE, "no prediction within the time given"))
        self._expiry, self._next_expiry = None, math.inf
        later = [work.deadline for work in pending if work.deadline > now]
        if later:
            self._expire_at(min(later))

    def _schedule(self) -> None:
        if self._running or not self._queue:
            return
        full = self._queued_rows >= self._runs.max_rows
        if self._flush_handle is not None:
            if not (full and isinstance(self._flush_handle, asyncio.TimerHandle)):
                return
            self._flush_handle.cancel()
        if self._max_delay > 0 and not full:
            self._flush_handle = self._loop.call_later(self._max_delay, self._flush)
        else:
            self._seen = self._submitted
            self._flush_handle = self._loop.call_soon(self._flush_when_quiet)

    def _flush_when_quiet(self) -> None:
        """Run what has gathered, unless more came in this turn of the loop: then the next turn may bring more still.

        A lone request is not kept waiting, and sixteen callers that were answered together ask together again.
        """
        if self._submitted != self._seen and self._queued_rows < self._runs.max_rows:
            self._seen = self._submitted
            self._flush_handle = self._loop.call_soon(self._flush_when_quiet)
        else:
            self._flush()

    def _flush(self) -> None:
        self._flush_handle = None
        batch = self._take()
        if not batch:
            return
        if self.inline and batch[0].rows <= self._runs.max_rows:
            outcomes = self._execute_inline(batch)
            if outcomes is not None:
                self._deliver(batch, outcomes)
                self._schedule()
                return
        self._running = batch
        self._thread.run(batch)

    def _returned(self, batch: list[Work], outcomes: list[Outcome]) -> None:
        self._running = ()
        self._deliver(batch, outcomes)
        self._schedule()

    def _execute_inline(self, batch: list[Work]) -> list[Outcome] | None:
        """Outcomes, or None when the run held the loop for too long and was ended."""
        with self._guard:
            outcomes = self._runs.execute(batch)
        if not self._guard.fired:
            return outcomes
        self._guard.fired = False
        self._bounded = False
        log.warning("a run held the event loop for too long and was moved to the thread, as all later ones will be")
        return None

    def _take(self) -> list[Work]:
        """The oldest work and the others that may share its run, up to the largest batch.

        Whoever was let in is run, even if it waited for longer than was foreseen: a refusal is of use at once or never.
        """
        batch: list[Work] = []
        others: deque[Work] = deque()
        rows, now = 0, self._wall_clock()
        most: float = self._runs.max_rows
        while self._queue and (rows < most or not batch):
            work = self._queue.popleft()
            if work.receiver.done():
                self._queued_rows -= work.rows
            elif batch and (work.key != batch[0].key or rows + work.rows > most):
                others.append(work)
            else:
                if not batch:
                    # Works of one key have rows of one size.
                    most = min(most, self._max_bytes * work.rows // (work.bytes or 1))
                batch.append(work)
                rows += work.rows
        for work in batch:
            self._observe_wait(now - work.queued_at)
        others.extend(self._queue)
        self._queue = others
        self._queued_rows -= rows
        return batch

    def _deliver(self, batch: list[Work], outcomes: list[Outcome]) -> None:
        for work, outcome in zip(batch, outcomes, strict=True):
            if work.receiver.done():
                continue
            if isinstance(outcome, Exception):
                work.receiver.set_exception(outcome)
            else:
                work.receiver.set_result(outcome)
