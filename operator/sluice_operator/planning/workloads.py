"""The objects of one revision: its record, its pods and the name the router finds them by.

Built from the revision's immutable record alone, so that they stay the same while the spec moves on. Roles (stable,
canary) never appear here: a promotion restarts nothing. `replicas` never appears either: counts go through /scale.
"""

from typing import Any

from sluice.config import (
    CONFIG_ENV,
    PACKAGE_MOUNT,
    SIGNATURE_MOUNT,
    Batching,
    Limits,
    RuntimeConfig,
    Signature,
    Store,
)
from sluice.uri import parse_uri
from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.model import KeyRef
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.scalars import seconds
from sluice_operator.planning import accelerators, features
from sluice_operator.planning.observed import RevisionRecord
from sluice_operator.planning.pod_template import FETCH, RESTRICTED, RUNTIME, merge

PORT = 8080
GRPC_PORT = 8081
CREDENTIALS_VOLUME = "credentials"
CLAIM_VOLUME = "claim"
SIGNATURE_VOLUME = "signature"
PUBLIC_KEY_FILE = "public-key.pem"
TRUST_FILE = "trust.json"
PRE_STOP_SECONDS = 35
"""How long a stopping pod serves on: a removed address must have left every router first, and cluster DNS may hold it
for 30 s (the time to live that kubeadm sets)."""
GRACE_SECONDS = 90


def manifests(owner: ModelDeployment, record: RevisionRecord) -> tuple[Manifest, ...]:
    """Record, Service, Deployment and disruption budget of a revision."""
    return (
        controller_revision(owner, record),
        headless_service(owner, record),
        deployment(owner, record),
        disruption_budget(owner, record),
    )


def controller_revision(owner: ModelDeployment, record: RevisionRecord) -> Manifest:
    """The immutable record, from which the pods can be planned again when the spec has moved on."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": names.metadata(owner, names.model(owner.name, record.revision), "model", record.revision),
        "revision": 1,
        "data": record.content(),
    }


def headless_service(owner: ModelDeployment, record: RevisionRecord) -> Manifest:
    """The name under which the router finds the revision's ready pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.metadata(owner, names.model(owner.name, record.revision), "model", record.revision),
        "spec": {
            "clusterIP": "None",
            "selector": names.labels(owner.name, "model", record.revision),
            "ports": [
                {"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"},
                {"name": "grpc", "port": GRPC_PORT, "targetPort": GRPC_PORT, "protocol": "TCP"},
            ],
        },
    }


def disruption_budget(owner: ModelDeployment, record: RevisionRecord) -> Manifest:
    """Lets node drains take a tenth of a revision's pods at a time, and always one: a single pod holds no node back.

    One for each revision, so that a canary that does not get ready is not counted against stable; pods that serve
    nothing may always go.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": names.metadata(owner, names.model(owner.name, record.revision), "model", record.revision),
        "spec": {
            "maxUnavailable": "10%",
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.labels(owner.name, "model", record.revision)},
        },
    }


def deployment(owner: ModelDeployment, record: RevisionRecord) -> Manifest:
    """The revision's pods."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": names.metadata(owner, names.model(owner.name, record.revision), "model", record.revision),
        "spec": {
            "selector": {"matchLabels": names.labels(owner.name, "model", record.revision)},
            "revisionHistoryLimit": 0,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "template": pod_template(owner.name, record),
        },
    }


def pod_template(name: str, record: RevisionRecord) -> dict[str, Any]:
    """Template of a model pod: an init step that fetches and verifies the package, then one serving process."""
    base = base_pod_spec(record)
    pod = {
        "metadata": {"labels": names.labels(name, "model", record.revision)},
        "spec": {
            **base,
            "volumes": [*base["volumes"], *features.volumes(record.features)],
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "initContainers": [fetch_container(name, record, FETCH, "sluice_runtime.fetch")],
            "containers": [_runtime_container(name, record)],
        },
    }
    return merge(pod, record.runtime.pod_template)


def base_pod_spec(record: RevisionRecord) -> dict[str, Any]:
    """What model pods and the resolver have in common: no cluster rights, no privileges, the volumes of the package."""
    identity = {"serviceAccountName": record.service_account} if record.service_account else {}
    return {
        **identity,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
        "volumes": _volumes(record),
    }


