"""The types that features and keys may have: by the protocol's names, in Arrow, in DuckDB and in Feast.

One table, so that what is checked, what is written and what training reads cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

KeyType = Literal["INT32", "INT64", "BYTES"]
ValueType = Literal["BOOL", "INT32", "INT64", "FP32", "FP64", "BYTES"]


@dataclass(frozen=True, slots=True)
class Datatype:
    """One type. `family`: what a source may give for it, see `fits`. `feast`: the names of its types of fields and of
    keys.
    """

    family: Literal["boolean", "integer", "real", "text"]
    arrow: pa.DataType
    duckdb: str
    feast: str

    @property
    def wide(self) -> pa.DataType:
        """The type of its family in which values are checked, before the narrower one is taken."""
        return _WIDE[self.family]


_WIDE = {"boolean": pa.bool_(), "integer": pa.int64(), "real": pa.float64(), "text": pa.string()}

DATATYPES: dict[str, Datatype] = {
    "BOOL": Datatype("boolean", pa.bool_(), "BOOLEAN", "Bool"),
    "INT32": Datatype("integer", pa.int32(), "INTEGER", "Int32"),
    "INT64": Datatype("integer", pa.int64(), "BIGINT", "Int64"),
    "FP32": Datatype("real", pa.float32(), "FLOAT", "Float32"),
    "FP64": Datatype("real", pa.float64(), "DOUBLE", "Float64"),
    "BYTES": Datatype("text", pa.string(), "VARCHAR", "String"),
}


def fits(given: pa.DataType, wanted: Datatype) -> bool:
    """Whether a source's column of this type can hold such values at all; the values themselves are checked later.

    Whole numbers may come as reals, since that is how many programs write those with gaps. Text is never a number: a
    column that turned to text has changed.
    """
    if pa.types.is_null(given):
        return True
    if pa.types.is_dictionary(given):
        return fits(given.value_type, wanted)
    if wanted.family == "boolean":
        return bool(pa.types.is_boolean(given))
    if wanted.family == "text":
        return is_text(given)
    return bool(pa.types.is_integer(given) or pa.types.is_floating(given) or pa.types.is_decimal(given))


def is_text(given: pa.DataType) -> bool:
    """Text in any of Arrow's layouts."""
    return bool(pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given))


def is_time(given: pa.DataType) -> bool:
    """A moment: a time stamp, taken as UTC where it names no zone, or a day, which is its first moment."""
    return bool(pa.types.is_timestamp(given) or pa.types.is_date(given))
