"""Rows between source and store: on disk, so that what was checked is what is written, and memory has a bound.

A source is read once. Its rows go into a DuckDB file of our own, in which checks, the choice of the latest rows and
joins by time are SQL; DuckDB holds a bounded part of it and leaves the rest on disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from sluice_features.definitions import Definitions, View
from sluice_features.errors import invalid, unavailable
from sluice_features.memory import configure, too_little_memory
from sluice_features.normalising import NormalisingError, Shape, mismatches
from sluice_features.report import Violation
from sluice_features.sources.reading import Reading, Window, quoted

_INTERRUPTED = "Query interrupted"


class Stage:
    """A place for the rows of views, gone when it is closed."""

    def __init__(self, folder: Path) -> None:
        self._connection = duckdb.connect(str(folder / "stage.duckdb"))
        configure(self._connection, {"temp_directory": str(folder), "preserve_insertion_order": "false"})

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def load(self, table: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        """A new table with these rows."""
        self._connection.from_arrow(schema.empty_table()).create(table)
        for batch in batches:
            self._connection.from_arrow(pa.Table.from_batches([batch])).insert_into(table)

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """A statement without an answer."""
        self._connection.execute(sql, list(parameters))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """A small answer."""
        return self._connection.execute(sql, list(parameters)).fetchall()

    def batches(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """An answer of any size. Nothing else may be asked before its end."""
        yield from self._connection.sql(sql).to_arrow_reader(rows)


@contextmanager
def staging() -> Iterator[Stage]:
    """A stage in the folder for temporary files (TMPDIR); raises as `kept` does."""
    with (
        tempfile.TemporaryDirectory(prefix="sluice-features-") as folder,
        kept(),
        closing(Stage(Path(folder))) as stage,
    ):
        yield stage


@contextmanager
def kept() -> Iterator[None]:
    """Turn what DuckDB raises about rows that it keeps into what to do about it.

    Raises:
        FeaturesError: FeaturesUnavailable where the disk is full, FeaturesInvalid where DuckDB cannot go on for another
            reason.
        KeyboardInterrupt: which DuckDB turns into an error of its own while it answers a query.
    """
    try:
        yield
    except RuntimeError as error:
        if str(error) == _INTERRUPTED:
            raise KeyboardInterrupt from error
        raise
    except duckdb.OutOfMemoryException as error:
        raise too_little_memory(error) from error
    except duckdb.IOException as error:
        words = " ".join(str(error).split())
        raise unavailable(f"rows are kept in {tempfile.gettempdir()} while they are checked: {words}") from error
    except duckdb.Error as error:
        raise invalid(f"DuckDB cannot check the rows: {' '.join(str(error).split())}") from error


@dataclass(frozen=True, slots=True)
class Staged:
    """A view's rows in a stage, in their one shape."""

    stage: Stage
    view: View
    shape: Shape
    table: str

    @property
    def keys(self) -> str:
        """The key columns, as SQL."""
        return ", ".join(map(quoted, self.shape.keys))

    @property
    def latest(self) -> str:
        """The table with the latest row of each key, once `choose_latest` has made it."""
        return quoted(f"sluice_latest_{self.view.name}")

    @property
    def has_values(self) -> str:
        """True of a row that has a value of any feature, as SQL."""
        return "(" + " OR ".join(f"{quoted(feature.name)} IS NOT NULL" for feature in self.view.features) + ")"

    @property
    def order(self) -> str:
        """Which of several rows of a key comes first: the latest; of those, what was written last."""
        return ", ".join(f"{quoted(moment)} DESC NULLS LAST" for moment in self.shape.moments)


def stage_view(
    definitions: Definitions, view: View, reading: Reading, window: Window, stage: Stage
) -> Staged | list[Violation]:
    """Read a view. What its columns break by their mere type is told in place of rows.

    Raises:
        FeaturesError: as the source raises it.
    """
    given = reading.schema
    if found := _drift(definitions, view, given):
        return found
    shape = Shape.of(definitions, view, given)
    table = quoted(f"sluice_{view.name}")
    batches = reading.batches(view.columns, view.timestamp, window)
    try:
        stage.load(table, shape.schema, map(shape.normalised, batches))
    except NormalisingError as error:
        return [Violation(view=view.name, column=error.column, rule=error.rule, message=error.message)]
    if condition := window.condition(quoted(view.timestamp), zone=False):
        # Rows without a moment stay, for the checks to find.
        stage.run(f"DELETE FROM {table} WHERE NOT ({condition})")  # noqa: S608 quoted
    return Staged(stage, view, shape, table)


def choose_latest(staged: Staged) -> int:
    """Keep the latest row of each key in a table of its own; the answer is how many there are."""
    first = f"row_number() OVER (PARTITION BY {staged.keys} ORDER BY {staged.order}) = 1"
    # By their numbers: rows of many columns would not be sorted in the memory that there is.
    numbers = f"SELECT rowid FROM {staged.table} QUALIFY {first}"  # noqa: S608
    staged.stage.run(f"CREATE TABLE {staged.latest} AS FROM {staged.table} WHERE rowid IN ({numbers})")
    return int(staged.stage.rows(f"SELECT count(*) FROM {staged.latest}")[0][0])  # noqa: S608


def extra_columns(view: View, reading: Reading) -> list[str]:
    """Columns of the source that the view does not name."""
    return sorted(set(reading.schema) - set(view.columns))


def _drift(definitions: Definitions, view: View, given: Any) -> list[Violation]:
    missing = [
        Violation(view=view.name, column=name, rule="missing", message="the source has no such column")
        for name in view.columns
        if name not in given
    ]
    changed = [
        Violation(view=view.name, column=name, rule="type", message=message)
        for name, message in mismatches(definitions, view, given)
    ]
    return missing + changed
