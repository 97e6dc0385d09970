"""Training data: read from files or taken from memory, in one canonical form, so that equal content is equal data.

Integers are of 64 bits, other numbers doubles, times microseconds in UTC, text is text. A CSV file and a Parquet file
with the same rows have the same digest, whatever wrote them: 5 and 5.0, which CSV does not tell apart, are equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from sluice.model import Columns
from sluice_training.errors import TrainingError

TIME = pa.timestamp("us", tz="UTC")

_LETTERS = {"bool": "b", "int64": "n", "double": "n", "string": "s", str(TIME): "t"}
_EXACT = 2**53
"""Up to here every integer is a double."""

_HEAD_BYTES = 4096


def read(sources: Sequence[Path]) -> pa.Table:
    """Rows of CSV and Parquet files, one file after the other.

    Raises:
        TrainingError: a file cannot be read, or holds what cannot be learned from.
    """
    check_named(sources)
    tables = [canonical(_read(source)) for source in sources]
    names = tables[0].column_names
    for source, table in zip(sources, tables, strict=True):
        if other := sorted({*names} ^ {*table.column_names}):
            raise TrainingError(f"the files have different columns: {sources[0]} and {source} differ in {other[0]!r}")
    kinds = {name: {table.schema.field(name).type for table in tables} for name in names}
    try:
        # What a file says of a column's type goes by the values in it: 5 beside 5.5, or none at all beside text.
        one = pa.concat_tables([_typed(table, kinds) for table in tables], promote_options="permissive")
        return canonical(one)
    except pa.ArrowException as error:
        raise TrainingError(f"the files have columns of different types: {_first_line(error)}") from error


def check_named(sources: Sequence[Path]) -> None:
    """Whether there are files, of kinds that are read, by their names alone.

    Raises:
        TrainingError: naming the first that is not.
    """
    if not sources:
        raise TrainingError("there is no data; name files with --data")
    if other := [path for path in sources if not _is_parquet(path) and not _is_csv(path)]:
        raise TrainingError(f"{other[0]} is neither .csv, .csv.gz nor .parquet")


def taken(given: Any) -> pa.Table:
    """A table of whatever a notebook has: paths, a `pyarrow.Table`, a data frame, or arrays by name.

    Raises:
        TrainingError: it is none of these.
    """
    if isinstance(given, str | Path):
        return read([Path(given)])
    if isinstance(given, pa.Table):
        return canonical(given)
    if isinstance(given, Sequence) and all(isinstance(item, str | Path) for item in given):
        return read([Path(item) for item in given])
    if hasattr(given, "__arrow_c_stream__"):
        return canonical(pa.table(given))
    try:
        return canonical(pa.table({str(name): _taken(name, given[name]) for name in given}))
    except (TypeError, ValueError, KeyError, IndexError, pa.ArrowException) as error:
        wanted = "give paths, a data frame, a pyarrow.Table, or arrays by name"
        raise TrainingError(f"the data is no table ({_first_line(error)}); {wanted}") from error


def _taken(name: object, values: Any) -> pa.Array:
    try:
        return pa.array(np.asarray(values), from_pandas=True)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise TrainingError(f"column {str(name)!r} cannot be read: {_first_line(error)}") from error


def canonical(table: pa.Table) -> pa.Table:
    """The same rows in the canonical types.

    Raises:
        TrainingError: a column is of a type that has none, or a name repeats.
    """
    names = table.column_names
    _check_unlike(names)
    return pa.table({name: _canonical(name, table.column(name)) for name in names}).combine_chunks()


def digest(table: pa.Table) -> str:
    """`sha256:` and the digest of names, types and values in their order; of no byte of any file."""
    content = hashlib.sha256()
    for name in table.column_names:
        column = table.column(name)
        kind, values = _LETTERS[str(column.type)], column.combine_chunks()
        content.update(f"{len(name.encode())}:{name}:{kind}:{len(values)}:".encode())
        content.update(np.packbits(np.asarray(values.is_null(), dtype=bool)).tobytes())
        for piece in _bytes(values, kind):
            content.update(piece)
    return f"sha256:{content.hexdigest()}"


def columns(table: pa.Table, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Columns as a model takes them: missing numbers are NaN, missing text is empty, times are seconds since 1970."""
    return {name: _array(table.column(name).combine_chunks()) for name in names}


