"""A ModelDeployment as the operator reads it: identity, spec and status, parsed once at the edge."""

import logging
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import ModelDeploymentStatus

log = logging.getLogger(__name__)

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
            status=_parse_status(body.get("status") or {}),
        )


def _parse_status(status: dict[str, Any]) -> ModelDeploymentStatus:
    """A status that cannot be read counts as lost, and is rebuilt from what the routers carry."""
    try:
        return ModelDeploymentStatus.model_validate(status)
    except ValidationError as error:
        log.warning("status cannot be read and is rebuilt: %s", error)
        return ModelDeploymentStatus()
