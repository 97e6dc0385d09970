"""Calls without delay that are shared: while the store is being asked, keys gather; then they are asked for together.

A key that is being asked for is not asked for again: whoever wants it waits for the same answer. Two calls are under
way at most, so that a store that takes long gets fewer and larger ones, and one that hangs holds few connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sluice_runtime.features.circuit import Circuit
from sluice_runtime.features.client import StoreError, Trouble
from sluice_runtime.features.rows import Key, Row

log = logging.getLogger(__name__)

LANES = 2
MOST_WAITING = 16_384
"""Keys that wait for a call of theirs; more are refused."""

_REFUSALS_BEFORE_GIVING_UP = 3
"""Refused calls in a row after which the store, and not one key, is held to be at fault: calls are not divided then."""

_PAUSED = StoreError(Trouble.PAUSED, "the feature store did not answer a moment ago", away=True)
_CROWDED = StoreError(Trouble.CROWDED, "too many requests wait for the feature store")
_LATE = StoreError(Trouble.CROWDED, "the feature store does not answer as fast as it is asked")
_UNFORESEEN = StoreError(Trouble.INVALID, "the feature store's answer could not be read")

Ask = Callable[[Sequence[Key]], Awaitable[Sequence[Row]]]


class Waiter(Protocol):
    """Who wants a row."""

    def landed(self, key: Key, found: Row | StoreError) -> None:
        """Take the row, or why there is none."""
        ...


@dataclass(slots=True, eq=False)
class _Entry:
    key: Key
    since: float
    waiters: list[Waiter] = field(default_factory=list)
    # Of the call that it went into first.
    asked_at: float = 0.0


class Gathering:
    """Entries wait, fly, and land. `seconds`: how long a call may take, and how long a key may wait for its call.

    Times are the event loop's. To be used within one event loop.
    """

    def __init__(self, ask: Ask, *, seconds: float, most_keys: int) -> None:
        self._ask = ask
        self._seconds = seconds
        self._most_keys = most_keys
        self._circuit = Circuit()
        self._refusals = 0
        self._waiting: dict[Key, _Entry] = {}
        self._flying: dict[Key, _Entry] = {}
        self._again: deque[list[_Entry]] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._flush_handle: asyncio.Handle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def under_way(self) -> int:
        """Calls that have no answer yet."""
        return len(self._calls)

    def refusal(self, new_keys: int) -> StoreError | None:
        """Why so many more keys will not be asked for, if they will not."""
        if not self._circuit.allows(self._loop.time(), len(self._calls)):
            return _PAUSED
        return _CROWDED if len(self._waiting) + new_keys > MOST_WAITING else None

    def joins(self, key: Key) -> bool:
        """Whether the key is being asked for already."""
        return key in self._flying or key in self._waiting

    def join(self, key: Key, waiter: Waiter) -> None:
        """Ask for a row, with others."""
        entry = self._flying.get(key) or self._waiting.get(key)
        if entry is None:
            entry = self._waiting[key] = _Entry(key, self._loop.time())
            self._flush_soon()
            self._expire_later(entry)
        entry.waiters.append(waiter)

    def leave(self, key: Key, waiter: Waiter) -> None:
        """Do not tell this one any more, and do not ask for what nobody wants."""
        entry = self._flying.get(key) or self._waiting.get(key)
        if entry is None or waiter not in entry.waiters:
            return
        entry.waiters.remove(waiter)
        if not entry.waiters:
            self._waiting.pop(key, None)

    async def close(self) -> None:
        """End what is under way; whoever waits is told that the store is away."""
        for handle in (self._flush_handle, self._expiry):
            if handle is not None:
                handle.cancel()
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        self._settle([*self._waiting.values(), *self._flying.values()], _PAUSED)

    def _flush_soon(self) -> None:
        if self._flush_handle is None and len(self._calls) < LANES:
            # One turn of the loop later: what arrived together is asked for together.
            self._flush_handle = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_handle = None
        while len(self._calls) < LANES and (batch := self._take()):
            call = self._loop.create_task(self._call(batch))
            self._calls.add(call)
            call.add_done_callback(self._called)

    def _called(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._flush_soon()

    def _take(self) -> list[_Entry]:
        """What goes into the next call, if there may be one."""
        now = self._loop.time()
        if not self._circuit.allows(now, len(self._calls)):
            self._pause(now)
            return []
        while self._again:
            batch = self._again.popleft()
            if now - batch[0].asked_at < self._seconds:
                return batch
            self._settle(batch, _LATE)
        batch = [entry for entry, _ in zip(self._waiting.values(), range(self._most_keys), strict=False)]
        for entry in batch:
            del self._waiting[entry.key]
            self._flying[entry.key] = entry
            entry.asked_at = now
        return batch

    def _pause(self, now: float) -> None:
        """Nobody waits for a store that is away."""
        halves = [entry for batch in self._again for entry in batch]
        self._again.clear()
        self._settle([*halves, *self._waiting.values()], _PAUSED)

    async def _call(self, batch: list[_Entry]) -> None:
        try:
            rows = await self._ask([entry.key for entry in batch])
        except StoreError as error:
            self._failed(batch, error)
        except Exception:
            log.exception("the feature store's answer could not be read")
            self._failed(batch, _UNFORESEEN)
        else:
            self._circuit.answered()
            self._refusals = 0
            for entry, row in zip(batch, rows, strict=True):
                self._land(entry, row)

    def _failed(self, batch: list[_Entry], error: StoreError) -> None:
        if error.away:
            self._circuit.failed(self._loop.time())
        else:
            self._circuit.answered()
            self._refusals += 1
        if error.divides and len(batch) > 1 and self._refusals <= _REFUSALS_BEFORE_GIVING_UP:
            middle = len(batch) // 2
            self._again.extend((batch[:middle], batch[middle:]))
        else:
            self._settle(batch, error)

    def _settle(self, entries: Sequence[_Entry], error: StoreError) -> None:
        for entry in entries:
            self._land(entry, error)

    def _land(self, entry: _Entry, found: Row | StoreError) -> None:
        self._flying.pop(entry.key, None)
        self._waiting.pop(entry.key, None)
        for waiter in list(entry.waiters):
            try:
                waiter.landed(entry.key, found)
            except Exception:
                # The others wait for their features all the same.
                log.exception("a request could not take its features")

    def _expire_later(self, entry: _Entry) -> None:
        if self._expiry is None:
            self._expiry = self._loop.call_at(entry.since + self._seconds, self._expire)

    def _expire(self) -> None:
        """A key waits for a call of its own no longer than a call may take."""
        self._expiry = None
        now = self._loop.time()
        # In the order in which they came.
        late = [entry for entry in self._waiting.values() if now - entry.since >= self._seconds]
        self._settle(late, _LATE)
        for entry in self._waiting.values():
            self._expire_later(entry)
            break
