"""Several writes under way at once, since most of a write's time is the store's.

No two of them hold the same key with different values, so that their order decides nothing. Whoever stops the command
does not wait for a store that hangs: one write alone is the caller's own thread's, and the threads of several are
daemons, which no interpreter waits for at its end, as it does for those of an executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from threading import Thread
from typing import Generic, TypeVar

_Batch = TypeVar("_Batch")

GRACE_SECONDS = 1.0
"""How long whoever stops waits for what is under way: longer than a write takes a store that is well."""

_Ended = Callable[[_Batch, BaseException | None], None]


def send(batches: Iterable[_Batch], write: Callable[[_Batch], None], ended: _Ended[_Batch], most: int) -> None:
    """Write batches, at most `most` of them at once. `ended` hears of each in the caller's thread, with what went wrong
    or None. After the first that fails, as after batches that break off, no more are begun; those under way end first,
    and are told, too. Those that KeyboardInterrupt finds under way are told as failed, and left to themselves.

    Raises:
        Exception: what the first that failed raised, or what `batches` did.
    """
    if most == 1:
        _in_turn(batches, write, ended)
    else:
        _at_once(batches, write, ended, most)


def _in_turn(batches: Iterable[_Batch], write: Callable[[_Batch], None], ended: _Ended[_Batch]) -> None:
    for batch in batches:
        try:
            write(batch)
        except BaseException as error:
            ended(batch, error)
            raise
        ended(batch, None)


def _at_once(batches: Iterable[_Batch], write: Callable[[_Batch], None], ended: _Ended[_Batch], most: int) -> None:
    writes = _Writes(write, ended)
    try:
        writes.begin(batches, most)
        writes.settle(wait(writes.under_way).done)
    except BaseException as stopped:
        writes.leave(stopped)
        raise
    if writes.failures:
        raise writes.failures[0]


class _Writes(Generic[_Batch]):
    """Those under way, and what went wrong so far."""

    def __init__(self, write: Callable[[_Batch], None], ended: _Ended[_Batch]) -> None:
        self._write, self._ended = write, ended
        self.under_way: dict[Future[None], _Batch] = {}
        self.failures: list[BaseException] = []

    def begin(self, batches: Iterable[_Batch], most: int) -> None:
        """All of them, or until something goes wrong."""
        try:
            for batch in batches:
                self._begin(batch)
                if len(self.under_way) == most:
                    self.settle(wait(self.under_way, return_when=FIRST_COMPLETED).done)
                if self.failures:
                    return
        except Exception as error:
            self.failures.append(error)

    def _begin(self, batch: _Batch) -> None:
        future: Future[None] = Future()

        def run() -> None:
            try:
                self._write(batch)
            except BaseException as error:  # it is told, as that of the write
                future.set_exception(error)
            else:
                future.set_result(None)

        # Known before it begins: whoever stops may do so in between.
        self.under_way[future] = batch
        Thread(target=run, name="sluice-write", daemon=True).start()

    def settle(self, done: Iterable[Future[None]]) -> None:
        """Tell of those that ended."""
        for future in done:
            error = future.exception()
            self._ended(self.under_way.pop(future), error)
            self.failures.extend([error] if error else [])

    def leave(self, stopped: BaseException) -> None:
        """Tell of all, whether they have ended or not."""
        self.settle(wait(self.under_way, GRACE_SECONDS).done)
        for batch in self.under_way.values():
            self._ended(batch, stopped)
