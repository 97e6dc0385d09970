"""Ends a run that holds the event loop for too long.

Fast runs stay on the loop, but only past runs say that a graph is fast: one whose cost depends on the values of its
inputs (a Loop, a data-dependent shape) can follow a thousand short runs with a long one, and while the loop is held
nothing answers, not even the probes. A thread watches and asks the graph to stop; its requests then run elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

PATIENCE_SECONDS = 0.02
"""CPU time a run may hold the loop: 40 times the mean that brings a model there. The loop is held for twice as long
at worst, and by a single operator of the graph until it ends, because a graph stops between two of them."""


class Stoppable(Protocol):
    """A runner whose current run another thread can end."""

    def stop(self) -> None:
        """Make the current run fail, and every later one until `resume`."""
        ...

    def resume(self) -> None:
        """Let runs succeed again."""
        ...


class LoopGuard:
    """A context manager around a run on the loop's thread. `fired` tells afterwards whether the run was ended.

    `tick` waits for so many seconds; `cpu_of` gives the CPU time of a thread by its identifier, because under load a
    short run can wait long for the processor.
    """

    def __init__(
        self,
        runner: Stoppable,
        tick: Callable[[float], None] = time.sleep,
        cpu_of: Callable[[int], float] = lambda thread: time.clock_gettime(time.pthread_getcpuclockid(thread)),
    ) -> None:
        self.fired = False
        self._runner = runner
        self._tick = tick
        self._cpu_of = cpu_of
        self._lock = threading.Lock()
        self._busy = threading.Event()
        self._runs = 0
        self._thread: int | None = None
        self._closed = False
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> None:
        self.fired = False
        self._runs += 1
        self._thread = threading.get_ident()
        if not self._busy.is_set():
            self._busy.set()
            self._start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._thread = None
            if self.fired:
                self._runner.resume()

    def close(self) -> None:
        """Let the watching thread end."""
        self._closed = True
        self._busy.set()

    def _start(self) -> None:
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="loop-guard", daemon=True)
            self._watcher.start()

    def _watch(self) -> None:
        while not self._closed:
            self._busy.wait()
            self._watch_while_busy()

    def _watch_while_busy(self) -> None:
        """Look at every tick; rest once a tick has passed without a new run, so that an idle pod is not woken."""
        seen, cpu = 0, 0.0
        while not self._closed:
            with self._lock:
                runs, thread = self._runs, self._thread
                if thread is None and runs == seen and self._rests(runs):
                    return
                if thread is not None:
                    now = self._cpu_of(thread)
                    if runs != seen:
                        cpu = now
                    elif now - cpu >= PATIENCE_SECONDS and not self.fired:
                        self.fired = True
                        self._runner.stop()
                seen = runs
            self._tick(PATIENCE_SECONDS)

    def _rests(self, runs: int) -> bool:
        """Rest, unless a run began meanwhile: it may have seen `busy` before it was cleared."""
        self._busy.clear()
        if self._runs == runs:
            return True
        self._busy.set()
        return False
