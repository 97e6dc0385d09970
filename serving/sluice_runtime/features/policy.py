"""What becomes of features that are missing, too old, or not to be had: an error, the declared default, or a missing
value that the model is made for. Never a wrong answer in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.config import FeatureLookup
from sluice.contract import Feature, FeatureReferences
from sluice.failures import PackageError, Reason
from sluice.manifest import Datatype
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.features.client import StoreError, Trouble
from sluice_runtime.features.conversion import Unusable, can_be_missing, column, converter
from sluice_runtime.features.rows import Key, Row
from sluice_runtime.signature import Tensor

MISSING, STALE, OUTAGE, CROWDED = "missing", "stale", "outage", "crowded"

_MOST_NOTES = 32
_SHOWN = 64

Count = Callable[[str, str, int], None]
Wanted = Mapping[str, NDArray[np.bool_] | None]
"""Names of features, and the rows in which each is to be had; None: in all. In others the request has it."""

_Found = Row | StoreError | None
_Asked = tuple[Key, _Found]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Features of a request: one value a row, in the datatype of the input that each goes to.

    `notes`: what a caller should know, such as `size=default(outage:2)`, 2 being the rows, or, where there is no
    default and the model takes missing values, `size=missing(stale:1)`.
    """

    values: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


class Policy:
    """Decides by the deployment's `onMissing` and `onOutage` and the features' defaults.

    `nullable`: features whose place in the inputs may be NaN or empty: a null of the store's is a value of theirs.
    """

    def __init__(
        self,
        lookup: FeatureLookup,
        references: FeatureReferences,
        datatypes: Mapping[str, Datatype],
        nullable: Collection[str],
        count: Count,
    ) -> None:
        self._features = references.features
        self._entities = tuple(entity.name for entity in references.entities)
        self._places = {feature.name: place for place, feature in enumerate(references.features)}
        self._datatypes = datatypes
        self._defaults = {feature.name: _default(feature, datatypes[feature.name]) for feature in references.features}
        self._blanks = {name: None if can_be_missing(datatype) else 0 for name, datatype in datatypes.items()}
        self._nullable = frozenset(name for name in nullable if can_be_missing(datatypes[name]))
        self._defaulted = {
            MISSING: lookup.on_missing == "Default",
            STALE: lookup.on_missing == "Default",
            OUTAGE: lookup.on_outage == "Default",
            CROWDED: lookup.on_outage == "Default",
        }
        self._count = count

    def fetched(
        self, keys: Sequence[Key], found: Mapping[Key, Row | StoreError], wanted: Wanted, now: float
    ) -> Fetched:
        """The wanted features of these entities, one a row. `now`: seconds since 1970.

        In rows in which a feature is not wanted its value means nothing, and what the store says there decides nothing.

        Raises:
            RequestError: UNKNOWN, where the store knows nothing of an entity; FEATURES, where a feature cannot be had;
                STORE, where that is for want of an answer.
        """
        rows = [found.get(key) for key in keys]
        places = [self._places[name] for name in wanted]
        if all(type(row) is Row and now < row.plain_until for row in rows):
            return Fetched({name: self._plain(rows, name, place) for name, place in zip(wanted, places, strict=True)})
        asked = list(zip(keys, rows, strict=True))
        self._refuse_unknown(asked, wanted.values())
        notes: list[str] = []
        values = {name: self._column(_within(asked, mask), name, now, notes) for name, mask in wanted.items()}
        return Fetched(values, _bounded(notes))

    def _plain(self, rows: Sequence[Any], name: str, place: int) -> Tensor:
        return column([row.values[place] for row in rows], self._datatypes[name])

    def _refuse_unknown(self, asked: Sequence[_Asked], masks: Collection[NDArray[np.bool_] | None]) -> None:
        if self._defaulted[MISSING]:
            return
        for key, row in _within(asked, united(masks)):
            if isinstance(row, Row) and not row.known:
                raise RequestError(Kind.UNKNOWN, f"the feature store knows no {self._told(key)}")

    def _column(self, asked: Sequence[_Asked], name: str, now: float, notes: list[str]) -> Tensor:
        values: list[Any] = []
        counts: dict[tuple[str, str], int] = {}
        for key, row in asked:
            value, reason = self._value(key, row, name, now)
            if reason is not None:
                value = self._instead(key, row, name, reason)
                kind = "missing" if value is None else "default"
                counts[kind, reason] = counts.get((kind, reason), 0) + 1
            values.append(value)
        for (kind, reason), rows in sorted(counts.items()):
            notes.append(f"{name}={kind}({reason}:{rows})")
            self._count(name, reason, rows)
        return column(values, self._datatypes[name])

    def _value(self, key: Key, row: _Found, name: str, now: float) -> tuple[Any, str | None]:
        """The store's value, and why it cannot be used, if it cannot."""
        if row is None:
            return self._blanks[name], None
        if isinstance(row, StoreError):
            return None, CROWDED if row.trouble is Trouble.CROWDED else OUTAGE
        place = self._places[name]
        value = row.values[place]
        if isinstance(value, Unusable):
            raise RequestError(Kind.FEATURES, f"feature {name!r} of {self._told(key)} {value.why}")
        if value is None:
            # A null that the store holds is a fact about the entity, for as long as a value would be.
            if not row.held[place] or name not in self._nullable:
                return None, MISSING
            if now < row.until[place]:
                return None, MISSING if self._replaces(MISSING, name) else None
        return value, STALE if now >= row.until[place] else None

    def _instead(self, key: Key, row: _Found, name: str, reason: str) -> Any:
        """What is used in place of a value, None being a missing one."""
        if self._replaces(reason, name):
            return self._defaults[name]
        if self._defaulted[reason] and name in self._nullable:
            return None
        if isinstance(row, StoreError):
            raise RequestError(Kind.STORE, f"{row.message}; feature {name!r} cannot be had")
        words = "has no value" if reason == MISSING else "has a value that is too old, or of no known age,"
        raise RequestError(Kind.FEATURES, f"feature {name!r} of {self._told(key)} {words} in the feature store")

    def _replaces(self, reason: str, name: str) -> bool:
        return self._defaulted[reason] and self._defaults[name] is not None

    def _told(self, key: Key) -> str:
        return ", ".join(f"{name} {str(value)[:_SHOWN]!s}" for name, value in zip(self._entities, key, strict=True))


def united(masks: Collection[NDArray[np.bool_] | None]) -> NDArray[np.bool_] | None:
    """The rows in which at least one feature is wanted; None for all."""
    partial = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(partial) if partial and len(partial) == len(masks) else None


def _within(asked: Sequence[_Asked], mask: NDArray[np.bool_] | None) -> Sequence[_Asked]:
    """Nothing was found in the other rows, whoever else asked for their keys."""
    if mask is None:
        return asked
    return [(key, row if inside else None) for (key, row), inside in zip(asked, mask.tolist(), strict=True)]


def _default(feature: Feature, datatype: Datatype) -> Any:
    if feature.default is None:
        return None
    value = converter(datatype)(feature.default)
    if value is None and feature.default == "" and datatype is Datatype.BYTES:
        return ""
    if value is None or isinstance(value, Unusable):
        why = value.why if isinstance(value, Unusable) else "is no value"
        raise PackageError(
            Reason.INVALID_PACKAGE, f"the default of feature {feature.name!r}, {feature.default!r}, {why}"
        )
    return value


def _bounded(notes: Sequence[str]) -> tuple[str, ...]:
    more = len(notes) - _MOST_NOTES
    return tuple(notes) if more <= 0 else (*notes[:_MOST_NOTES], f"and {more} more")
