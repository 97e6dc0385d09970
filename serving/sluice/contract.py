"""What a package says of the values it is asked with: the data contract, and where values come from that callers leave
out. All of it is a part of `model.yaml`; the runtime holds requests against it.

A variable is one input of the model, or one column of an input that has several.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    model_validator,
)

_Text = Annotated[str, Field(max_length=1024)]
_Name = Annotated[str, Field(min_length=1, max_length=256)]
Value = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=1024)]
"""A value of a variable, as YAML has it: the text "yes" is no truth, and 1 is a number."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class OnViolation(StrEnum):
    """What becomes of a value that is missing or not allowed.

    Reject: the request is refused and told which value it is. Impute: `impute` is used in its place. Flag: the value is
    used as it is. Impute and Flag are told in the answer; all three are counted.
    """

    REJECT = "Reject"
    IMPUTE = "Impute"
    FLAG = "Flag"


class Variable(_Strict):
    """What the values of one variable may be. Missing: NaN, null, empty text, or an input that is not there at all."""

    name: _Name
    # None: the input that is called as the variable is.
    input: _Name | None = None
    # None: all of the input.
    column: int | None = Field(default=None, ge=0)
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[Value, ...] | None = Field(default=None, min_length=1, max_length=4096)
    # Whether the model itself knows what to do with a missing value.
    nullable: bool = False
    on_violation: OnViolation = Field(default=OnViolation.REJECT, alias="onViolation")
    impute: Value | None = None
    unit: _Text | None = None
    description: _Text | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.impute is None) == (self.on_violation is OnViolation.IMPUTE):
            raise ValueError("impute is the value for onViolation: Impute, and for nothing else")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("minimum is larger than maximum")
        return self

    @property
    def tensor(self) -> str:
        """The input it belongs to."""
        return self.input or self.name


class Clock(_Strict):
    """An input that the runtime fills with the time of the request: seconds since 1970, UTC, the same for every row.

    Values derived from time (a store's age from its opening date) are computed from it by the model's own
    preprocessing, so that a replayed sample, which carries it like any other input, gives what it gave in training.
    `fromRequest`: callers may state a time of their own ("as of"); otherwise a request that does is refused.
    """

    input: _Name
    from_request: bool = Field(default=False, alias="fromRequest")


class Entity(_Strict):
    """A key under which the feature store knows features, and the request's input that carries it."""

    name: _Name
    # None: the input that is called as the key is.
    input: _Name | None = None
    # As in the Open Inference Protocol; the shape is one value a row.
    datatype: Annotated[str, StringConstraints(pattern="^(BYTES|U?INT(8|16|32|64))$")] = "INT64"

    @property
    def tensor(self) -> str:
        """The input of requests that carries it."""
        return self.input or self.name


class Feature(_Strict):
    """A feature of the store, and where it goes in the model's inputs.

    `default`: used where the deployment asks for defaults. `maxAgeSeconds`: a value that is older counts as missing.
    `requestWins`: a request may carry the value itself, and it is then used in place of the store's.
    """

    name: _Name
    input: _Name | None = None
    column: int | None = Field(default=None, ge=0)
    default: Value | None = None
    max_age_seconds: float | None = Field(default=None, gt=0, alias="maxAgeSeconds")
    request_wins: bool = Field(default=False, alias="requestWins")

    @property
    def tensor(self) -> str:
        """The input it belongs to."""
        return self.input or self.name


_Named = TypeVar("_Named", Entity, Feature)


def _unique(items: tuple[_Named, ...]) -> tuple[_Named, ...]:
    names = [item.name for item in items]
    if len(names) != len(set(names)):
        raise ValueError(f"names repeat: {names}")
    return items


class FeatureReferences(_Strict):
    """Which features a model was trained with: a service of the store, its keys, and the places of its values."""

    service: _Name
    entities: Annotated[tuple[Entity, ...], FailFast(), AfterValidator(_unique)] = Field(min_length=1, max_length=16)
    features: Annotated[tuple[Feature, ...], FailFast(), AfterValidator(_unique)] = Field(min_length=1, max_length=4096)
