"""Brings what sources give into one shape, so that checks, the online store and training see the same values.

Whole numbers become INT64, reals FP64, moments microseconds in UTC without a zone; NaN and empty text become null.
Narrower types come last, after the checks have said that nothing is lost by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sluice_features.datatypes import Datatype, fits, is_time
from sluice_features.definitions import Definitions, View

MOMENT = pa.timestamp("us")

EXACT = 2**53
"""Whole numbers up to here have a FP64 of their own; a FP64 from here on may have been another number once."""

_EXACT_BY_BYTES = {2: 2**11, 4: 2**24, 8: EXACT}


class NormalisingError(Exception):
    """Values of a column that cannot be taken for what the column should hold. `rule`: the one that they break."""

    def __init__(self, column: str, message: str, rule: str = "type") -> None:
        super().__init__(message)
        self.column = column
        self.message = message
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a view in their one shape. `exact`: integers that the source gives as reals stay reals until the
    checks have looked at them.
    """

    moments: tuple[str, ...]
    keys: Mapping[str, Datatype]
    features: Mapping[str, Datatype]
    reals: frozenset[str]

    @classmethod
    def of(cls, definitions: Definitions, view: View, given: Mapping[str, pa.DataType]) -> Shape:
        """What a view's rows look like when they come from columns of these types."""
        moments = (view.timestamp,) if view.created is None else (view.timestamp, view.created)
        features = {feature.name: feature.type for feature in view.features}
        reals = frozenset(name for name in features if name in given and _is_real(given[name]))
        return cls(moments, dict(definitions.keys(view)), features, reals)

    @property
    def schema(self) -> pa.Schema:
        """Keys, moments, features."""
        keys = [(name, datatype.wide) for name, datatype in self.keys.items()]
        return pa.schema([*keys, *((name, MOMENT) for name in self.moments), *self._wide_features()])

    def _wide_features(self) -> Iterable[tuple[str, pa.DataType]]:
        for name, datatype in self.features.items():
            real = datatype.family == "integer" and name in self.reals
            yield name, pa.float64() if real else datatype.wide

    def normalised(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch in this shape.

        Raises:
            NormalisingError: values that are none of the column's type, such as a whole number beyond INT64.
        """
        schema = self.schema
        columns = [_column(batch.column(field.name), field) for field in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


def mismatches(definitions: Definitions, view: View, given: Mapping[str, pa.DataType]) -> Iterable[tuple[str, str]]:
    """Columns whose type in the source cannot hold what the definitions say, and why."""
    wanted = dict(definitions.keys(view)) | {feature.name: feature.type for feature in view.features}
    for name, datatype in wanted.items():
        if name in given and not fits(given[name], datatype):
            yield name, f"the source gives {given[name]}, and the definitions say {datatype.feast}"
    for name in dict.fromkeys((view.timestamp, view.created or view.timestamp)):
        if name in given and not is_time(given[name]) and not pa.types.is_null(given[name]):
            yield name, f"the source gives {given[name]}, and a time stamp is needed"


def _is_real(given: pa.DataType) -> bool:
    return bool(pa.types.is_floating(given) or pa.types.is_decimal(given))


def _column(values: pa.Array, field: pa.Field) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    try:
        return _of_type(values, field.type)
    except pa.ArrowException as error:
        raise NormalisingError(field.name, " ".join(str(error).split())) from error


def _of_type(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    if wanted == MOMENT:
        return as_moments(values)
    if wanted == pa.float64():
        # Beyond 2**53 a whole number has no FP64 of its own: for a real that is what reals are.
        real = values.cast(wanted, safe=False)
        return pc.if_else(pc.is_nan(real), pa.scalar(None, wanted), real)
    if wanted == pa.string():
        text = values.cast(wanted)
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, wanted), text)
    return as_whole(values, wanted) if wanted == pa.int64() else values.cast(wanted)


def as_whole(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Whole numbers, as keys are: two that were rounded to the same real would be one key.

    Raises:
        pa.ArrowInvalid: a value is no whole number, or a real that may have been rounded.
    """
    if pa.types.is_floating(values.type):
        limit = _EXACT_BY_BYTES[values.type.byte_width]
        if pc.any(pc.greater_equal(pc.abs(values.cast(pa.float64())), limit)).as_py():
            raise pa.ArrowInvalid(
                f"the source gives {values.type}s from {limit} on, which may have been rounded; give them as integers"
            )
    return values.cast(wanted)


def as_moments(values: pa.Array) -> pa.Array:
    """Moments and days of any form in the one that all of them are kept in."""
    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        # Arrow counts in UTC whatever the zone is called.
        values = values.cast(pa.timestamp(values.type.unit, "UTC")).cast(pa.timestamp(values.type.unit))
    # Nanoseconds are cut off: no store keeps them.
    return values.cast(MOMENT, safe=False) if pa.types.is_timestamp(values.type) else values.cast(MOMENT)
