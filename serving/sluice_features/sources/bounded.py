"""Delta tables, and Parquet by URI, read a few rows at a time, however large the groups of rows are.

Arrow's own scanner decodes groups of rows whole, several of them ahead of what is asked for, and they are as large as
whoever wrote them liked. Here one file is open at a time; of each column a buffer and a page are held, and as many
rows as fit into what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from sluice_features.errors import FeaturesError
from sluice_features.memory import read_memory
from sluice_features.sources.reading import Context, batch_rows, unreadable

_PEEK = 64
"""Rows by which those to come are judged."""

_LEAST_BUFFER, _MOST_BUFFER = 64 * 1024, 4 * 1024**2


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
            for file in self._files.get_fragments(filter=condition):
                for batch in self._of_file(file, schema, condition):
                    table = pa.Table.from_batches([batch])
                    passed = table if condition is None else table.filter(condition)
                    yield from passed.select(columns).to_batches()
        except (OSError, pa.ArrowException) as error:
            self.failed = unreadable(self._place, error, self._context)
            raise

    def _of_file(
        self, file: ds.ParquetFileFragment, schema: pa.Schema, condition: ds.Expression | None
    ) -> Iterator[pa.RecordBatch]:
        chosen = file if condition is None else file.subset(filter=condition, schema=self.schema)
        groups = [group.id for group in chosen.row_groups]
        said = ds.get_partition_keys(file.partition_expression)
        buffer = min(_MOST_BUFFER, max(_LEAST_BUFFER, self._memory // 4 // len(schema)))
        with file.open() as opened, pq.ParquetFile(opened, pre_buffer=False, buffer_size=buffer) as parquet:
            names = parquet.schema_arrow.names
            # A file without any of them still says how many rows there are.
            held = [name for name in schema.names if name in names and name not in said] or names[:1]
            width = 1.0
            for group in groups:
                peeked = next(parquet.iter_batches(_PEEK, [group], held, use_threads=False), None)
                width = max(width, peeked.nbytes / peeked.num_rows if peeked else 0)
                rows = max(1, min(batch_rows(len(schema)), int(self._memory / 4 / width)))
                for batch in parquet.iter_batches(rows, [group], held, use_threads=False):
                    yield _conformed(batch, schema, said)


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


def _conformed(batch: pa.RecordBatch, schema: pa.Schema, said: dict[str, Any]) -> pa.RecordBatch:
    """Rows of a file as the table has them: what the file's folder says of all, what an older file lacks, its types."""

    def column(field: pa.Field) -> pa.Array:
        if said.get(field.name) is not None:
            return pa.repeat(pa.scalar(said[field.name], field.type), batch.num_rows)
        if field.name in said or field.name not in batch.schema.names:
            return pa.nulls(batch.num_rows, field.type)
        return batch.column(field.name).cast(field.type)

    return pa.RecordBatch.from_arrays([column(field) for field in schema], schema=schema)
