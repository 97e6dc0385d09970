"""Decides when which resource is reconciled. Level-triggered: an event says only "look again".

At most one reconcile of a key is in flight; a key that changes meanwhile runs once more. Errors back off
exponentially, a reconcile may ask to be called again, and every key is looked at now and then even if nothing happens.
It is the operator's own and not the framework's, because a retry or a deadline must survive any number of events.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from sluice_operator import logs, metrics
from sluice_operator.cluster.cache import Key
from sluice_operator.cluster.errors import ClusterError, Conflict, Gone, NotLeading, Unreachable

log = logging.getLogger(__name__)

BACKOFF_FIRST = 0.1
BACKOFF_MOST = 60.0
RESYNC_SECONDS = 300.0
WORKERS = 8


@dataclass(frozen=True)
class Progress:
    """What the queue has been doing, in seconds of the loop's clock; for the liveness probe."""

    depth: int
    oldest_waiting: float | None
    oldest_running: float | None
    last_finished: float


Reconcile = Callable[[str, str], Awaitable[float | None]]


def backoff(failures: int, chance: float) -> float:
    """Seconds before try `failures` + 1: doubling from 0.1 to 60, of which `chance` (0..1) takes up to a half."""
    full = min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(failures - 1, 20))
    return full * (1 - chance / 2)


class WorkQueue:
    """Runs `reconcile(namespace, name)` for keys. It returns the seconds until it wants to be called again, or None.

    `exists` tells whether a key is worth remembering; keys of deleted resources are forgotten after their last run.
    """

    def __init__(
        self,
        reconcile: Reconcile,
        exists: Callable[[Key], bool],
        workers: int = WORKERS,
        resync: float = RESYNC_SECONDS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._reconcile = reconcile
        self._exists = exists
        self._count = workers
        self._resync = resync
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: dict[Key, float] = {}
        self._running: dict[Key, float] = {}
        self._changed: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._told: dict[Key, str] = {}
        self._last_finished = self._loop.time()
        self._workers: list[asyncio.Task[None]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False

    def add(self, key: Key) -> None:
        """Reconcile the key as soon as possible."""
        if self._stopping:
            return
        if key in self._running:
            self._changed.add(key)
        elif key not in self._waiting:
            self._waiting[key] = self._loop.time()
            self._queue.put_nowait(key)
            metrics.QUEUE_DEPTH.set(len(self._waiting))

    def retry_failed(self) -> None:
        """Try again at once what is backing off: the reason (an absent API server) is gone."""
        for key in list(self._failures):
            self.add(key)

    def start(self) -> None:
        """Begin to work; until then keys only gather."""
        self._last_finished = self._loop.time()
        self._workers = [asyncio.create_task(self._work(), name=f"reconciler {n}") for n in range(self._count)]

    async def stop(self, limit: float) -> None:
        """Start nothing more, give what is in flight `limit` seconds, then cancel it."""
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._idle.wait()
        for task in self._workers:
            task.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        metrics.QUEUE_DEPTH.set(0)

    def progress(self) -> Progress:
        """What the queue has been doing."""
        return Progress(
            depth=len(self._waiting),
            oldest_waiting=min(self._waiting.values(), default=None),
            oldest_running=min(self._running.values(), default=None),
            last_finished=self._last_finished,
        )

    async def _work(self) -> None:
        while not self._stopping:
            key = await self._queue.get()
            if not self._stopping:
                await self._run(key)

    async def _run(self, key: Key) -> None:
        started = self._begin(key)
        again: float | None = None
        try:
            with logs.context(namespace=key.namespace, name=key.name):
                again = await self._attempt(key)
        finally:
            metrics.RECONCILE_SECONDS.observe(self._loop.time() - started)
            self._end(key, again)

    def _begin(self, key: Key) -> float:
        now = self._loop.time()
        metrics.QUEUE_LAG.observe(now - self._waiting.pop(key))
        metrics.QUEUE_DEPTH.set(len(self._waiting))
        self._running[key] = now
        self._idle.clear()
        self._changed.discard(key)
        if timer := self._timers.pop(key, None):
            timer.cancel()
        return now

    async def _attempt(self, key: Key) -> float | None:
        """One reconcile; seconds until the next, whatever happens in it."""
        try:
            again = await self._reconcile(key.namespace, key.name)
        except Gone as error:
            log.debug("nothing left to do: %s", error)
            again = None
        except Conflict as error:
            log.debug("read too early: %s", error)
            return self._failed(key, "conflict")
        except Exception as error:
            self._tell(key, error)
            return self._failed(key, "error")
        self._succeeded(key, again)
        return again

    def _failed(self, key: Key, result: str) -> float:
        metrics.RECONCILES.labels(result).inc()
        self._failures[key] = self._failures.get(key, 0) + 1
        return backoff(self._failures[key], self._chance())

    def _succeeded(self, key: Key, again: float | None) -> None:
        metrics.RECONCILES.labels("success" if again is None else "requeue").inc()
        self._failures.pop(key, None)
        if self._told.pop(key, None) is not None:
            log.info("reconciled after errors")

    def _tell(self, key: Key, error: Exception) -> None:
        """An error is logged when it is new, not each time it is met again, nor once for each of many resources."""
        text = repr(error)
        if isinstance(error, Unreachable | NotLeading):
            log.debug("will try again: %s", error)
        elif self._told.get(key) != text:
            expected = isinstance(error, ClusterError)
            log.error("reconcile failed, will try again: %s", error, exc_info=None if expected else error)
            self._told[key] = text

    def _end(self, key: Key, again: float | None) -> None:
        self._last_finished = self._loop.time()
        self._running.pop(key)
        if not self._running:
            self._idle.set()
        if key in self._changed:
            self._changed.discard(key)
            self.add(key)
        if self._stopping:
            return
        if key not in self._waiting and not self._exists(key):
            self._forget(key)
            return
        self._call_later(key, self._next_look(again))

    def _next_look(self, again: float | None) -> float:
        resync = self._resync * (0.9 + self._chance() / 5)
        return resync if again is None else min(again, resync)

    def _call_later(self, key: Key, seconds: float) -> None:
        self._timers[key] = self._loop.call_later(seconds, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _forget(self, key: Key) -> None:
        self._failures.pop(key, None)
        self._told.pop(key, None)
