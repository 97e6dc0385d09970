"""What the store knows under one key, and how it is read out of an answer of Feast's feature server.

Feast 0.67 says less than it seems to. Over Redis an entity that it does not know comes as PRESENT, with null for a
value and 1970 for a time; a null in a row that is there comes as PRESENT, too; and a view's `ttl` makes nothing too
old. So it is the value and its time that are believed, and a status only where it says that something is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from sluice.contract import FeatureReferences
from sluice.manifest import Datatype
from sluice_runtime.features.conversion import Converted, Unusable, converter

Key = tuple[int | str, ...]
"""One entity: its keys in the order of the references."""

SKEW_SECONDS = 300.0
"""How far clocks may differ. A value that is from later than that has a time that tells nothing of its age."""

_NOTHING = frozenset({"NOT_FOUND", "NULL_VALUE"})
_STATUSES = frozenset({"PRESENT", "OUTSIDE_MAX_AGE", "INVALID", *_NOTHING})


class AnswerError(Exception):
    """An answer that is not what Feast answers; the message says in which way."""


class Row(NamedTuple):
    """The features of one entity, in the order of the references. None is a missing value.

    `until`: the time, in seconds since 1970, until which each value is young enough. `plain_until`: the same for the
    row as a whole, and the distant past where a value is missing or cannot be used. `known`: the store knows something
    of the entity; `held`: of which features it holds something, be it a null. Each view has entities of its own, so
    that one feature of a row is known says nothing of the next.
    """

    values: tuple[Converted, ...]
    until: tuple[float, ...]
    plain_until: float
    known: bool
    held: tuple[bool, ...]


class Reader:
    """Reads answers about one feature service."""

    def __init__(self, references: FeatureReferences, datatypes: Mapping[str, Datatype]) -> None:
        self._entities = {entity.name: place for place, entity in enumerate(references.entities)}
        self._features = tuple(feature.name for feature in references.features)
        self._converters = tuple(converter(datatypes[name]) for name in self._features)
        self._ages = tuple(feature.max_age_seconds for feature in references.features)

    def read(self, body: bytes, keys: Sequence[Key], now: float) -> list[Row]:
        """A row for each key. `now`: seconds since 1970.

        Raises:
            AnswerError: the answer is not about these keys and features.
        """
        rows = len(keys)
        columns = _columns(body, rows)
        self._compare(columns, keys)
        missing = [name for name in self._features if name not in columns]
        if missing:
            raise AnswerError(f"the service has no feature {missing[0]!r}")
        held = {name: _held(column, rows) for name, column in columns.items() if name not in self._entities}
        known = map(any, zip(*held.values(), strict=True))
        values = [self._values(columns[name], place) for place, name in enumerate(self._features)]
        until = [self._until(columns[name], place, now, rows) for place, name in enumerate(self._features)]
        own = [held[name] for name in self._features]
        turned = zip(zip(*values, strict=True), zip(*until, strict=True), known, zip(*own, strict=True), strict=True)
        return [_row(*row) for row in turned]

    def _compare(self, columns: Mapping[str, _Column], keys: Sequence[Key]) -> None:
        """The store repeats the keys it was asked with; rows in another order would be other entities' features."""
        for name, place in self._entities.items():
            column = columns.get(name)
            if column is not None and [*map(str, column.values)] != [str(key[place]) for key in keys]:
                raise AnswerError(f"it is about other keys of {name!r} than it was asked for")

    def _values(self, column: _Column, place: int) -> list[Converted]:
        convert = self._converters[place]
        if column.present:
            return [convert(value) for value in column.values]
        return [
            None if status in _NOTHING else convert(value)
            for value, status in zip(column.values, column.statuses, strict=True)
        ]

    def _until(self, column: _Column, place: int, now: float, rows: int) -> list[float]:
        most = self._ages[place]
        if most is None:
            until = [math.inf] * rows
        else:
            times = map(_seconds, column.times or [None] * rows)
            until = [_young_until(time, most, now) for time in times]
        if not column.present:
            for row, status in enumerate(column.statuses):
                if status == "OUTSIDE_MAX_AGE":
                    until[row] = -math.inf
        return until


class _Column(NamedTuple):
    """`present`: the store says so of all values. `times`: None in an answer without times."""

    values: list[Any]
    statuses: list[str]
    times: list[Any] | None
    present: bool


def _columns(body: bytes, rows: int) -> dict[str, _Column]:
    try:
        answer = orjson.loads(body)
        names, results = answer["metadata"]["feature_names"], answer["results"]
        if not isinstance(names, list) or not isinstance(results, list) or len(names) != len(results):
            raise AnswerError("it has not as many results as names")
        return {str(name): _column(result, rows) for name, result in zip(names, results, strict=True)}
    except orjson.JSONDecodeError as error:
        raise AnswerError("it is no JSON") from error
    except (LookupError, TypeError, AttributeError) as error:
        raise AnswerError(f"it has another form than Feast's ({type(error).__name__})") from error


def _column(result: Any, rows: int) -> _Column:
    values, statuses, times = result["values"], result["statuses"], result.get("event_timestamps")
    for part in (values, statuses) if times is None else (values, statuses, times):
        if not isinstance(part, list) or len(part) != rows:
            raise AnswerError(f"it does not have {rows} rows, as many as were asked for")
    present = statuses.count("PRESENT") == rows
    if not present and not _STATUSES.issuperset(statuses):
        raise AnswerError("it has a status that Feast has not")
    return _Column(values, statuses, times, present)


def _held(column: _Column, rows: int) -> list[bool]:
    """In which rows there is something: a value, or a null that has a time."""
    if column.present and None not in column.values:
        return [True] * rows
    times = column.times or [None] * rows
    return [
        status != "NOT_FOUND" and (value is not None or _seconds(time) is not None)
        for value, status, time in zip(column.values, column.statuses, times, strict=True)
    ]


def _row(values: tuple[Converted, ...], until: tuple[float, ...], known: bool, held: tuple[bool, ...]) -> Row:
    return Row(values, until, min(until) if _plain(values) else -math.inf, known, held)


def _plain(values: tuple[Converted, ...]) -> bool:
    for value in values:  # noqa: SIM110 - a third of what `any` takes for the few that a row has
        if value is None or type(value) is Unusable:
            return False
    return True


def _seconds(time: Any) -> float | None:
    """Seconds since 1970 of a time such as 2026-11-22T10:00:00.5Z; None where there is none, which Feast tells as 1970.

    Raises:
        AnswerError: it is no time.
    """
    if time is None or time == "1970-01-01T00:00:00Z":
        return None
    try:
        # Python reads up to six digits of a second from 3.11 on; Feast writes up to nine.
        found = datetime.fromisoformat(time)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError) as error:
        raise AnswerError("it has a time that is none") from error


def _young_until(time: float | None, most: float, now: float) -> float:
    return -math.inf if time is None or time > now + SKEW_SECONDS else time + most
