"""A search over the parameters that a class declares: seeded candidates, compared by cross-validation on training rows.

The rows held out for the evaluation are not looked at, so that the winner's metrics stay honest.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice_training.errors import TrainingError
from sluice_training.fitting import Parameters

FOLDS = 5

Loss = Callable[[Parameters, NDArray[np.bool_]], float]
"""Of a model with these parameters, fitted on the other rows of a mask and judged on its rows."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Parameters, and how they did: mean and standard deviation of the loss over the folds."""

    parameters: Parameters
    loss: float
    spread: float


@dataclass(frozen=True, slots=True)
class Search:
    """What was tried, the best first."""

    candidates: tuple[Candidate, ...]
    of: int

    @property
    def winner(self) -> Candidate:
        """The one with the least loss; of equal ones that which came first."""
        return self.candidates[0]

    def lines(self) -> Iterator[str]:
        """A table for people."""
        yield f"{len(self.candidates)} of {self.of} candidates, by cross-validation in {FOLDS} parts:"
        for place, candidate in enumerate(self.candidates, 1):
            said = " ".join(f"{name}={value}" for name, value in candidate.parameters.items()) or "(no parameters)"
            yield f"{place:>4}  loss {candidate.loss:<12.6g} +- {candidate.spread:<10.3g} {said}"


def defaults(declared: Mapping[str, Sequence[Any]]) -> Parameters:
    """The parameters that are used without a search.

    Raises:
        TrainingError: a parameter has no values.
    """
    for name, values in declared.items():
        if isinstance(values, str) or not hasattr(values, "__len__") or not len(values):
            raise TrainingError(f"parameters[{name!r}] must be a list of values to choose among, not {values!r}")
    return {name: values[0] for name, values in declared.items()}


def drawn(declared: Mapping[str, Sequence[Any]], count: int, seed: int) -> tuple[list[Parameters], int]:
    """At most `count` different candidates, the defaults among them; and how many there are in all."""
    usual, total = defaults(declared), 1
    for values in declared.values():
        total *= len(values)
    if total <= count:
        every = itertools.product(*declared.values())
        return [dict(zip(declared, values, strict=True)) for values in every], total
    # Numbers of candidates rather than candidates: a grid may have more than any memory.
    numbers = random.Random(seed).sample(range(1, total), count - 1)  # noqa: S311 it shall be predictable
    return [usual, *(_numbered(declared, number) for number in sorted(numbers))], total


def search(candidates: Sequence[Parameters], of: int, folds: NDArray[np.int64], loss: Loss) -> Search:
    """Judge every candidate on every fold. One whose loss is no number, somewhere, comes after all others.

    Raises:
        TrainingError: none has a loss that is a number.
    """
    tried = []
    for parameters in candidates:
        losses = [loss(parameters, folds == fold) for fold in np.unique(folds)]
        tried.append(Candidate(parameters, float(np.mean(losses)), float(np.std(losses))))
    if all(math.isnan(candidate.loss) for candidate in tried):
        raise TrainingError("no candidate of the search has a loss that is a number: what all of them predict is NaN")
    return Search(tuple(sorted(tried, key=lambda candidate: (math.isnan(candidate.loss), candidate.loss))), of)


def _numbered(declared: Mapping[str, Sequence[Any]], number: int) -> Parameters:
    chosen = {}
    for name, values in reversed(list(declared.items())):
        number, place = divmod(number, len(values))
        chosen[name] = values[place]
    return {name: chosen[name] for name in declared}
