"""DuckDB files, and Parquet and Delta tables: all of them answer DuckDB's SQL, and are read a batch at a time."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from sluice_features.datatypes import is_time
from sluice_features.errors import FeaturesError, invalid, unavailable
from sluice_features.memory import configure, too_little_memory
from sluice_features.sources.bounded import BoundedDataset
from sluice_features.sources.reading import Context, Window, batch_rows, quoted, selection, statement, unreadable
from sluice_features.sources.types import Delta, DuckDb, Parquet

_MAGIC = slice(8, 12)
"""Where a DuckDB file says that it is one: behind a checksum."""


class DuckDbReading:
    """A selection in a connection of DuckDB's."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, chosen: str, context: Context) -> None:
        self._connection, self._chosen, self._context = connection, chosen, context
        with told(context):
            found = connection.sql(f"SELECT * FROM {chosen} LIMIT 0").to_arrow_table().schema  # noqa: S608
        self.schema: Mapping[str, pa.DataType] = dict(zip(found.names, found.types, strict=True))

    def batches(self, columns: tuple[str, ...], timestamp: str, window: Window) -> Iterator[pa.RecordBatch]:
        """Rows as DuckDB gives them."""
        condition = window.condition(self._comparable(timestamp)) if is_time(self.schema[timestamp]) else ""
        with told(self._context):
            found = self._connection.sql(statement(self._chosen, columns, condition))
            yield from found.to_arrow_reader(batch_rows(len(columns)))

    def _comparable(self, timestamp: str) -> str:
        """DuckDB compares nanoseconds with nothing else; other units stay as they are, so that files can be skipped."""
        kind, column = self.schema[timestamp], quoted(timestamp)
        nanoseconds = pa.types.is_timestamp(kind) and kind.unit == "ns"
        return f"CAST({column} AS TIMESTAMPTZ)" if nanoseconds else column


@contextmanager
def open_duckdb(source: DuckDb, query: str | None, table: str | None, context: Context) -> Iterator[DuckDbReading]:
    """A DuckDB file.

    Raises:
        FeaturesError: FeaturesInvalid for a file that is not there or a query that DuckDB refuses; FeaturesUnavailable
            while another program writes to the file.
    """
    path = context.place(source.path)
    if not Path(path).is_file():
        raise invalid(f"there is no DuckDB file at {context.secrets.scrubbed(path)}")
    with told(context):
        if not _is_duckdb(Path(path)):
            raise invalid(
                f"{context.secrets.scrubbed(path)} is no DuckDB file; a source reads Parquet files as `parquet`, and "
                "what else there is from a DuckDB file that it was loaded into"
            )
        connection = duckdb.connect(path, read_only=True)
    with connection:
        configure(connection)
        yield DuckDbReading(connection, selection(query, table), context)


@contextmanager
def open_files(
    source: Parquet | Delta, query: str | None, table: str | None, context: Context
) -> Iterator[DuckDbReading]:
    """Parquet or Delta tables; raises as `open_duckdb` does."""
    datasets: list[BoundedDataset] = []
    with duckdb.connect() as connection:
        configure(connection)
        for name, place in source.tables.items():
            found = context.place(place)
            if isinstance(source, Parquet) and "://" not in found:
                _add_view(connection, name, local_files(found, context), context)
                continue
            of_kind = delta_dataset if isinstance(source, Delta) else parquet_dataset
            datasets.append(BoundedDataset(found, of_kind(found, context), context))
            connection.register(name, datasets[-1])
        only = next(iter(source.tables))
        try:
            yield DuckDbReading(connection, selection(query, table or only), context)
        except FeaturesError as error:
            # DuckDB tells what failed in words alone, and not whether it may pass.
            raise next((dataset.failed for dataset in datasets if dataset.failed), error) from error


def local_files(place: str, context: Context) -> list[str]:
    """The Parquet files at a path, below a folder, or of a pattern. DuckDB reads them itself: it reads no further ahead
    than it is asked for, as Arrow does.
    """
    pattern = f"{glob.escape(place)}/**/*.parquet" if Path(place).is_dir() else place
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise invalid(f"there is no Parquet file at {context.secrets.scrubbed(place)}")
    return found


def parquet_dataset(place: str, context: Context) -> ds.Dataset:
    """The files at a URI."""
    try:
        return ds.dataset(place, format="parquet", partitioning="hive")
    except FileNotFoundError as error:
        raise invalid(f"there is nothing at {context.secrets.scrubbed(place)}") from error
    except pa.ArrowInvalid as error:
        raise invalid(f"{context.secrets.scrubbed(place)} is no Parquet: {context.secrets.scrubbed(error)}") from error
    except (OSError, pa.ArrowException) as error:
        raise unreadable(place, error, context) from error


def delta_dataset(place: str, context: Context) -> ds.Dataset:
    """The latest version of a Delta table."""
    import deltalake  # noqa: PLC0415 slow to come, and needed for these alone
    from deltalake.exceptions import DeltaError, TableNotFoundError  # noqa: PLC0415

    try:
        return deltalake.DeltaTable(place).to_pyarrow_dataset()
    except TableNotFoundError as error:
        raise invalid(f"there is no Delta table at {context.secrets.scrubbed(place)}") from error
    except (DeltaError, OSError) as error:
        raise unreadable(place, error, context) from error


@contextmanager
def told(context: Context) -> Iterator[None]:
    """Turn what DuckDB raises into what to do about it."""
    try:
        yield
    except FeaturesError:
        raise
    except duckdb.OutOfMemoryException as error:
        raise too_little_memory(error) from error
    except (duckdb.IOException, duckdb.InterruptException, pa.ArrowException, OSError) as error:
        raise unavailable(f"DuckDB: {context.secrets.scrubbed(error)}") from error
    except duckdb.Error as error:
        raise invalid(f"DuckDB refuses the query: {context.secrets.scrubbed(error)}") from error


def _is_duckdb(path: Path) -> bool:
    """By its first words: what is none DuckDB opens by other means, and tells of those."""
    with path.open("rb") as file:
        return file.read(_MAGIC.stop)[_MAGIC] == b"DUCK"


def _add_view(connection: duckdb.DuckDBPyConnection, name: str, files: list[str], context: Context) -> None:
    listed = ", ".join("'" + glob.escape(file).replace("'", "''") + "'" for file in files)
    with told(context):
        connection.execute(f"CREATE VIEW {quoted(name)} AS FROM read_parquet([{listed}], hive_partitioning = true)")
