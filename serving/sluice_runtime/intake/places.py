"""The inputs that need not come with a request: which of their columns are filled by the store, and which by the clock.

A value that is missing in a request (NaN, null, empty text, or an input that is not there at all) is filled in. One
that is there is used where the package says that requests win, and refuses the request otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sluice.contract import Clock, Feature
from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.intake.rules import Rule, column_of, is_optional, passes_missing, refused
from sluice_runtime.intake.values import BLANKABLE, Mask, blank, missing, numbers
from sluice_runtime.signature import NUMPY_TYPES, Tensor

_CLOCKS = frozenset({Datatype.INT64, Datatype.UINT64, Datatype.UINT32, Datatype.FP32, Datatype.FP64})
"""Datatypes that hold the seconds since 1970, in this century too; FP32 to two minutes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a feature goes. `column` is None where it is all of the input."""

    feature: str
    column: int | None
    wins: bool


@dataclass(slots=True)
class Gap:
    """Values of a tensor that a feature is to fill: in these rows, or, where `rows` is None, in all."""

    feature: str
    tensor: str
    column: int | None
    rows: Mask | None


class Filled:
    """An input of which something may be filled in. `sources`: by what; `optional`: a request may leave it out;
    `accepted`: it may also carry it; `needs_store`: it cannot carry all of it.

    Raises:
        PackageError: InvalidPackage, where it makes no sense for the input.
    """

    def __init__(
        self, spec: TensorSpec, features: Sequence[Feature], clock: Clock | None, rules: Sequence[Rule]
    ) -> None:
        self.spec = spec
        self._clock = clock
        self._places = [_place(feature, spec) for feature in features]
        self._width = spec.shape[1] if len(spec.shape) == 2 else None
        taken = {place.column for place in self._places}
        self._check(taken)
        own = [rule for rule in rules if rule.column not in taken and clock is None and is_optional(rule)]
        # Where a rule is about features' columns too, it sees itself what they have left open.
        self.imputed = [
            rule
            for rule in own
            if rule.impute is not None and not passes_missing(rule) and not (self._places and rule.column is None)
        ]
        left = {rule.column for rule in own}
        covered = clock is not None or None in left or taken | left >= self._columns()
        self.optional = covered and -1 not in spec.shape[1:]
        wins = clock.from_request if clock is not None else any(place.wins for place in self._places)
        self.needs_store = not all(place.wins for place in self._places)
        self.accepted = wins or (clock is None and taken < self._columns())
        # Of a graph that takes so many rows at a time and no others.
        self.fixed_rows = spec.shape[0] if self._places and spec.shape[0] != -1 else None
        self.sources = [
            *(["clock"] if clock is not None else []),
            *(["features"] if self._places else []),
            *(["contract"] if left else []),
        ]

    def made(self, rows: int, now: float) -> Tensor:
        """The tensor of an input that is not there, without its features."""
        shape = tuple(rows if size == -1 else size for size in self.spec.shape)
        dtype = NUMPY_TYPES[self.spec.datatype]
        if self._clock is not None:
            return np.full(shape, int(now) if dtype.kind in "iu" else now, dtype)
        tensor: Tensor = np.full(shape, blank(self.spec.datatype), dtype)
        for rule in self.imputed:
            (tensor if rule.column is None else tensor[:, rule.column])[...] = rule.impute
        return tensor

    def gaps(self) -> list[Gap]:
        """What features are to fill where the input is not there."""
        return [Gap(place.feature, self.spec.name, place.column, None) for place in self._places]

    def open(self, tensor: Tensor, now: float) -> tuple[Tensor, list[Gap]]:
        """What is still to be filled in a tensor that came, which may have to be copied for that.

        Raises:
            RequestError: INVALID, where it says what only the store or the clock may say.
        """
        if self._clock is not None:
            absent = self._absent(tensor, self._clock.from_request, "the time of the request")
            return (tensor if absent is None else np.where(absent, now, tensor).astype(tensor.dtype)), []
        gaps = []
        for place in self._places:
            values = tensor if place.column is None else tensor[:, place.column]
            absent = self._absent(values, place.wins, f"the feature {place.feature!r}", place.column)
            if absent is not None:
                gaps.append(Gap(place.feature, self.spec.name, place.column, None if absent.all() else absent))
        return (tensor.copy() if gaps else tensor), gaps

    def _absent(self, values: Tensor, wins: bool, what: str, column: int | None = None) -> Mask | None:
        """Which values are missing; None for none."""
        absent = missing(numbers(values, self.spec.datatype), self.spec.datatype)
        if not wins and values.size and (absent is None or not absent.all()):
            where = "" if column is None or self._width == 1 else f" (column {column})"
            message = (
                f"input {self.spec.name!r}{where} is {what}, which requests do not carry for this model; leave it out"
            )
            raise RequestError(Kind.INVALID, message)
        return absent if absent is not None and absent.any() else None

    def _columns(self) -> set[int | None]:
        return {None} if self._width is None else set(range(self._width))

    def _check(self, taken: set[int | None]) -> None:
        name, datatype = self.spec.name, self.spec.datatype
        if self._clock is not None:
            if datatype not in _CLOCKS:
                raise refused(name, f"a {datatype} cannot hold the time; INT64 and FP64 can")
            if self._places:
                raise refused(name, "it is the clock's, so no feature can go there")
            if len(self.spec.shape) > 1 and self.spec.shape[1:] != (1,):
                raise refused(name, f"the clock gives one value a row, and the shape is {list(self.spec.shape)}")
        if len(taken) < len(self._places) or (None in taken and len(self._places) > 1):
            raise refused(name, "two features go to the same place")
        if self._places and datatype is Datatype.BF16:
            raise refused(name, "features cannot go to BF16 inputs")
        if self._places and datatype not in BLANKABLE and taken < self._columns():
            raise refused(name, f"a {datatype} cannot be missing, so features fill all of its columns or none")


def filled_inputs(
    inputs: Sequence[TensorSpec], features: Sequence[Feature], clock: Clock | None, rules: Sequence[Rule]
) -> dict[str, Filled]:
    """Inputs of the model of which something is filled in.

    Raises:
        PackageError: InvalidPackage.
    """
    names = {spec.name for spec in inputs}
    for feature in features:
        if feature.tensor not in names:
            raise refused(feature.name, f"there is no input {feature.tensor!r}")
    found = {}
    for spec in inputs:
        here = [feature for feature in features if feature.tensor == spec.name]
        its_rules = [rule for rule in rules if rule.spec.name == spec.name]
        ticks = clock if clock is not None and clock.input == spec.name else None
        filled = Filled(spec, here, ticks, its_rules)
        if filled.sources:
            found[spec.name] = filled
    return found


def filled_in(tensors: Mapping[str, Tensor], gap: Gap, values: Any) -> Tensor:
    """The tensor with a feature's values in its gap."""
    tensor = tensors[gap.tensor]
    place = tensor if gap.column is None else tensor[:, gap.column]
    if gap.rows is None:
        place[...] = values
    else:
        place[gap.rows] = np.asarray(values)[gap.rows]
    return tensor


def _place(feature: Feature, spec: TensorSpec) -> Place:
    if not spec.shape or len(spec.shape) > 2:
        raise refused(feature.name, f"input {spec.name!r} has the shape {list(spec.shape)}, and no value for each row")
    column = column_of(feature.name, spec, feature.column)
    if column is None and len(spec.shape) != 1:
        raise refused(feature.name, f"input {spec.name!r} has several columns, and none is named")
    return Place(feature.name, column, feature.request_wins)
