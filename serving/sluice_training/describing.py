"""What training data show of every variable: its statistics, and what a request may say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sluice.contract import OnViolation, Variable
from sluice.manifest import explain
from sluice.model import Columns
from sluice.statistics import MAX_CATEGORIES, QUANTILES, Categorical, Histogram, Numeric, Statistics, Variation
from sluice_training.errors import TrainingError

BINS = 20
MAX_KNOWN = 100
"""Different texts, up to which those that training saw are all that requests may say."""


def statistics(inputs: Columns, outputs: Columns) -> Statistics:
    """Statistics of training rows and of what the model answers to them."""
    rows = max((len(array) for array in inputs.values()), default=0)
    return Statistics(rows=rows, variables=_variations(inputs), outputs=_variations(outputs))


def inferred(name: str, values: NDArray[Any]) -> Variable | None:
    """What a request may say of a variable, going by training data; None: anything.

    Numbers may lie outside what training saw by as much as that is wide, but not below zero where none did: a thousand
    times too much is a mistake, a little more is business. Text must be known, where there are few different ones.
    Missing values are allowed where training had some.
    """
    if values.ndim != 1 or values.dtype.kind == "b":
        return None
    if values.dtype == np.object_:
        known = sorted({text for text in values if text})
        few = tuple(known) if 0 < len(known) <= min(MAX_KNOWN, max(2, len(values) // 2)) else None
        nullable = bool((values == "").any())
        return Variable(name=name, categories=few, nullable=nullable) if few or nullable else None
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    nullable = bool(np.isnan(numbers).any())
    if not len(finite) or finite.min() == finite.max():
        return Variable(name=name, nullable=True) if nullable else None
    low, high = float(finite.min()), float(finite.max())
    width = high - low
    minimum, maximum = max(0.0, low - width) if low >= 0 else low - width, high + width
    if not np.isfinite([minimum, maximum]).all():
        return Variable(name=name, nullable=True) if nullable else None
    return Variable(
        name=name,
        minimum=_rounded(minimum, width, ROUND_FLOOR),
        maximum=_rounded(maximum, width, ROUND_CEILING),
        nullable=nullable,
    )


def _rounded(bound: float, width: float, outward: str) -> float:
    """A bound as one would write it, as it is an estimate: to six digits of the width of what lies within, outward."""
    step = Decimal(1).scaleb(Decimal(width).adjusted() - 5)
    return float((Decimal(bound) / step).to_integral_value(outward) * step)


def declared(found: Variable | None, said: Variable) -> Variable:
    """What a class declares of a variable, and for the rest what its data show.

    Raises:
        TrainingError: the two do not go together.
    """
    fields = {name: getattr(said, name) for name in said.model_fields_set}
    try:
        return Variable.model_validate({**(found.model_dump() if found else {}), **fields})
    except ValidationError as error:
        raise TrainingError(f"variable {said.name!r}: {explain(error)}") from error


def allows(variable: Variable, value: Any) -> bool:
    """Whether a variable may have a value."""
    array = np.array([value], dtype=np.object_ if isinstance(value, str) else np.float64)
    return not _violations(array, variable).any()


def told(variable: Variable) -> str:
    """What a variable may be, in words."""
    if variable.categories is not None:
        return f"one of {', '.join(map(str, variable.categories))}"
    bounds = {"at least": variable.minimum, "at most": variable.maximum}
    return ", ".join(f"{bound} {value}" for bound, value in bounds.items() if value is not None)


def impute(inputs: Columns, variables: Mapping[str, Variable]) -> dict[str, NDArray[Any]]:
    """Training rows as the runtime would hand them to the model: what is imputed there is imputed here.

    Raises:
        TrainingError: a row would be refused, because the class declares it or a missing value cannot be.
    """
    return {name: _held(array, variables[name]) if name in variables else array for name, array in inputs.items()}


def _held(values: NDArray[Any], variable: Variable) -> NDArray[Any]:
    wrong = _violations(values, variable)
    if variable.on_violation is OnViolation.FLAG or not wrong.any():
        return values
    if variable.on_violation is OnViolation.IMPUTE:
        return np.where(wrong, np.array(variable.impute, dtype=values.dtype), values)
    row = int(np.flatnonzero(wrong)[0])
    raise TrainingError(
        f"{int(wrong.sum())} rows of the data violate what is declared of {variable.name!r}, the first of them row "
        f"{row} with {values.tolist()[row]!r}; correct the data, or declare onViolation: Flag or Impute, or nullable"
    )


def _violations(values: NDArray[Any], variable: Variable) -> NDArray[np.bool_]:
    text = values.dtype == np.object_
    missing = (values == "") if text else np.isnan(values.astype(np.float64))
    wrong = np.zeros(len(values), dtype=bool)
    if variable.categories is not None:
        wrong |= (
            ~np.isin(values.astype(str), [str(item) for item in variable.categories])
            if text
            else ~np.isin(values.astype(np.float64), np.array([float(item) for item in variable.categories]))
        )
    if not text and variable.minimum is not None:
        wrong |= values < variable.minimum
    if not text and variable.maximum is not None:
        wrong |= values > variable.maximum
    return np.asarray((wrong & ~missing) | (missing & (not variable.nullable)), dtype=bool)


def _variations(columns: Columns) -> dict[str, Variation]:
    found = {name: _variation(values) for name, values in _flat(columns)}
    return {name: variation for name, variation in found.items() if variation is not None}


def _flat(columns: Columns) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, values in columns.items():
        if values.ndim == 1:
            yield name, values
        else:
            wide = values.reshape(len(values), -1)
            yield from ((f"{name}[{column}]", wide[:, column]) for column in range(wide.shape[1]))


def _variation(values: NDArray[Any]) -> Variation | None:
    if values.dtype == np.object_ or values.dtype.kind in "bUS":
        return _categorical(["" if text is None else str(text) for text in values.tolist()])
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return None
    counts, edges = np.histogram(finite, bins=_edges(finite))
    return Numeric(
        count=len(finite),
        missing=len(numbers) - len(finite),
        mean=float(finite.mean()),
        std=float(finite.std()),
        min=float(finite.min()),
        max=float(finite.max()),
        quantiles=tuple(map(float, np.quantile(finite, np.linspace(0, 1, QUANTILES)))),
        histogram=Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts))),
    )


def _edges(finite: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = float(finite.min()), float(finite.max())
    edges = np.unique(np.linspace(low, high, BINS + 1))
    return edges if len(edges) > 1 else np.array([low, np.nextafter(low, np.inf)])


def _categorical(texts: list[str]) -> Categorical:
    counts = Counter(text for text in texts if text)
    kept = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_CATEGORIES]
    count = sum(counts.values())
    return Categorical(
        count=count,
        missing=len(texts) - count,
        categories=dict(kept),
        other=count - sum(number for _, number in kept),
    )
