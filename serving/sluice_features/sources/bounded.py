"""Delta tables, and Parquet by URI, read a few rows at a time, however large the groups of rows are.

Arrow's own scanner decodes groups of rows whole, several of them ahead of what is asked for, and they are as large as
whoever wrote them liked. Here one file is open at a time; of each column a buffer and a page are held, and as many
rows as fit into what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from sluice_features.errors import FeaturesError, invalid
from sluice_features.memory import read_memory
from sluice_features.sources.reading import Context, batch_rows, unreadable

_STEP = 256
"""Rows that are decoded at once, at most: wider ones may follow, of which nothing is known before they are there."""

_LEAST_BUFFER, _MOST_BUFFER = 64 * 1024, 4 * 1024**2

_WANTS_NULLS = re.compile(r"\bis_null\(|\binvert\(")
"""In Arrow's words for a condition: rows pass in which a column is null."""


class BoundedDataset(ds.Dataset):  # type: ignore[misc]
    """A dataset that DuckDB scans as any other, telling which columns and which rows it wants.

    `failed`: what went wrong while it was read, of which DuckDB tells the words alone.
    """

    def __init__(self, place: str, files: ds.Dataset, context: Context) -> None:
        self._place, self._files, self._context, self._memory = place, files, context, read_memory()
        self.failed: FeaturesError | None = None

    @property
    def schema(self) -> pa.Schema:
        """Of the files, with the columns that their folders are."""
        return self._files.schema

    def scanner(
        self,
        columns: Sequence[str] | None = None,
        filter: ds.Expression | None = None,  # noqa: A002 as Arrow calls it
        **_: Any,
    ) -> _Scan:
        """What DuckDB asks for: columns of the rows that pass."""
        return _Scan(self, tuple(columns or self.schema.names), filter)

    def batches(self, columns: tuple[str, ...], condition: ds.Expression | None) -> Iterator[pa.RecordBatch]:
        """Rows, a few at a time."""
        needed = (*columns, *_asked_by(condition, self.schema, columns))
        schema = pa.schema([self.schema.field(name) for name in needed])
        try:
            for file in _that_may_hold(self._files, condition):
                for table in self._of_file(file, schema, condition):
                    passed = table if condition is None else table.filter(condition)
                    yield from passed.select(columns).to_batches()
        except FeaturesError as error:
            self.failed = error
            raise
        except (OSError, pa.ArrowException) as error:
            self.failed = unreadable(self._place, error, self._context)
            raise

    def _of_file(
        self, file: ds.ParquetFileFragment, schema: pa.Schema, condition: ds.Expression | None
    ) -> Iterator[pa.Table]:
        groups = _groups_that_may_hold(file, self.schema, condition)
        said = ds.get_partition_keys(file.partition_expression)
        buffer = min(_MOST_BUFFER, max(_LEAST_BUFFER, self._memory // 4 // len(schema)))
        with file.open() as opened, pq.ParquetFile(opened, pre_buffer=False, buffer_size=buffer) as parquet:
            names, most = parquet.schema_arrow.names, batch_rows(len(schema))
            # A file without any of them still says how many rows there are.
            held = [name for name in schema.names if name in names and name not in said] or names[:1]
            for group in groups:
                for batches in _together(_decoded(parquet, group, held, self._memory // 4), self._memory // 4, most):
                    yield self._conformed(file.path, pa.Table.from_batches(batches), schema, said)

    def _conformed(self, path: str, rows: pa.Table, schema: pa.Schema, said: dict[str, Any]) -> pa.Table:
        """Rows of a file as the table has them: what the file's folder says of all, what an older file lacks, its
        types.
        """

        def column(field: pa.Field) -> pa.Array | pa.ChunkedArray:
            if said.get(field.name) is not None:
                return pa.repeat(pa.scalar(said[field.name], field.type), rows.num_rows)
            if field.name in said or field.name not in rows.schema.names:
                return pa.nulls(rows.num_rows, field.type)
            given = rows.column(field.name)
            try:
                return given.cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise self._of_another_type(path, given, field, error) from error

        return pa.table([column(field) for field in schema], schema=schema)

    def _of_another_type(self, path: str, given: pa.ChunkedArray, field: pa.Field, error: Exception) -> FeaturesError:
        told = f"{self._place}: column {field.name} is {given.type} in {path}, and {field.type} elsewhere ({error})"
        return invalid(f"{self._context.secrets.scrubbed(told)}; write all files with one type")


class _Scan:
    """What DuckDB takes for one of Arrow's scanners."""

    def __init__(self, dataset: BoundedDataset, columns: tuple[str, ...], condition: ds.Expression | None) -> None:
        self._dataset, self._columns, self._condition = dataset, columns, condition
        self.projected_schema = pa.schema([dataset.schema.field(name) for name in columns])

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows."""
        rows = self._dataset.batches(self._columns, self._condition)
        return pa.RecordBatchReader.from_batches(self.projected_schema, rows)


def _asked_by(condition: ds.Expression | None, schema: pa.Schema, known: Sequence[str]) -> Iterator[str]:
    """Columns that a condition names beside the known ones: those without which it makes no sense."""
    for index, name in enumerate(schema.names if condition is not None else ()):
        try:
            if name not in known:
                schema.remove(index).empty_table().filter(condition)
        except pa.ArrowInvalid:
            yield name


def _that_may_hold(files: ds.FileSystemDataset, condition: ds.Expression | None) -> Iterator[ds.ParquetFileFragment]:
    """Files in which rows may pass. By what a Delta table's log says of its files, null passes no condition: not in one
    that is older than the column either. So of what may pass by being null, only the files' folders are asked.
    """
    if condition is not None and _WANTS_NULLS.search(str(condition)):
        known = [
            files.format.make_fragment(file.path, file.filesystem, _of_folder(file, files.schema))
            for file in files.get_fragments()
        ]
        files = ds.FileSystemDataset(known, files.schema, files.format, files.filesystem)
    yield from files.get_fragments(filter=condition)


def _groups_that_may_hold(
    file: ds.ParquetFileFragment, schema: pa.Schema, condition: ds.Expression | None
) -> list[int]:
    try:
        chosen = file if condition is None else file.subset(filter=condition, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # Its columns are of another type: whether their values fit is told when they are read.
        chosen = file
    return [group.id for group in chosen.row_groups]


def _of_folder(file: ds.ParquetFileFragment, schema: pa.Schema) -> ds.Expression:
    holds = ds.scalar(True)
    for name, value in ds.get_partition_keys(file.partition_expression).items():
        column = ds.field(name)
        holds &= column.is_null() if value is None else column == pa.scalar(value, schema.field(name).type)
    return holds


def _decoded(parquet: pq.ParquetFile, group: int, held: Sequence[str], room: int) -> Iterator[pa.RecordBatch]:
    """A group's rows, as many at once as have room, in bytes. Where they turn out to be wider than the file says (a
    value that is repeated is there once), those that follow are cut anew.
    """
    done, width, total = 0, _width(parquet, group, held), parquet.metadata.row_group(group).num_rows
    while done < total:
        rows = max(1, min(_STEP, int(room / width)))
        for batch in _behind(done, parquet.iter_batches(rows, [group], held, use_threads=False)):
            yield batch
            done += batch.num_rows
            if rows > 1 and batch.nbytes > 2 * room:
                width = batch.nbytes / batch.num_rows
                break


def _width(parquet: pq.ParquetFile, group: int, held: Collection[str]) -> float:
    """Bytes of a row, as the file tells them."""
    said = parquet.metadata.row_group(group)
    columns = map(said.column, range(said.num_columns))
    # A column of several levels is told of by its parts: place.city.
    sizes = (
        column.total_uncompressed_size
        for column in columns
        if any(path in held for path in accumulate(column.path_in_schema.split("."), "{}.{}".format))
    )
    width: float = sum(sizes) / max(1, said.num_rows)
    return max(1.0, width)


def _behind(rows: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What comes after so many rows."""
    for batch in batches:
        if rows < batch.num_rows:
            yield batch.slice(rows)
        rows = max(0, rows - batch.num_rows)


def _together(batches: Iterable[pa.RecordBatch], room: int, most: int) -> Iterator[list[pa.RecordBatch]]:
    """Small batches, as many in one as have room: what is done to them costs as much for a few rows as for many."""
    some: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if some and (rows + batch.num_rows > most or size + batch.nbytes > room):
            yield some
            some, rows, size = [], 0, 0
        some.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if some:
        yield some
