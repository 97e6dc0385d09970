"""`statistics.json`: what the values of every input and output looked like in training.

Whoever watches a model compares what it is asked, and what it answers, with this. Vectors are told column by column,
as NAME[0], NAME[1] and so on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

QUANTILES = 21
"""At 0, 0.05, ..., 1."""

MAX_CATEGORIES = 1_000
"""The rest is counted as `other`, so that a column of free text makes no package large."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Histogram(_Strict):
    """`counts[i]` values are in [edges[i], edges[i + 1]); the last bin holds its upper edge, too."""

    edges: tuple[float, ...] = Field(min_length=2)
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.edges) != len(self.counts) + 1 or list(self.edges) != sorted(self.edges):
            raise ValueError("edges must ascend, and be one more than the counts")
        return self


class Numeric(_Strict):
    """`count` values were there, `missing` were not (NaN) or not finite; `std` divides by `count`."""

    kind: Literal["numeric"] = "numeric"
    count: int = Field(ge=1)
    missing: int = Field(ge=0)
    mean: float
    std: float = Field(ge=0)
    min: float
    max: float
    quantiles: tuple[float, ...] = Field(min_length=QUANTILES, max_length=QUANTILES)
    histogram: Histogram


class Categorical(_Strict):
    """`categories`: how often each value was there, the most frequent first; `other`: how often all the rest was."""

    kind: Literal["categorical"] = "categorical"
    count: int = Field(ge=0)
    missing: int = Field(ge=0)
    categories: dict[str, int] = Field(default_factory=dict, max_length=MAX_CATEGORIES)
    other: int = Field(default=0, ge=0)


Variation = Annotated[Numeric | Categorical, Field(discriminator="kind")]


class Statistics(_Strict):
    """Of `rows` training rows. A variable of which every value was missing is left out."""

    version: Literal[1] = 1
    rows: int = Field(ge=0)
    variables: dict[str, Variation] = Field(default_factory=dict)
    outputs: dict[str, Variation] = Field(default_factory=dict)


def load_statistics(path: Path) -> Statistics:
    """Read a `statistics.json`.

    Raises:
        OSError: it cannot be read. ValueError: it is none (pydantic.ValidationError).
    """
    return Statistics.model_validate_json(path.read_bytes())


def dump_statistics(statistics: Statistics) -> str:
    """The text of a `statistics.json`; equal statistics give equal text."""
    return statistics.model_dump_json(indent=1) + "\n"
