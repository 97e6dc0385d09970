"""The base of all API types: strict, camel-cased on the wire, snake-cased in Python."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Manifest = Mapping[str, Any]
"""A Kubernetes object as it goes over the wire."""


class ApiModel(BaseModel):
    """A part of the resource. Unknown fields are refused: none is silently ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, serialize_by_alias=True
    )

    def to_json(self) -> dict[str, Any]:
        """The wire form without unset optional fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """CEL rules for the CRD, as (rule, message) pairs."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}
