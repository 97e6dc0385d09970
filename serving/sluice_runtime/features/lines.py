"""Whose key is asked for next: one of each request in turn, so that a request of thousands delays no other by more than
its share. Pure: `now` is monotonic time in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sluice_runtime.features.client import StoreError
from sluice_runtime.features.rows import Key, Row


class Waiter(Protocol):
    """Who wants rows."""

    def landed(self, key: Key, found: Row | StoreError) -> None:
        """Take the row, or why there is none."""
        ...


@dataclass(slots=True, eq=False)
class Entry:
    """A key, and who wants its row."""

    key: Key
    waiters: list[Waiter] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Line:
    # Some of them may be gone meanwhile: asked for by others that want them, or given up.
    waiter: Waiter
    entries: deque[Entry]
    # When one of them was last asked for.
    since: float


class Lines:
    """Keys that wait for a call of theirs, each in the line of everybody who wants it."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self._lines: dict[Waiter, _Line] = {}
        self._turns: deque[_Line] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def join(self, keys: Sequence[Key], waiter: Waiter, now: float) -> None:
        """Want these keys, in this order."""
        line = self._lines.get(waiter)
        if line is None:
            line = self._lines[waiter] = _Line(waiter, deque(), now)
            self._turns.append(line)
        for key in keys:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = Entry(key)
            entry.waiters.append(waiter)
            line.entries.append(entry)

    def leave(self, keys: Sequence[Key], waiter: Waiter) -> None:
        """Want them no more; what nobody wants is not asked for."""
        line = self._lines.pop(waiter, None)
        if line is not None:
            line.entries.clear()
        for key in keys:
            entry = self._entries.get(key)
            if entry is not None and waiter in entry.waiters:
                entry.waiters.remove(waiter)
                if not entry.waiters:
                    del self._entries[key]

    def take(self, most: int, now: float) -> list[Entry]:
        """The keys whose turn it is; they wait no longer."""
        taken: list[Entry] = []
        while self._turns and len(taken) < most:
            line = self._turns.popleft()
            while line.entries:
                entry = line.entries.popleft()
                if self._entries.get(entry.key) is entry:
                    del self._entries[entry.key]
                    taken.append(entry)
                    line.since = now
                    break
            if line.entries:
                self._turns.append(line)
            elif self._lines.get(line.waiter) is line:
                del self._lines[line.waiter]
        return taken

    def late(self, before: float) -> list[tuple[Waiter, list[Key]]]:
        """Who has seen nothing asked for since before that time, and the keys that they wanted: they are given up."""
        found = []
        for line in [line for line in self._turns if line.since <= before]:
            keys = [entry.key for entry in line.entries if self._entries.get(entry.key) is entry]
            self.leave(keys, line.waiter)
            if keys:
                found.append((line.waiter, keys))
        self._turns = deque(line for line in self._turns if line.entries)
        return found

    def oldest(self) -> float | None:
        """Since when the one that waits longest has seen nothing asked for; None where nobody waits."""
        return min((line.since for line in self._turns), default=None)

    def clear(self) -> list[Entry]:
        """All that wait; they wait no longer."""
        entries = list(self._entries.values())
        self._entries.clear()
        self._lines.clear()
        self._turns.clear()
        return entries
