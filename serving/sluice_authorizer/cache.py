"""What was answered before, for a while: bounded in number and in age. Pure: `now` is monotonic time in seconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """A value that is asked for anew, by whoever uses it, from `soft` on, and that nobody uses from `hard` on."""

    value: V
    soft: float
    hard: float


class Cache(Generic[V]):
    """The `most` entries that were used last. Nothing keeps an entry alive but its use."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[Hashable, Entry[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, now: float) -> Entry[V] | None:
        """The entry, if it may still be used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.hard <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: Hashable, value: V, now: float, soft: float, hard: float) -> None:
        """Keep a value that may be used for `hard` seconds; the one that was longest unused makes room."""
        self._entries[key] = Entry(value, now + min(soft, hard), now + hard)
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def drop(self, key: Hashable) -> None:
        """Forget a value that is known to be wrong."""
        self._entries.pop(key, None)
