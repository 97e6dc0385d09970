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
class Reported:
    """A resource as far as its status goes; `resource_version` guards status writes against stale caches."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    status: ModelDeploymentStatus


class SpecNotUnderstoodError(ValueError):
    """The spec has what this operator does not know: a CRD of another version than the operator let it in."""

    def __init__(self, resource: Reported, message: str) -> None:
        super().__init__(message)
        self.resource = resource


@dataclass(frozen=True)
class ModelDeployment(Reported):
    """One resource."""

    spec: ModelDeploymentSpec

    @classmethod
    def parse(cls, body: dict[str, Any]) -> "ModelDeployment":
        """Parse an object as the API server returns it; raises SpecNotUnderstoodError."""
        metadata = body["metadata"]
        reported = Reported(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            resource_version=metadata.get("resourceVersion", ""),
            status=_parse_status(body.get("status") or {}),
        )
        try:
            spec = ModelDeploymentSpec.model_validate(body["spec"])
        except ValidationError as error:
            raise SpecNotUnderstoodError(reported, _said(error)) from error
        return cls(**vars(reported), spec=spec)


def _said(error: ValidationError) -> str:
    """What is wrong, a field each, without the library's own wording around it."""
    faults = (f"spec.{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return "; ".join(faults)


def _parse_status(status: dict[str, Any]) -> ModelDeploymentStatus:
    """A status that cannot be read counts as lost, and is rebuilt from what the routers carry."""
    try:
        return ModelDeploymentStatus.model_validate(status)
    except ValidationError as error:
        log.warning("status cannot be read and is rebuilt: %s", error)
        return ModelDeploymentStatus()
