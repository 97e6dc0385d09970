"""A ModelDeployment as the operator reads it: identity, spec and status, parsed once at the edge."""

from dataclasses import dataclass
from typing import Any

from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import ModelDeploymentStatus

GROUP = "sluice.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"
NAME_MAX = 40
"""Longest name of a ModelDeployment: its longest child is `<name>-resolve-<10 hex>`, and a label holds 63."""


@dataclass(frozen=True)
class ModelDeployment:
    """One resource; `resource_version` guards status writes against stale caches."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus

    @classmethod
    def parse(cls, body: dict[str, Any]) -> "ModelDeployment":
        """Parse an object as the API server returns it; raises pydantic.ValidationError where it is malformed."""
        metadata = body["metadata"]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            resource_version=metadata.get("resourceVersion", ""),
            spec=ModelDeploymentSpec.model_validate(body["spec"]),
            status=ModelDeploymentStatus.model_validate(body.get("status") or {}),
        )
