"""A ModelDeployment as the operator reads it: identity, spec and status, parsed once at the edge."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sluice_operator.api.request import REQUEST
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
    """One resource. `request` is the text of a person's request (see `api.request`), `manager` is the field manager
    that changed the spec last.
    """

    spec: ModelDeploymentSpec
    request: str = ""
    manager: str = ""

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
        request = (metadata.get("annotations") or {}).get(REQUEST, "")
        return cls(**vars(reported), spec=spec, request=request, manager=spec_manager(metadata))


def spec_manager(metadata: Mapping[str, Any]) -> str:
    """The field manager that last changed what shapes pods; empty where the API server does not tell."""
    owners = sorted(spec_owners(metadata), key=lambda entry: str(entry.get("time", "")))
    return str(owners[-1].get("manager", "")) if owners else ""


def spec_owners(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The managed fields that tell who shaped the pods, without the list of every single field."""
    found = []
    for entry in metadata.get("managedFields") or []:
        owned = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        shaping: dict[str, dict[str, Any]] = {key: {} for key in ("f:model", "f:runtime") if key in owned}
        if set(owned.get("f:features") or ()) - {".", "f:materialization"}:
            shaping["f:features"] = {"f:store": {}}
        if shaping:
            found.append({**entry, "fieldsV1": {"f:spec": shaping}})
    return found


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
