"""A request on its way to the queue: while the feature store is asked it holds a place there, so that no more wait than
the queue is long, and its caller may leave at any time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sluice_runtime.batching import Batcher
from sluice_runtime.errors import Kind, RequestError, for_caller
from sluice_runtime.intake.intake import Draft, Fetched
from sluice_runtime.intake.values import Mask
from sluice_runtime.running import Receiver, Work
from sluice_runtime.signature import Tensors
from sluice_runtime.tracing import Trace

log = logging.getLogger(__name__)

Queue = Callable[[Fetched], None]


class Asking(Protocol):
    """A question to the feature store that is under way."""

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        ...


class Lookup(Protocol):
    """What the intake needs of a feature store: `features.source.FeatureSource` has it."""

    def lookup(
        self,
        entities: Tensors,
        wanted: Mapping[str, Mask | None],
        rows: int,
        deadline: float,
        receiver: Receiver[Fetched],
    ) -> Asking | None:
        """Tell the receiver once, on the loop: by `deadline`, the loop's time, and at once where all is known.

        `wanted`: names of features, and the rows in which each is; None for all.
        """
        ...


@dataclass(slots=True, eq=False)
class Incoming(Work):
    """A work whose inputs are still being brought together."""

    _wait: Wait | None = None

    def ask(self, store: Lookup, draft: Draft, batcher: Batcher, queue: Queue, trace: Trace | None = None) -> None:
        """Ask the store for what is missing, then queue. Errors that come later are told to the receiver.

        Raises:
            RequestError: what is wrong at once.
        """
        until = asyncio.get_running_loop().time() + batcher.seconds_for(self)
        batcher.reserve(self)
        wait = self._wait = Wait(self, batcher, until, queue)
        if trace is not None:
            wait.ended = trace.part("features", rows=draft.rows, features=len(draft.gaps))
        try:
            wait.asking = store.lookup(draft.entities, draft.asked, draft.rows, until, wait)
        except BaseException:
            wait.end()
            raise
        wait.early = False
        if wait.said is not None:
            wait.go_on(wait.said)

    def take(self, other: Work) -> None:
        """Become what was made of the complete inputs."""
        self.inputs, self.rows, self.key = other.inputs, other.rows, other.key

    def leave(self) -> None:
        """The caller is gone: wait for the store no longer."""
        if self._wait is not None:
            self._wait.forget()

    @property
    def waits(self) -> bool:
        """Whether the store has still to answer."""
        return self._wait is not None

    def come(self) -> None:
        """The store has answered."""
        self._wait = None


class Wait:
    """A request that waits for the store, in whose queue it holds a place. `until`: the loop's time it has."""

    __slots__ = ("_batcher", "_queue", "_until", "_work", "asking", "early", "ended", "said")

    def __init__(self, work: Incoming, batcher: Batcher, until: float, queue: Queue) -> None:
        self._work: Incoming | None = work
        self._batcher = batcher
        self._until = until
        self._queue = queue
        self.asking: Asking | None = None
        self.ended: Callable[[], None] | None = None
        # While the store is still being asked its answer is kept, so that what is wrong is raised to who asks.
        self.early = True
        self.said: Fetched | Exception | None = None

    def done(self) -> bool:
        """True where nobody waits any longer."""
        return self._work is None or self._work.receiver.done()

    def set_result(self, result: Fetched, /) -> None:
        """Queue the request with what the store knows."""
        self._take(result)

    def set_exception(self, exception: Exception, /) -> None:
        """Answer the request with an error."""
        self._take(exception)

    def forget(self) -> None:
        """Nobody waits any longer."""
        asking = self.asking
        self.end()
        if asking is not None:
            asking.forget()

    def end(self) -> None:
        """Give the place up."""
        if self._work is not None:
            self._work.come()
            self._work = self.asking = None
            self._batcher.release()
            if self.ended is not None:
                self.ended()

    def go_on(self, said: Fetched | Exception) -> None:
        """Queue the request, for as long as there is time left.

        Raises:
            RequestError: what is wrong with it.
        """
        work, self.said = self._work, None
        self.end()
        if work is None or work.receiver.done():
            return
        if isinstance(said, Exception):
            try:
                raise said
            finally:
                # Its traceback refers to this frame: without the circle it is gone when the request is.
                del said
        work.seconds = self._until - asyncio.get_running_loop().time()
        if work.seconds <= 0:
            raise RequestError(Kind.STORE_DEADLINE, "no prediction within the time given")
        self._queue(said)

    def _take(self, said: Fetched | Exception) -> None:
        if self.early:
            self.said = said
            return
        work = self._work
        if isinstance(said, RequestError):
            # Not raised: a traceback would refer to the request for longer than anybody waits for it.
            self.end()
            _fail(work, said)
            return
        try:
            self.go_on(said)
        except RequestError as error:
            _fail(work, error)
        except Exception as error:
            log.exception("a request failed inside the runtime")
            _fail(work, for_caller(error))


def _fail(work: Work | None, error: RequestError) -> None:
    if work is not None and not work.receiver.done():
        work.receiver.set_exception(error)
