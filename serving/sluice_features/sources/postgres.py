"""PostgreSQL: one transaction that may only read, and a cursor of the server's, so that no table is ever in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa

from sluice_features.datatypes import is_time
from sluice_features.definitions import Definitions, View
from sluice_features.errors import invalid, unavailable
from sluice_features.normalising import NormalisingError
from sluice_features.sources.reading import Context, Window, batch_rows, quoted, selection, statement
from sluice_features.sources.types import Postgres

CONNECT_SECONDS = 15

# By the numbers that PostgreSQL's catalogue has for its own types.
_TYPES: dict[int, pa.DataType] = {
    16: pa.bool_(),
    21: pa.int16(),
    23: pa.int32(),
    20: pa.int64(),
    700: pa.float32(),
    701: pa.float64(),
    1700: pa.float64(),
    19: pa.string(),
    25: pa.string(),
    1042: pa.string(),
    1043: pa.string(),
    2950: pa.string(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
}
_NUMERIC = 1700
# numeric comes as Decimal, uuid as UUID.
_CONVERTED: dict[int, Callable[[Any], Any]] = {_NUMERIC: float, 2950: str}


class PostgresReading:
    """A selection in a connection. `whole`: columns in which a `numeric` is a whole number, and stays the one it is."""

    def __init__(self, connection: psycopg.Connection[Any], chosen: str, whole: Collection[str] = ()) -> None:
        self._connection, self._chosen = connection, chosen
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {chosen} LIMIT 0".encode())  # noqa: S608
            described = cursor.description or []
        self._codes = {column.name: column.type_code for column in described}
        self._whole = {name for name in whole if self._codes.get(name) == _NUMERIC}
        # What has no counterpart is no type that a feature may have.
        self.schema: Mapping[str, pa.DataType] = {
            name: pa.int64() if name in self._whole else _TYPES.get(code, pa.binary())
            for name, code in self._codes.items()
        }

    def batches(self, columns: tuple[str, ...], timestamp: str, window: Window) -> Iterator[pa.RecordBatch]:
        """Rows as the server gives them."""
        condition = window.condition(quoted(timestamp)) if is_time(self.schema[timestamp]) else ""
        schema = pa.schema([(name, self.schema[name]) for name in columns])
        with self._connection.cursor(name="sluice", binary=True) as cursor:
            rows_at_once = batch_rows(10 * len(columns))  # as Python's values they take ten times what Arrow's do
            cursor.execute(statement(self._chosen, columns, condition).encode())
            while rows := cursor.fetchmany(rows_at_once):
                yield pa.RecordBatch.from_arrays(self._arrays(rows, schema), schema=schema)

    def _arrays(self, rows: Sequence[Sequence[Any]], schema: pa.Schema) -> list[pa.Array]:
        listed = zip(*rows, strict=True)
        return [
            pa.array(self._converted(field.name, values), field.type)
            for field, values in zip(schema, listed, strict=True)
        ]

    def _converted(self, name: str, values: Sequence[Any]) -> Sequence[Any]:
        if name in self._whole:
            return whole_numbers(name, values)
        convert = _CONVERTED.get(self._codes[name])
        return values if convert is None else [None if value is None else convert(value) for value in values]


def whole_numbers(name: str, values: Sequence[Decimal | None]) -> list[int | None]:
    """A column of decimals, none of them rounded.

    Raises:
        NormalisingError: one is no whole number, or beyond INT64.
    """
    for value in values:
        if value is not None and not (value.is_finite() and -(2**63) <= value < 2**63 and value == int(value)):
            raise NormalisingError(name, f"the source gives {value}, which is no whole number that fits INT64")
    return [None if value is None else int(value) for value in values]


@contextmanager
def open_postgres(
    source: Postgres, definitions: Definitions, view: View, context: Context
) -> Iterator[PostgresReading]:
    """A view's rows in a database.

    Raises:
        FeaturesError: FeaturesInvalid for what the database refuses, FeaturesUnavailable where it does not answer.
    """
    dsn = context.secrets.filled(source.dsn)
    keys = [name for name, datatype in definitions.keys(view) if datatype.family == "integer"]
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS, application_name="sluice features") as connection:
            connection.read_only = True
            # One picture of the database for the columns and for all of the rows.
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SET TIME ZONE 'UTC'")
            yield PostgresReading(connection, selection(view.query, view.table), keys)
    except psycopg.OperationalError as error:
        raise unavailable(f"PostgreSQL does not answer: {context.secrets.scrubbed(error)}") from None
    except psycopg.Error as error:
        raise invalid(f"PostgreSQL refuses the query: {context.secrets.scrubbed(error)}") from None
