"""Runs a batch through the graph, and sees to it that no member of a batch harms another."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import numpy as np

from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.guard import Stoppable
from sluice_runtime.logs import Failures
from sluice_runtime.queueing import Mean
from sluice_runtime.signature import Tensor, Tensors

log = logging.getLogger(__name__)

Outcome = list[Tensor] | Exception
BatchKey = tuple[object, ...]


class Runner(Stoppable, Protocol):
    """What the batcher needs of a session: named tensors in, the named outputs out, in their order."""

    def run(self, outputs: list[str], inputs: Tensors) -> list[Tensor]:
        """Run the graph once; may be called from any thread."""
        ...


_Awaited_contra = TypeVar("_Awaited_contra", contravariant=True)


class Receiver(Protocol[_Awaited_contra]):
    """Who waits for an outcome, such as a work's outputs; an `asyncio.Future` is one."""

    def done(self) -> bool:
        """True when it needs no outcome any more: it has one, or its caller is gone."""
        ...

    def set_result(self, result: _Awaited_contra, /) -> None:
        """Take what was waited for."""
        ...

    def set_exception(self, exception: Exception, /) -> None:
        """Take an error."""
        ...


@dataclass(slots=True, eq=False)
class Work:
    """One request on its way through the batcher. Works with equal keys may share a run; `rows` counts towards it.

    `seconds`: how long its caller is willing to wait; the batcher's own deadline if None or longer.
    """

    inputs: Tensors
    outputs: tuple[str, ...]
    rows: int
    key: BatchKey
    receiver: Receiver[list[Tensor]]
    seconds: float | None = None
    deadline: float = math.inf
    queued_at: float = 0.0

    @property
    def bytes(self) -> int:
        """What its inputs hold; of text only the references to it."""
        return sum(tensor.nbytes for tensor in self.inputs.values())

    @property
    def future(self) -> asyncio.Future[list[Tensor]]:
        """The receiver of a work that was submitted without one."""
        return cast("asyncio.Future[list[Tensor]]", self.receiver)


class BatchRunner:
    """Runs batches one at a time, on whichever thread, and learns how long they take.

    `max_rows` falls to 1 for good when the graph is found to mix the rows of a batch.
    """

    def __init__(
        self,
        runner: Runner,
        max_rows: int,
        typical_seconds: float,
        observe: Callable[[int, float], None],
        *,
        short_seconds: float,
        cpu_clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self.max_rows = max_rows
        # CPU time, because a thread's wall time includes its waits for the interpreter lock: under load a fast model
        # would look slow on the thread, and never come back from it.
        self.cpu_seconds = Mean(typical_seconds)
        self.wall_seconds = Mean(0.0)
        self._runner = runner
        self._observe = observe
        self._cpu_clock = cpu_clock
        self._wall_clock = wall_clock
        self._short_seconds = short_seconds
        self._measures_cpu = True
        self._failures = Failures()

    def execute(self, batch: list[Work]) -> list[Outcome]:
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
            self._failures.warn(log, "the model failed on %d valid requests; the latest: %s", error)
            return RequestError(Kind.FAILED, f"the model failed: {_first_line(error)}")

    def _run_together(self, batch: list[Work]) -> list[list[Tensor]]:
        inputs = {name: np.concatenate([work.inputs[name] for work in batch]) for name in batch[0].inputs}
        rows = sum(work.rows for work in batch)
        outputs = self._timed_run(batch[0].outputs, inputs, rows)
        if any(tensor.shape[:1] != (rows,) for tensor in outputs):
            self.max_rows = 1
            log.warning("the graph does not give one row of output for each row of input; batching is off from now on")
            raise ValueError("rows were mixed")
        return _split(outputs, [work.rows for work in batch])

    def _timed_run(self, outputs: tuple[str, ...], inputs: Tensors, rows: int) -> list[Tensor]:
        measured = self._measures_cpu
        cpu_started = self._cpu_clock() if measured else 0.0
        started = self._wall_clock()
        result = self._runner.run(list(outputs), inputs)
        seconds = self._wall_clock() - started
        self._note_cpu(self._cpu_clock() - cpu_started if measured else None, seconds)
        self.wall_seconds.add(seconds)
        self._observe(rows, seconds)
        return result

    def _note_cpu(self, cpu: float | None, wall: float) -> None:
        """Take the CPU time of a run in, or the wall time where that is short enough to bound it.

        Reading a thread's CPU time is a system call, which costs a good part of a short run.
        """
        self._measures_cpu = wall >= self._short_seconds
        if cpu is not None:
            self.cpu_seconds.add(cpu)
        elif not self._measures_cpu:
            self.cpu_seconds.add(wall)


def _split(outputs: list[Tensor], rows: list[int]) -> list[list[Tensor]]:
    parts = []
    start = 0
    for count in rows:
        parts.append([tensor[start : start + count] for tensor in outputs])
        start += count
    return parts


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
