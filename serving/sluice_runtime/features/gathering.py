"""Calls without delay that are shared: while the store is being asked, keys gather; then they are asked for together.

A key that is being asked for is not asked for again: whoever wants it waits for the same answer. Two calls are under
way at most, so that a store that takes long gets fewer and larger ones, and one that hangs holds few connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from sluice_runtime.features.circuit import Circuit
from sluice_runtime.features.client import StoreError, Trouble
from sluice_runtime.features.lines import Entry, Lines, Waiter
from sluice_runtime.features.parts import Part, Trial
from sluice_runtime.features.rows import Key, Row
from sluice_runtime.running import Receiver

log = logging.getLogger(__name__)

LANES = 2
MOST_WAITING = 16_384
"""Keys that wait for a call of theirs; more are refused."""

LEFT_FOR_SMALL = 4_096
"""Of these, so many are for requests that one call is enough for: large ones alone do not fill them all."""

MOST_PARTS = 32
"""Parts that a refused call is divided into beyond those for which others brought something: enough to find six keys,
wherever they are, that made the store refuse 256."""

_FEW_PARTS = 6
"""The same after a call of which no part brought anything: then the store, and not some keys, is at fault."""

_PAUSED = StoreError(Trouble.PAUSED, "the feature store did not answer a moment ago", away=True)
_CROWDED = StoreError(Trouble.CROWDED, "too many requests wait for the feature store")
_LATE = StoreError(Trouble.CROWDED, "the feature store does not answer as fast as it is asked")
_UNFORESEEN = StoreError(Trouble.INVALID, "the feature store's answer could not be read", away=True)


class Asked(Protocol):
    """A question that is under way."""

    def cancel(self) -> object:
        """Nobody wants to know any more."""
        ...


Ask = Callable[[Sequence[Key], Receiver[Sequence[Row]]], Asked]
"""Tells the receiver once, a row for each key or a StoreError, and never before it returns."""


class _Call:
    """A part that is being asked for."""

    __slots__ = ("_gathering", "asked", "over", "part")

    def __init__(self, gathering: Gathering, part: Part) -> None:
        self._gathering = gathering
        self.part = part
        self.over = False
        self.asked: Asked | None = None

    def done(self) -> bool:
        """True when nobody waits for it."""
        return self.over

    def set_result(self, rows: Sequence[Row]) -> None:
        """The store has answered."""
        self._gathering.came(self, rows)

    def set_exception(self, error: Exception) -> None:
        """It has not."""
        self._gathering.came(self, error)

    def cancel(self) -> None:
        """It is wanted no more."""
        self.over = True
        if self.asked is not None:
            self.asked.cancel()


class Gathering:
    """Entries wait, fly, and land. `seconds`: how long a call may take, and how long a request may wait for the next
    call in which there is a key of its own.

    Times are the event loop's. To be used within one event loop.
    """

    def __init__(self, ask: Ask, *, seconds: float, most_keys: int) -> None:
        self._ask = ask
        self._seconds = seconds
        self._most_keys = most_keys
        self._circuit = Circuit()
        self._doubted = False
        self._lines = Lines()
        self._flying: dict[Key, Entry] = {}
        self._again: deque[Part] = deque()
        self._again_next = False
        self._calls: set[_Call] = set()
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
        most = MOST_WAITING if new_keys <= self._most_keys else MOST_WAITING - LEFT_FOR_SMALL
        return _CROWDED if len(self._lines) + new_keys > most else None

    def joins(self, key: Key) -> bool:
        """Whether the key is being asked for already."""
        return key in self._flying or key in self._lines

    def join(self, keys: Sequence[Key], waiter: Waiter) -> None:
        """Ask for rows, with others."""
        waiting = []
        for key in keys:
            entry = self._flying.get(key)
            if entry is None:
                waiting.append(key)
            else:
                entry.waiters.append(waiter)
        if not waiting:
            return
        now = self._loop.time()
        if self._calls or self._again or len(self._lines) or len(waiting) > self._most_keys:
            self._lines.join(waiting, waiter, now)
            self._flush_soon()
            self._expire_later()
        else:
            # Nobody is there to share a call with, and nobody waits for a turn.
            self._launch(self._whole([Entry(key, [waiter]) for key in waiting], now))

    def leave(self, keys: Sequence[Key], waiter: Waiter) -> None:
        """Do not tell this one any more, and do not ask for what nobody wants."""
        for key in keys:
            entry = self._flying.get(key)
            if entry is not None and waiter in entry.waiters:
                entry.waiters.remove(waiter)
        self._lines.leave(keys, waiter)

    def close(self) -> None:
        """End what is under way; whoever waits is told that the store is away."""
        for handle in (self._flush_handle, self._expiry):
            if handle is not None:
                handle.cancel()
        # First of all: a call that ends makes room for the next one.
        self._again.clear()
        self._settle(self._lines.clear(), _PAUSED)
        for call in self._calls:
            call.cancel()
        self._calls.clear()
        self._settle([*self._flying.values()], _PAUSED)

    def came(self, call: _Call, outcome: Sequence[Row] | Exception) -> None:
        """Take what has come of a call."""
        if call.over:
            return
        call.over = True
        self._calls.discard(call)
        if isinstance(outcome, StoreError):
            self._failed(call.part, outcome)
        elif isinstance(outcome, Exception):
            log.error("the feature store's answer could not be read", exc_info=outcome)
            self._failed(call.part, _UNFORESEEN)
        else:
            self._landed(call.part, outcome)
        if self._again or len(self._lines):
            self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flush_handle is None and len(self._calls) < LANES:
            # One turn of the loop later: what arrives together is asked for together.
            self._flush_handle = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_handle = None
        while len(self._calls) < LANES and (part := self._take()):
            self._launch(part)

    def _launch(self, part: Part) -> None:
        call = _Call(self, part)
        self._calls.add(call)
        try:
            call.asked = self._ask([entry.key for entry in part.entries], call)
        except Exception as error:
            self._loop.call_soon(self.came, call, error)

    def _take(self) -> Part | None:
        """What goes into the next call, if there may be one: parts of refused ones and what has gathered, in turn."""
        now = self._loop.time()
        if not self._circuit.allows(now, len(self._calls)):
            self._pause()
            return None
        self._again_next = not self._again_next
        if self._again_next:
            return self._part_again(now) or self._gathered(now)
        return self._gathered(now) or self._part_again(now)

    def _gathered(self, now: float) -> Part | None:
        entries = self._lines.take(self._most_keys, now)
        return self._whole(entries, now) if entries else None

    def _whole(self, entries: list[Entry], now: float) -> Part:
        for entry in entries:
            self._flying[entry.key] = entry
        return Part(entries, Trial(_FEW_PARTS if self._doubted else MOST_PARTS, now))

    def _part_again(self, now: float) -> Part | None:
        while self._again:
            part = self._again.popleft()
            for entry in part.entries:
                if not entry.waiters:
                    del self._flying[entry.key]
            part.entries = [entry for entry in part.entries if entry.waiters]
            if now - part.trial.since >= self._seconds:
                self._settle(part.entries, _LATE)
            elif part.entries:
                part.trial.since = now
                return part
        return None

    def _pause(self) -> None:
        """Nobody waits for a store that is away."""
        parts = [entry for part in self._again for entry in part.entries]
        self._again.clear()
        self._settle([*parts, *self._lines.clear()], _PAUSED)

    def _landed(self, part: Part, rows: Sequence[Row]) -> None:
        self._circuit.answered()
        self._doubted = False
        part.trial.brought()
        for entry, row in zip(part.entries, rows, strict=True):
            self._land(entry, row)

    def _failed(self, part: Part, error: StoreError) -> None:
        entries = part.entries
        if error.away:
            self._circuit.failed(self._loop.time())
        else:
            self._circuit.answered()
        if error.divides and len(entries) > 1:
            if part.trial.divides():
                middle = len(entries) // 2
                self._again.extend(Part(half, part.trial) for half in (entries[:middle], entries[middle:]))
                return
            self._doubted |= not part.trial.fruitful
        self._settle(entries, error)

    def _settle(self, entries: Sequence[Entry], error: StoreError) -> None:
        for entry in entries:
            self._land(entry, error)

    def _land(self, entry: Entry, found: Row | StoreError) -> None:
        self._flying.pop(entry.key, None)
        for waiter in list(entry.waiters):
            _tell(waiter, entry.key, found)

    def _expire_later(self) -> None:
        if self._expiry is None and (since := self._lines.oldest()) is not None:
            self._expiry = self._loop.call_at(since + self._seconds, self._expire)

    def _expire(self) -> None:
        """Who waits for as long as a call may take, and no key of theirs was asked for, waits no longer."""
        self._expiry = None
        for waiter, keys in self._lines.late(self._loop.time() - self._seconds):
            for key in keys:
                _tell(waiter, key, _LATE)
        self._expire_later()


def _tell(waiter: Waiter, key: Key, found: Row | StoreError) -> None:
    try:
        waiter.landed(key, found)
    except Exception:
        # The others wait for their features all the same.
        log.exception("a request could not take its features")
