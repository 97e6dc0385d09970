"""What the store answered a moment ago: bounded in number and in age. Pure: `now` is monotonic time in seconds."""

from __future__ import annotations

from collections import OrderedDict

from sluice_runtime.features.rows import Key, Row


class Cache:
    """The `most` rows that were used last, each for `seconds` from the time at which the store was asked for it.

    So what is used was true at some time within those seconds. Nothing prolongs a row's life.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._rows: OrderedDict[Key, tuple[Row, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: Key, now: float) -> Row | None:
        """The row, if it may still be used."""
        kept = self._rows.get(key)
        if kept is None:
            return None
        row, until = kept
        if until <= now:
            del self._rows[key]
            return None
        self._rows.move_to_end(key)
        return row

    def put(self, key: Key, row: Row, asked_at: float) -> None:
        """Keep a row; the one that was longest unused makes room."""
        if self._seconds <= 0:
            return
        self._rows[key] = (row, asked_at + self._seconds)
        self._rows.move_to_end(key)
        if len(self._rows) > self._most:
            self._rows.popitem(last=False)
