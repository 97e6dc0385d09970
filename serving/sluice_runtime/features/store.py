"""One call of the store, from keys to rows: timed, counted, and remembered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from sluice_runtime.features.cache import Cache
from sluice_runtime.features.client import Client, Question, StoreError, Trouble
from sluice_runtime.features.metrics import FeatureMetrics
from sluice_runtime.features.rows import AnswerError, Key, Reader, Row
from sluice_runtime.logs import Failures
from sluice_runtime.running import Receiver

log = logging.getLogger(__name__)

_FAILED = "%d calls of the feature store failed; the latest: %s"


class Store:
    """What rows come from. `clock`: monotonic seconds, for the cache; `now`: seconds since 1970, for ages."""

    def __init__(
        self,
        client: Client,
        reader: Reader,
        cache: Cache,
        metrics: FeatureMetrics,
        *,
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._client = client
        self._reader = reader
        self._cache = cache
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._failures = Failures()

    def ask(self, keys: Sequence[Key], receiver: Receiver[Sequence[Row]]) -> Question:
        """Ask for a row of each of these entities. The receiver gets them, or a StoreError; never before this returns.

        Raises:
            StoreError: for a reason that nobody thought of.
        """
        call = _Call(self, keys, receiver, self._clock())
        try:
            return self._client.ask(keys, call)
        except Exception as error:
            call.end(Trouble.INVALID)
            raise self._unforeseen(error) from error

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._client.close()

    def read(self, body: bytes, keys: Sequence[Key], asked_at: float) -> Sequence[Row]:
        """The rows of an answer, which are kept for a while.

        Raises:
            StoreError: there are none.
        """
        try:
            rows = self._reader.read(body, keys, self._now())
        except AnswerError as error:
            message = f"the feature store's answer is of no use: {error}"
            self._failures.warn(log, _FAILED, message)
            raise StoreError(Trouble.INVALID, message) from error
        except Exception as error:
            raise self._unforeseen(error) from error
        for key, row in zip(keys, rows, strict=True):
            self._cache.put(key, row, asked_at)
        self._metrics.keys("store", len(keys))
        return rows

    def failed(self, error: Exception) -> None:
        """A call brought no answer."""
        self._failures.warn(log, _FAILED, error)

    def ended(self, outcome: str, seconds: float) -> None:
        """A call is over."""
        self._metrics.call(outcome, seconds)

    def _unforeseen(self, error: Exception) -> StoreError:
        # Nobody thought of it; it must neither fill the log nor be asked for again and again.
        self._failures.warn(log, _FAILED, repr(error), error)
        return StoreError(Trouble.INVALID, "the feature store cannot be asked", away=True)


class _Call:
    """Waits for an answer."""

    __slots__ = ("_asked_at", "_keys", "_receiver", "_started", "_store")

    def __init__(self, store: Store, keys: Sequence[Key], receiver: Receiver[Sequence[Row]], asked_at: float) -> None:
        self._store = store
        self._keys = keys
        self._receiver = receiver
        self._asked_at = asked_at
        self._started = time.perf_counter()

    def done(self) -> bool:
        return self._receiver.done()

    def set_result(self, body: bytes) -> None:
        try:
            rows = self._store.read(body, self._keys, self._asked_at)
        except StoreError as error:
            self.end(error.trouble)
            self._receiver.set_exception(error)
        else:
            self.end("answered")
            self._receiver.set_result(rows)

    def set_exception(self, error: Exception) -> None:
        self._store.failed(error)
        self.end(error.trouble if isinstance(error, StoreError) else Trouble.INVALID)
        self._receiver.set_exception(error)

    def end(self, outcome: str) -> None:
        self._store.ended(outcome, time.perf_counter() - self._started)