def _volumes(record: RevisionRecord) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [{"name": "package", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    if record.credentials:
        volumes.append({"name": CREDENTIALS_VOLUME, "secret": {"secretName": record.credentials}})
    if mounted := _signature_file(record):
        items = [{"key": mounted[0].key, "path": mounted[1]}]
        volumes.append({"name": SIGNATURE_VOLUME, "secret": {"secretName": mounted[0].name, "items": items}})
    claim = parse_uri(record.uri).claim
    if claim:
        volumes.append({"name": CLAIM_VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    return volumes


def _signature_file(record: RevisionRecord) -> tuple[KeyRef, str] | None:
    """What signatures are checked with: where it is kept, and the file it becomes."""
    signature = record.signature
    if signature and signature.public_key:
        return signature.public_key.secret_ref, PUBLIC_KEY_FILE
    trust = signature.keyless.trust if signature and signature.keyless else None
    return (trust.secret_ref, TRUST_FILE) if trust else None


def fetch_container(
    name: str, record: RevisionRecord, container: str, module: str, known_uri: str = ""
) -> dict[str, Any]:
    """The step that downloads and verifies; the only one that sees credentials, keys and the claim.

    `known_uri`: what a reference stood for when it was last looked at.
    """
    config = runtime_config(name, record).model_copy(update={"known_uri": known_uri or None, "features": None})
    mounts = [*_package_mounts(read_only=False)]
    if record.credentials:
        mounts.append({"name": CREDENTIALS_VOLUME, "mountPath": config.credentials_dir, "readOnly": True})
    if _signature_file(record):
        mounts.append({"name": SIGNATURE_VOLUME, "mountPath": SIGNATURE_MOUNT, "readOnly": True})
    if parse_uri(record.uri).claim:
        mounts.append({"name": CLAIM_VOLUME, "mountPath": config.volume_dir, "readOnly": True})
    return {
        "name": container,
        "image": record.image,
        "command": ["python", "-m", module],
        "env": [{"name": CONFIG_ENV, "value": config.to_env_value()}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": mounts,
    }


def _runtime_container(name: str, record: RevisionRecord) -> dict[str, Any]:
    return {
        "name": RUNTIME,
        "image": record.image,
        "command": ["python", "-m", "sluice_runtime"],
        "env": [{"name": CONFIG_ENV, "value": runtime_config(name, record).to_env_value()}],
        # gRPC's port is not listed: the list only informs, and a longer one would restart the pods that exist.
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": accelerators.resources(record.runtime),
        "securityContext": RESTRICTED,
        "volumeMounts": [*_package_mounts(read_only=True), *features.mounts(record.features)],
        "startupProbe": {**_probe("/readyz"), "periodSeconds": 1, "failureThreshold": 600},
        "readinessProbe": {**_probe("/readyz"), "periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**_probe("/livez"), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
    }


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 2}


def _package_mounts(*, read_only: bool) -> list[dict[str, Any]]:
    return [
        {"name": "package", "mountPath": PACKAGE_MOUNT, **({"readOnly": True} if read_only else {})},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 the container's own emptyDir
    ]


def runtime_config(name: str, record: RevisionRecord) -> RuntimeConfig:
    """The contract between operator and model pod, rendered into one environment variable."""
    batching = record.runtime.batching
    return RuntimeConfig(
        name=name,
        revision=record.revision,
        uri=record.uri,
        digest=record.digest or None,
        batching=Batching(max_size=batching.max_size, max_delay_seconds=seconds(batching.max_delay)),
        providers=accelerators.providers(record.runtime),
        limits=Limits(max_package_bytes=record.max_bytes),
        store=Store(endpoint=record.endpoint),
        signature=_signature(record),
        features=features.settings(record.features),
    )


def _signature(record: RevisionRecord) -> Signature | None:
    signature, mounted = record.signature, _signature_file(record)
    file = f"{SIGNATURE_MOUNT}/{mounted[1]}" if mounted else None
    if signature is None or signature.keyless is None:
        return Signature(public_key_file=file) if signature else None
    keyless = signature.keyless
    return Signature(identity=keyless.identity, issuer=keyless.issuer, trust_file=file)
