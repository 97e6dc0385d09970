"""Training rows in the form in which the model takes them: inputs, target, and which of them are held out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sluice.contract import FeatureReferences, Variable
from sluice.model import Columns, Model
from sluice_training import describing
from sluice_training.data import columns, rows
from sluice_training.errors import TrainingError
from sluice_training.plan import Plan
from sluice_training.splitting import held_out


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows; `out` is the mask of those held out. `keys`: columns that say whom a row is about."""

    table: pa.Table
    inputs: dict[str, NDArray[Any]]
    target: NDArray[Any]
    targets: Sequence[str]
    keys: Sequence[str]
    out: NDArray[np.bool_]
    variables: Mapping[str, Variable] = field(default_factory=dict)

    def chosen(self, mask: NDArray[np.bool_]) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """Inputs and target of some rows."""
        return rows(self.inputs, mask), self.target[mask]

    @property
    def first(self) -> dict[str, NDArray[Any]]:
        """The inputs of one row, for what is asked of types alone."""
        return rows(self.inputs, np.arange(len(self.target)) < 1)

    def beside(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Columns of the held-out rows, whether they are inputs or not."""
        return rows(columns(self.table, names), self.out)


def targets_of(kind: type[Model]) -> list[str]:
    """The columns that a class predicts.

    Raises:
        TrainingError: it says none.
    """
    said: object = kind.target
    targets = [said] if isinstance(said, str) else list(said) if isinstance(said, Collection) else []
    if not targets or not all(targets):
        raise TrainingError(f'{kind.__name__} says no target; set it in the class: target = "COLUMN"')
    return targets


def rows_of(model: Model, table: pa.Table, references: FeatureReferences | None, plan: Plan) -> Rows:
    """The rows of a table for a model.

    Raises:
        TrainingError: a column is missing, or a value is not what the class declares.
    """
    targets, entities = targets_of(type(model)), _entities(references, table)
    keys = tuple(plan.keys) or entities
    names = _input_names(model, table, {"target": targets, "key": (*keys, *entities)}, plan.timestamp)
    inputs = columns(table, [name for name in names if name in table.column_names])
    if model.clock and model.clock.input not in inputs:
        inputs[model.clock.input] = _clock(table, model.clock.input, plan.timestamp)
    variables = _variables(model, inputs)
    return Rows(
        table=table,
        inputs=describing.impute(inputs, variables),
        target=_target(table, targets),
        targets=targets,
        keys=keys,
        out=held_out(table, plan.test_share, plan.seed, keys=keys, timestamp=plan.timestamp),
        variables=variables,
    )


def _entities(references: FeatureReferences | None, table: pa.Table) -> tuple[str, ...]:
    """Columns by which features are looked up: no inputs, whatever rows are split by."""
    entities = references.entities if references else ()
    return tuple(entity.name for entity in entities if entity.name in table.column_names)


def _input_names(model: Model, table: pa.Table, roles: Mapping[str, Sequence[str]], timestamp: str | None) -> list[str]:
    clock = model.clock.input if model.clock else None
    times = [timestamp] if timestamp else []
    known = {*table.column_names, clock}
    asked = {**roles, "timestamp": times, "input": model.inputs or (), "slice": model.slices, "group": model.groups}
    for role, names in asked.items():
        if missing := [name for name in names if name not in known]:
            has = ", ".join(table.column_names[:50])
            raise TrainingError(f"the data has no column {missing[0]!r}, which is to be {role}; it has {has}")
    used = {*(name for names in roles.values() for name in names), *times}
    wanted = [name for name in table.column_names if name not in used] if model.inputs is None else list(model.inputs)
    if leaked := [name for name in wanted if name in roles["target"]]:
        raise TrainingError(f"{leaked[0]!r} is the target and an input; leave it out of the inputs")
    if not wanted:
        raise TrainingError("no column is left to be an input")
    return [*wanted, *([clock] if clock and clock not in wanted else [])]


def _clock(table: pa.Table, name: str, timestamp: str | None) -> NDArray[Any]:
    if timestamp is None:
        raise TrainingError(f"the clock fills {name!r}: say with --timestamp which column is the time of a row")
    return columns(table, [timestamp])[timestamp]


def _target(table: pa.Table, targets: Sequence[str]) -> NDArray[Any]:
    for name in targets:
        if missing := table.column(name).null_count:
            raise TrainingError(f"{missing} rows have no {name!r}, which is the target; leave them out of the data")
    found = columns(table, targets)
    if len(targets) == 1:
        only = found[targets[0]]
        return only.astype(np.int64) if only.dtype == np.bool_ else only
    if text := [name for name, values in found.items() if values.dtype == np.object_]:
        raise TrainingError(f"target {text[0]!r} is text; several targets must be numbers")
    return np.column_stack([values.astype(np.float64) for values in found.values()])


def _variables(model: Model, inputs: Columns) -> dict[str, Variable]:
    """By name of the variable: what is declared, and what the rows show."""
    said = {variable.name: variable for variable in model.variables}
    if unknown := [name for name, variable in said.items() if variable.tensor not in inputs]:
        raise TrainingError(f"variable {unknown[0]!r} is of no input; inputs are {', '.join(inputs)}")
    clock = model.clock.input if model.clock else None
    found = {name: describing.inferred(name, values) for name, values in inputs.items() if name != clock}
    merged = {name: describing.declared(found.get(name), variable) for name, variable in said.items()}
    return {name: variable for name, variable in (found | merged).items() if variable is not None}
