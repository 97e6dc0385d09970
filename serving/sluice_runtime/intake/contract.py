"""The data contract: every variable of a request is held against what the package says of it.

Requests are small and right nearly always, so a few values are compared one by one, which costs less than a single
call into numpy; only what does not pass is looked at a second time, by what is wrong with it and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from sluice.contract import OnViolation, Variable
from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.intake.rules import MISSING, Check, Rule, refused, rule_of
from sluice_runtime.intake.values import Mask, numbers
from sluice_runtime.signature import Tensor

Count = Callable[[str, str, str, int], None]
"""Is told of violations: variable, rule, action, how many values."""

Stored = Mapping[tuple[str, int | None], Mask | None]
"""What the feature store has filled in: columns of inputs, and the rows, or None for all."""

_FEW = 64
"""Values that are compared one by one: from here on numpy is faster."""

_TOLD = 10
"""Violations of a request that are named; the others are counted."""

_VALUE_LENGTH = 64

_PASSES = Check(-np.inf, np.inf, None, nullable=True)


class Contract:
    """What a model's variables may be.

    Raises:
        PackageError: InvalidPackage, where a variable does not fit the inputs.
    """

    def __init__(self, variables: Sequence[Variable], inputs: Sequence[TensorSpec]) -> None:
        by_name = {spec.name: spec for spec in inputs}
        self.rules = tuple(rule_of(variable, by_name) for variable in variables)
        self._check_once()
        groups: dict[str, list[Rule]] = {}
        for rule in self.rules:
            groups.setdefault(rule.spec.name, []).append(rule)
        self._groups = [Group(rules) for rules in groups.values()]

    def settle(self, tensors: dict[str, Tensor], found: Findings) -> None:
        """Hold complete tensors against the contract; what is to be imputed is put into `tensors`."""
        for group in self._groups:
            tensor = tensors[group.name]
            if not group.passes(tensor):
                tensors[group.name] = group.settle(tensor, found)

    def _check_once(self) -> None:
        names: set[str] = set()
        places: set[tuple[str, int | None]] = set()
        for rule in self.rules:
            if rule.variable.name in names:
                raise refused(rule.variable.name, "there are two variables of this name")
            clash = {(rule.spec.name, None), rule.place} if rule.column is not None else {rule.place}
            whole = rule.column is None and any(name == rule.spec.name for name, _ in places)
            if whole or places & clash:
                raise refused(rule.variable.name, f"another variable stands for the same values of {rule.spec.name!r}")
            names.add(rule.variable.name)
            places.add(rule.place)


class Group:
    """The variables of one input."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.name = rules[0].spec.name
        self._datatype = rules[0].spec.datatype
        self._rules = rules
        self._checks = _checks(rules)
        self._pass = _pass_text if self._datatype is Datatype.BYTES else _pass_numbers
        self._plain = self._datatype is not Datatype.BF16

    def passes(self, tensor: Tensor) -> bool:
        """True where a few values are all as they should be; False where one has to look closer."""
        if tensor.size > _FEW:
            return False
        values = (tensor if self._plain else numbers(tensor, self._datatype)).ravel().tolist()
        return self._pass(values, self._checks if len(values) == len(self._checks) else cycle(self._checks))

    def settle(self, tensor: Tensor, found: Findings) -> Tensor:
        """Note what is wrong; the tensor as it is, or with what is imputed."""
        given, settled = numbers(tensor, self._datatype), None
        for rule in self._rules:
            values = given if rule.column is None else given[:, rule.column]
            for offence, mask in rule.offences(values):
                found.add(rule, offence, values, mask)
                if rule.variable.on_violation is OnViolation.IMPUTE:
                    # What a caller sent may lie in memory that nobody writes to.
                    settled = tensor.copy() if settled is None else settled
                    (settled if rule.column is None else settled[:, rule.column])[mask] = rule.impute
        return tensor if settled is None else settled


