"""Which rows are held out: the same ones on every machine, and never two rows of one entity on both sides.

By a hash of the entity's keys (of the whole row, where there are none), so that a row stays on its side when others
come; or by time, where rows have one, because tomorrow's rows are what a model is asked about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sluice_training.errors import TrainingError

MIN_ROWS = 10
"""Of either side; less says nothing about a model."""


def held_out(
    table: pa.Table, share: float, seed: int, *, keys: Sequence[str] = (), timestamp: str | None = None
) -> NDArray[np.bool_]:
    """Mask of the rows to evaluate with: about `share` of them.

    Raises:
        TrainingError: a side would have too few rows, or a row has no time.
    """
    chosen = _latest(timestamp, table.column(timestamp), share) if timestamp else _by_hash(table, keys, share, seed)
    out = int(chosen.sum())
    if min(out, len(chosen) - out) < MIN_ROWS:
        if timestamp and out == len(chosen):
            raise TrainingError(f"no row is earlier than the others by {timestamp!r}, so none is left to train with")
        by = f"by time ({timestamp})" if timestamp else f"by {', '.join(keys) or 'row'}"
        raise TrainingError(
            f"{len(chosen)} rows give {len(chosen) - out} to train and {out} to evaluate with, split {by}; "
            f"{MIN_ROWS} of each are the least: give more data or another --test-share"
        )
    return chosen


def folds(table: pa.Table, count: int, seed: int, *, keys: Sequence[str] = ()) -> NDArray[np.int64]:
    """The number of the fold of every row, by the same hash with another salt."""
    return np.array([int(value * count) for value in _hashes(table, keys, f"folds {seed}")], dtype=np.int64)


def _latest(name: str, times: pa.ChunkedArray, share: float) -> NDArray[np.bool_]:
    if not pa.types.is_timestamp(times.type):
        raise TrainingError(f"column {name!r} is no time: {_why_no_time(times)}; write 2026-11-22T14:00:00Z everywhere")
    if times.null_count:
        first = int(np.flatnonzero(np.asarray(times.is_null()))[0])
        raise TrainingError(
            f"{times.null_count} rows have no time in {name!r}, the first of them row {first}; leave them out"
        )
    values = np.asarray(times.combine_chunks().cast(pa.int64()))
    # Rows of one moment go together, to the later side.
    first = np.sort(values)[len(values) - max(1, round(share * len(values)))]
    return np.asarray(values >= first, dtype=bool)


def _why_no_time(values: pa.ChunkedArray) -> str:
    """The first row that is none, or two of which one has a zone and the other none."""
    if not pa.types.is_string(values.type):
        return f"it is of type {values.type}"
    zoned = dict[bool, str]()
    for row, text in enumerate(values.to_pylist()):
        if text is None:
            continue
        told = f"row {row} has {text!r}"
        try:
            zoned.setdefault(datetime.fromisoformat(text).tzinfo is not None, told)
        except ValueError:
            return told
    return f"{zoned[True]} with a zone, and {zoned[False]} without" if len(zoned) > 1 else "it is text"


def _by_hash(table: pa.Table, keys: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    return np.array([value < share for value in _hashes(table, keys, f"held out {seed}")], dtype=bool)


def _hashes(table: pa.Table, keys: Sequence[str], salt: str) -> list[float]:
    """A number in [0, 1) for every row; rows with the same keys have the same."""
    chosen = table.select(list(keys)) if keys else table
    values = [_plain(chosen.column(name)) for name in chosen.column_names]
    return [_fraction(f"{salt}{row!r}") for row in zip(*values, strict=True)]


def _plain(column: pa.ChunkedArray) -> list[Any]:
    return list((column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist())


def _fraction(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48
