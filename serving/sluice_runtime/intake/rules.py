"""One variable of the contract, made ready to be asked about: bounds and categories as its tensor's datatype has
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sluice.contract import OnViolation, Variable
from sluice.failures import PackageError, Reason
from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.intake.values import BLANKABLE, FLOATS, Mask, Stored, comparable, missing, stored
from sluice_runtime.signature import NUMPY_TYPES, Tensor

MISSING, RANGE, CATEGORY = "missing", "range", "category"
"""What a value can offend against; metrics tell them apart by these words."""

_SHOWN_CATEGORIES = 5


class Check(NamedTuple):
    """What one value is asked: a NaN is within no bounds, so it fails here unless it may be missing."""

    low: Any
    high: Any
    allowed: frozenset[Stored] | None
    nullable: bool


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A variable's place in the inputs and what its values may be. `column` is None where it is all of the input."""

    variable: Variable
    spec: TensorSpec
    column: int | None
    check: Check
    # The allowed values again, as numpy looks for them.
    listed: Tensor | None
    impute: Stored | None

    @property
    def place(self) -> tuple[str, int | None]:
        """Input and column."""
        return self.spec.name, self.column

    @property
    def example(self) -> Stored:
        """A value that keeps the rule."""
        if self.impute is not None:
            return self.impute
        low, high, allowed, _ = self.check
        if self.spec.datatype in (Datatype.BYTES, Datatype.BOOL) and allowed is None:
            return "a" if self.spec.datatype is Datatype.BYTES else False
        if allowed is not None:
            known = (comparable(value, self.spec.datatype) for value in self.variable.categories or ())
            kept = next(value for value in known if isinstance(value, str) or low <= value <= high)
            return stored(kept, self.spec.datatype)
        if self.spec.datatype not in FLOATS:
            lowest, highest = _limits(self.spec.datatype)
            low, high = low if math.isinf(low) else max(low, lowest), min(high, highest)
        least = low if math.isfinite(low) else min(high, 1)
        return stored(least if high <= least else min(high, least + 1), self.spec.datatype)

    def offences(self, values: Tensor) -> Iterator[tuple[str, Mask]]:
        """What is wrong with comparable values, and where, if anything is."""
        low, high, _, nullable = self.check
        absent, beyond = missing(values, self.spec.datatype), None
        if absent is not None and not nullable and absent.any():
            yield MISSING, absent
        if self.spec.datatype is not Datatype.BYTES:
            beyond = (values < low) | (values > high)
            if beyond.any():
                yield RANGE, beyond
        if self.check.allowed is not None:
            foreign = ~self._among(values, self.check.allowed)
            for mask in (absent, beyond):
                if mask is not None:  # a value offends once
                    foreign &= ~mask
            if foreign.any():
                yield CATEGORY, foreign

    def _among(self, values: Tensor, allowed: frozenset[Stored]) -> Mask:
        if self.listed is not None:
            return np.isin(values, self.listed)
        found = np.fromiter((value in allowed for value in values.flat), np.bool_, values.size)
        return found.reshape(values.shape)

    def reason(self, offence: str, value: Any) -> str:
        """What is wrong with a value, in words."""
        if offence == MISSING:
            return "is missing"
        if offence == CATEGORY:
            known = self.variable.categories or ()
            shown = ", ".join(str(item)[:64] for item in known[:_SHOWN_CATEGORIES])
            more = len(known) - _SHOWN_CATEGORIES
            return f"is none of {shown}{f' and {more} more' if more > 0 else ''}"
        if self.variable.minimum is not None and value < self.check.low:
            return f"is below {self.variable.minimum:g}"
        return f"is above {self.variable.maximum:g}"


