"""Every name and label of a child object, in one place, so that no two rooms spell one differently."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sluice_operator.api.resource import API_VERSION, KIND, ModelDeployment

FIELD_MANAGER = "sluice"
MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
DEPLOYMENT = "sluice.dev/deployment"
REVISION = "sluice.dev/revision"
CONFIG_VERSION = "sluice.dev/config-version"
WEIGHTS = "sluice.dev/weights"
APPLIED_HASH = "sluice.dev/applied-hash"


def short_hash(value: Any) -> str:
    """Ten hex digits of the canonical JSON's SHA-256."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def decided(weights: Mapping[str, int], version: str) -> dict[str, str]:
    """Annotations that stand beside the split: its weights, from which a lost status is rebuilt, and its version."""
    text = json.dumps(dict(sorted(weights.items())), separators=(",", ":"))
    return {WEIGHTS: text, CONFIG_VERSION: version}


def model(name: str, revision: str) -> str:
    """Deployment, headless Service, HPA and ControllerRevision of a revision."""
    return f"{name}-{revision}"


def router(name: str) -> str:
    """Deployment, ConfigMap and PodDisruptionBudget of the router."""
    return f"{name}-router"


def endpoint(name: str) -> str:
    """The Service that applications call."""
    return name


def preview(name: str) -> str:
    """The Service through which a new version is previewed."""
    return f"{name}-preview"


def route(name: str) -> str:
    """HTTPRoute and GRPCRoute at a gateway."""
    return name


def url(owner: ModelDeployment, service: str) -> str:
    """Where a Service of the router is called, within the cluster.

    At a gateway: under its first name, whose scheme is the listener's own; empty where it has none of its own.
    """
    if gateway := owner.spec.router.gateway:
        return next((f"//{name}" for name in gateway.hostnames if not name.startswith("*")), "")
    scheme = "https" if owner.spec.endpoint.tls else "http"
    return f"{scheme}://{service}.{owner.namespace}.svc"


def resolver(name: str, spec_hash: str) -> str:
    """The Job that resolves a URI to a digest."""
    return f"{name}-resolve-{spec_hash}"


def features(name: str) -> str:
    """The CronJob that fills the feature store."""
    return f"{name}-features"


def labels(name: str, component: str, revision: str | None = None) -> dict[str, str]:
    """Labels of a child. Model pods carry their revision and never a role, so that promotion restarts nothing."""
    common = {MANAGED_BY: "sluice", DEPLOYMENT: name, COMPONENT: component}
    return common if revision is None else {**common, REVISION: revision}


def owner_reference(owner: ModelDeployment) -> dict[str, Any]:
    """The explicit reference that makes deletion the garbage collector's work."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(owner: ModelDeployment, name: str, component: str, revision: str | None = None) -> dict[str, Any]:
    """Metadata of a child object."""
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": labels(owner.name, component, revision),
        "ownerReferences": [owner_reference(owner)],
    }