class Findings:
    """What was found in one request. `stored` is to be said before a contract is settled."""

    def __init__(self, count: Count) -> None:
        self.stored: Stored = {}
        self._count = count
        self._told: list[str] = []
        self._refused = 0
        self._of_the_store = True
        self._noted: dict[tuple[str, str], int] = {}

    def add(self, rule: Rule, offence: str, values: Tensor, mask: Mask) -> None:
        """Some values of a variable offend."""
        amount = int(np.count_nonzero(mask))
        variable, action = rule.variable, rule.variable.on_violation
        self._count(variable.name, offence, action.value.lower(), amount)
        if action is not OnViolation.REJECT:
            self.note(variable.name, "imputed" if action is OnViolation.IMPUTE else "flagged", amount)
            return
        self._refused += amount
        stored = self._stored(rule, values)
        self._of_the_store &= not (mask & ~stored).any()
        for place in np.argwhere(mask)[: _TOLD - len(self._told)].tolist():
            value = values[tuple(place)]
            # What the store knows is not every caller's to know.
            known = "what the feature store has " if stored[tuple(place)] else f"{_short(value)} "
            shown = "" if offence == MISSING else known
            self._told.append(f"variable {variable.name!r}{_where(place)}: {shown}{rule.reason(offence, value)}")

    def _stored(self, rule: Rule, values: Tensor) -> Mask:
        """Which of a variable's values the store has filled in."""
        found = np.zeros(values.shape, np.bool_)
        for (name, column), rows in self.stored.items():
            if (name, column) == rule.place:
                found[...] = True if rows is None else rows
            elif name == rule.spec.name and rule.column is None:
                found[:, column] = True if rows is None else rows
        return found

    def absent(self, rule: Rule, rows: int) -> None:
        """A variable was left out, and its value is imputed in all rows."""
        self._count(rule.variable.name, MISSING, "impute", rows)
        self.note(rule.variable.name, "imputed", rows)

    def note(self, variable: str, done: str, amount: int) -> None:
        """Something to tell the caller beside the prediction."""
        self._noted[variable, done] = self._noted.get((variable, done), 0) + amount

    def told(self) -> list[str]:
        """Notes for the caller, by variable.

        Raises:
            RequestError: INVALID, naming what is refused; FEATURES where the store alone is at fault.
        """
        if self._refused:
            more = self._refused - len(self._told)
            words = "; ".join([*self._told, *([f"and {more} more"] if more > 0 else [])])
            if self._of_the_store:
                raise RequestError(Kind.FEATURES, f"the feature store's values break the model's contract: {words}")
            raise RequestError(Kind.INVALID, words)
        return [f"{variable}={done}({amount})" for (variable, done), amount in self._noted.items()]


def _checks(rules: Sequence[Rule]) -> list[Check]:
    """One for each column, or one for all values."""
    [width] = {rule.spec.shape[1] if rule.column is not None else 1 for rule in rules}
    checks = [_PASSES] * width
    for rule in rules:
        checks[rule.column or 0] = rule.check
    return checks


def _pass_numbers(values: list[Any], checks: Any) -> bool:
    for value, (low, high, allowed, nullable) in zip(values, checks):  # noqa: B905 - spelled out: every request comes here
        if low <= value <= high:
            if allowed is not None and value not in allowed:
                return False
        elif not nullable or value == value:  # noqa: PLR0124 - false for NaN alone
            return False
    return True


def _pass_text(values: list[Any], checks: Any) -> bool:
    for value, (_, _, allowed, nullable) in zip(values, checks):  # noqa: B905
        if not value:
            if not nullable:
                return False
        elif allowed is not None and value not in allowed:
            return False
    return True


def _where(place: list[int]) -> str:
    """Of values that are one a row only the row is worth a word."""
    if not place:
        return ""
    return f", row {place[0]}" + (f", place {place[1:]}" if len(place) > 1 else "")


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else f"{value}"
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}..."
