"""The thread on which longer runs take place.

An executor's futures, which are chained from the thread to the loop, cost as much as all else that a request of such a
model costs: a run leaves the processor's caches cold, so each step of Python between two runs is dear.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue

from sluice_runtime.running import Outcome, Work

Batch = list[Work]


class RunThread:
    """Executes batches one after the other and tells `returned`, on the loop, how each ended.

    `execute` must not raise. The thread starts with the first batch, and holds up no process that wants to end.
    """

    def __init__(
        self,
        execute: Callable[[Batch], list[Outcome]],
        loop: asyncio.AbstractEventLoop,
        returned: Callable[[Batch, list[Outcome]], None],
    ) -> None:
        self._execute = execute
        self._loop = loop
        self._returned = returned
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, batch: Batch) -> None:
        """Execute a batch; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="run", daemon=True)
            self._thread.start()
        self._batches.put(batch)

    def close(self) -> None:
        """Let the thread end after the batch it is at."""
        self._batches.put(None)

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            outcomes = self._execute(batch)
            # A loop that is closed meanwhile waits for nothing any more.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._returned, batch, outcomes)
            del batch, outcomes
