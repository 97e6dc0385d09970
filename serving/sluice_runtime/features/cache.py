"""What the store answered a moment ago: bounded in number, size and age. Pure: `now` is monotonic time in seconds."""

from __future__ import annotations

from collections import OrderedDict

from sluice_runtime.features.rows import Key, Row

MOST_VALUES = 1_000_000
"""Values of all rows together, about 100 bytes each: so many rows of few features may be kept, and fewer of many."""

_TEXT_OF_A_VALUE = 64
"""A text counts as a value more for each so many characters."""


class Cache:
    """The `most` rows that were used last, each for `seconds` from the time at which the store was asked for it; fewer
    where they have more than `values` values together.

    So what is used was true at some time within those seconds. Nothing prolongs a row's life.
    """

    def __init__(self, seconds: float, most: int, values: int = MOST_VALUES) -> None:
        self._seconds = seconds
        self._most = most
        self._room = values
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
            self._forget(key)
            return None
        self._rows.move_to_end(key)
        return row

    def put(self, key: Key, row: Row, asked_at: float) -> None:
        """Keep a row; the one that was longest unused makes room."""
        if self._seconds <= 0:
            return
        if key in self._rows:
            self._forget(key)
        self._rows[key] = (row, asked_at + self._seconds)
        self._room -= _size(row)
        while len(self._rows) > self._most or (self._room < 0 and self._rows):
            self._forget(next(iter(self._rows)))

    def _forget(self, key: Key) -> None:
        row, _ = self._rows.pop(key)
        self._room += _size(row)


def _size(row: Row) -> int:
    """In values."""
    texts = sum(len(value) // _TEXT_OF_A_VALUE for value in row.values if type(value) is str)
    return len(row.values) + texts