def rows(values: Columns, chosen: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The chosen rows (a mask, or their numbers) of every column."""
    return {name: array[chosen] for name, array in values.items()}


def _read(source: Path) -> pa.Table:
    try:
        return pa.parquet.read_table(source) if _is_parquet(source) else _comma_separated(source)
    except FileNotFoundError as error:
        raise TrainingError(f"there is no {source}; paths are from {Path.cwd()}") from error
    except (OSError, pa.ArrowException) as error:
        raise TrainingError(f"{source} cannot be read: {_first_line(error)}") from error


def _check_unlike(names: Sequence[str], where: str = "") -> None:
    if len(names) != len(set(names)):
        told = ", ".join(sorted({name for name in names if names.count(name) > 1}))
        raise TrainingError(f"columns repeat{where}: {told}")


def _is_parquet(source: Path) -> bool:
    return source.suffix in (".parquet", ".pq")


def _is_csv(source: Path) -> bool:
    return source.suffix == ".csv" or source.name.endswith(".csv.gz")


def _comma_separated(source: Path) -> pa.Table:
    with pa.input_stream(str(source)) as file:
        if b"\0" in file.read(_HEAD_BYTES):  # as in UTF-16, and in what is no text at all
            raise TrainingError(f"{source} is not UTF-8 text; save the file as CSV in UTF-8")
    options = pa.csv.ConvertOptions(strings_can_be_null=True)
    try:
        table = pa.csv.read_csv(source, convert_options=options)
    except pa.ArrowInvalid:
        # One thread knows in which line it is; the first columns of what is no UTF-8 are no CSV either.
        table = pa.csv.read_csv(source, pa.csv.ReadOptions(use_threads=False), convert_options=options)
    try:
        names = table.column_names
    except UnicodeDecodeError as error:
        raise TrainingError(f"the first line of {source} is not UTF-8 text; save the file as UTF-8") from error
    _check_unlike(names, f" in {source}")
    if text := [name for name, kind in zip(names, table.schema.types, strict=True) if pa.types.is_binary(kind)]:
        raise TrainingError(f"column {text[0]!r} of {source} is not UTF-8 text; save the file as UTF-8")
    only = names[0]
    if table.num_columns == 1 and (other := next((mark for mark in ";\t|" if mark in only), None)):
        raise TrainingError(f"the columns of {source} are divided by {other!r}; divide them by commas")
    return table


def _typed(table: pa.Table, kinds: Mapping[str, set[pa.DataType]]) -> pa.Table:
    """The table with no type for columns that hold nothing, and are of several types (`kinds`) in all."""
    return pa.table(
        {
            name: pa.nulls(len(column)) if len(kinds[name]) > 1 and column.null_count == len(column) else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )


def _canonical(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _canonical(name, column.cast(kind.value_type))
    if pa.types.is_null(kind):
        return column.cast(pa.float64())
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_integer(kind):
        return _cast(name, column, pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _without_nan(_cast(name, column, pa.float64()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _cast(name, column, pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _time(name, column)
    raise TrainingError(f"column {name!r} is of type {kind}; make it numbers, text, true or false, or times")


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """NaN and null are one thing: missing."""
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)


def _time(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return _cast(name, column, TIME)
    return pc.assume_timezone(_cast(name, column, pa.timestamp("us")), "UTC")


def _cast(name: str, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        raise TrainingError(f"column {name!r} cannot be read as {kind}: {_first_line(error)}") from error


def _bytes(values: pa.Array, kind: str) -> Iterable[bytes]:
    if kind == "s":
        for text in values.to_pylist():
            encoded = (text or "").encode()
            yield f"{len(encoded)}:".encode() + encoded
    elif kind == "b":
        yield np.packbits(np.asarray(values.fill_null(False), dtype=bool)).tobytes()
    else:
        numbers = np.asarray((values.cast(pa.int64()) if kind == "t" else values).fill_null(0))
        exact = kind == "n" and (numbers.dtype.kind == "f" or not (np.abs(numbers) > _EXACT).any())
        yield numbers.astype("<f8" if exact else "<i8").tobytes()


def _array(values: pa.Array) -> NDArray[Any]:
    if pa.types.is_string(values.type):
        return np.array([text or "" for text in values.to_pylist()], dtype=np.object_)
    if pa.types.is_timestamp(values.type):
        seconds = pc.divide(values.cast(pa.int64()).cast(pa.float64()), 1e6)
        return np.asarray(seconds.fill_null(np.nan), dtype=np.float64)
    if values.null_count == 0:
        return np.asarray(values.to_numpy(zero_copy_only=False)).copy()
    return np.asarray(values.cast(pa.float64()).fill_null(np.nan), dtype=np.float64).copy()


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