def rule_of(variable: Variable, inputs: dict[str, TensorSpec]) -> Rule:
    """A variable of a model with these inputs.

    Raises:
        PackageError: InvalidPackage, where it makes no sense for its input.
    """
    spec = inputs[variable.tensor]
    column = column_of(variable.name, spec, variable.column)
    try:
        check = _check(variable, spec.datatype)
        impute = None if variable.impute is None else stored(variable.impute, spec.datatype)
    except ValueError as error:
        raise refused(variable.name, str(error)) from error
    counted = check.allowed is not None and spec.datatype is not Datatype.BYTES
    rule = Rule(variable, spec, column, check, np.array(sorted(check.allowed or ())) if counted else None, impute)
    if variable.impute is not None:
        held = np.array([comparable(variable.impute, spec.datatype)], _dtype(spec.datatype))
        if wrong := next(rule.offences(held), None):
            raise refused(variable.name, f"what is imputed, {variable.impute!r}, {rule.reason(wrong[0], held[0])}")
    return rule


def column_of(name: str, spec: TensorSpec, column: int | None) -> int | None:
    """The column, or None where the values are all that the input has: one a row.

    Raises:
        PackageError: InvalidPackage, where the input has no such column.
    """
    if column is None:
        return 0 if spec.shape[1:] == (1,) else None
    if len(spec.shape) == 1 and column == 0:
        return None
    if len(spec.shape) != 2 or spec.shape[1] == -1:
        raise refused(name, f"input {spec.name!r} has the shape {list(spec.shape)}, and no columns that can be told")
    if column >= spec.shape[1]:
        raise refused(name, f"input {spec.name!r} has {spec.shape[1]} columns, and none that is number {column}")
    return column


def refused(name: str, why: str) -> PackageError:
    """A package whose model.yaml contradicts itself."""
    return PackageError(Reason.INVALID_PACKAGE, f"model.yaml: {name!r}: {why}")


def is_optional(rule: Rule) -> bool:
    """True where a request may leave the value out: there is one to impute, or a way to say that there is none."""
    if rule.variable.on_violation is OnViolation.IMPUTE:
        return True
    return passes_missing(rule) or (rule.spec.datatype in BLANKABLE and rule.variable.on_violation is OnViolation.FLAG)


def passes_missing(rule: Rule) -> bool:
    """True where the model is given what is missing as it is, in place of what is imputed for wrong values."""
    return rule.variable.nullable and rule.spec.datatype in BLANKABLE


def _check(variable: Variable, datatype: Datatype) -> Check:
    bounds = variable.minimum, variable.maximum
    if datatype in (Datatype.BYTES, Datatype.BOOL) and bounds != (None, None):
        raise ValueError(f"{datatype} has no minimum and no maximum")
    if any(bound is not None and math.isnan(bound) for bound in bounds):
        raise ValueError("a bound is no number")
    low = -math.inf if variable.minimum is None else _bound(variable.minimum, datatype, math.ceil)
    high = math.inf if variable.maximum is None else _bound(variable.maximum, datatype, math.floor)
    allowed = None
    if variable.categories is not None:
        allowed = frozenset(comparable(value, datatype) for value in variable.categories)
    if datatype is not Datatype.BYTES:
        _check_some_value_passes(datatype, low, high, allowed)
    return Check(low, high, allowed, variable.nullable)


def _check_some_value_passes(datatype: Datatype, low: Any, high: Any, allowed: frozenset[Stored] | None) -> None:
    """A contract that nothing keeps would refuse every request."""
    least, most = (-math.inf, math.inf) if datatype in FLOATS else _limits(datatype)
    finite = low < math.inf and high > -math.inf
    if not finite or max(low, least) > min(high, most):
        raise ValueError(f"no {datatype} lies between minimum and maximum")
    if allowed is not None and not any(low <= value <= high for value in allowed if not isinstance(value, str)):
        raise ValueError("none of the categories lies between minimum and maximum")


def _limits(datatype: Datatype) -> tuple[int, int]:
    if datatype is Datatype.BOOL:
        return 0, 1
    limits = np.iinfo(NUMPY_TYPES[datatype])
    return int(limits.min), int(limits.max)


def _bound(bound: float, datatype: Datatype, whole: Any) -> Any:
    if datatype in FLOATS or math.isinf(bound):
        return comparable(bound, datatype) if datatype in FLOATS else bound
    return whole(bound)


def _dtype(datatype: Datatype) -> Any:
    return np.object_ if datatype is Datatype.BYTES else None
