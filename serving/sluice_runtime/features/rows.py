"""What the store knows under one key, and how it is read out of an answer of Feast's feature server.

Feast 0.67 says less than it seems to. Over Redis an entity that it does not know comes as PRESENT, with null for a
value and 1970 for a time; a null in a row that is there comes as PRESENT, too; and a view's `ttl` makes nothing too
old. So it is the value and its time that are believed, and a status only where it says that something is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Row:
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
        columns = _columns(body, len(keys))
        self._compare(columns, keys)
        missing = [name for name in self._features if name not in columns]
        if missing:
            raise AnswerError(f"the service has no feature {missing[0]!r}")
        held = {name: _held(column, len(keys)) for name, column in columns.items() if name not in self._entities}
        known = map(any, zip(*held.values(), strict=True))
        read = [self._feature(columns[name], place, now, len(keys)) for place, name in enumerate(self._features)]
        values, until = zip(*(part[0] for part in read), strict=True), zip(*(part[1] for part in read), strict=True)
        own = zip(*(held[name] for name in self._features), strict=True)
        return [_row(*row) for row in zip(values, until, known, own, strict=True)]

    def _compare(self, columns: Mapping[str, _Column], keys: Sequence[Key]) -> None:
        """The store repeats the keys it was asked with; rows in another order would be other entities' features."""
        for name, place in self._entities.items():
            column = columns.get(name)
            if column is not None and any(
                str(given) != str(key[place]) for given, key in zip(column.values, keys, strict=True)
            ):
                raise AnswerError(f"it is about other keys of {name!r} than it was asked for")

    def _feature(self, column: _Column, place: int, now: float, rows: int) -> tuple[list[Converted], list[float]]:
        convert, most = self._converters[place], self._ages[place]
        values = [
            None if status in _NOTHING else convert(value)
            for value, status in zip(column.values, column.statuses, strict=True)
        ]
        if most is None:
            until = [math.inf] * rows
        else:
            times = map(_seconds, column.times or [None] * rows)
            until = [_young_until(time, most, now) for time in times]
        for row, status in enumerate(column.statuses):
            if status == "OUTSIDE_MAX_AGE":
                until[row] = -math.inf
        return values, until


@dataclass(frozen=True, slots=True)
class _Column:
    values: list[Any]
    statuses: list[str]
    # None: an answer without times.
    times: list[Any] | None


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
    if not _STATUSES.issuperset(statuses):
        raise AnswerError("it has a status that Feast has not")
    return _Column(values, statuses, times)


def _held(column: _Column, rows: int) -> list[bool]:
    """In which rows there is something: a value, or a null that has a time."""
    times = column.times or [None] * rows
    return [
        status != "NOT_FOUND" and (value is not None or _seconds(time) is not None)
        for value, status, time in zip(column.values, column.statuses, times, strict=True)
    ]


def _row(values: tuple[Converted, ...], until: tuple[float, ...], known: bool, held: tuple[bool, ...]) -> Row:
    plain = not any(value is None or isinstance(value, Unusable) for value in values)
    return Row(values, until, min(until) if plain else -math.inf, known, held)


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
