"""The objects around the router's Envoy: pods that can be replaced under load, and the Service applications call."""

import math
from typing import Any

from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.endpoint import Endpoint, PlainHTTP
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.runtime import Resources
from sluice_operator.routing.envoy_config import bootstrap_version
from sluice_operator.routing.envoy_layout import (
    ADMIN_PORT,
    CONFIG_DIR,
    ENDPOINT_PORT,
    READ_ONLY_PORT,
    TLS_DIR,
    TLS_PORT,
)

USER = 65532
BOOTSTRAP = "sluice.dev/bootstrap-version"
"""Changes only when an operator upgrade changes what Envoy reads once at its start; never with the split."""

PROPAGATION_SECONDS = 10
"""How long a leaving router keeps taking new connections, until every node has heard that it leaves."""

DRAIN_SECONDS = 60
"""How long it may then wait for requests under way; also, how long connections outlive a listener that was changed. The
runtime's own deadline is shorter."""

GRACE_SECONDS = PROPAGATION_SECONDS + DRAIN_SECONDS + 10


def deployment(owner: ModelDeployment, image: str) -> Manifest:
    """The router's Deployment. Its template names nothing of the split, so that moving traffic restarts no router."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": names.metadata(owner, names.router(owner.name), "router"),
        "spec": {
            "selector": {"matchLabels": _labels(owner)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": _labels(owner), "annotations": {BOOTSTRAP: bootstrap_version()}},
                "spec": _pod(owner, image),
            },
        },
    }


def services(owner: ModelDeployment) -> tuple[Manifest, ...]:
    """What applications call, and what testers call where there is a preview."""
    preview = owner.spec.rollout.preview
    previewed = [names.preview(owner.name)] if preview and preview.service else []
    return tuple(_service(owner, name) for name in (names.endpoint(owner.name), *previewed))


def _service(owner: ModelDeployment, name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.metadata(owner, name, "router"),
        "spec": {
            "type": "ClusterIP",
            "selector": _labels(owner),
            "ports": _service_ports(owner.spec.endpoint),
        },
    }


def _service_ports(endpoint: Endpoint) -> list[dict[str, Any]]:
    plain = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}
    ports = [plain] if endpoint.http is PlainHTTP.enabled else []
    return ports + ([{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}] if endpoint.tls else [])


def disruption_budget(owner: ModelDeployment) -> Manifest:
    """Lets a node drain take one router at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": names.metadata(owner, names.router(owner.name), "router"),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _labels(owner)}},
    }


def _labels(owner: ModelDeployment) -> dict[str, str]:
    return names.labels(owner.name, "router")


def _pod(owner: ModelDeployment, image: str) -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": _apart(owner),
        "containers": [_container(owner, image)],
        "volumes": [{"name": "config", "configMap": {"name": names.router(owner.name)}}, *_certificate(owner)],
    }


def _certificate(owner: ModelDeployment) -> list[dict[str, Any]]:
    """The certificate's Secret; a router without it starts, and answers without TLS where that is allowed."""
    tls = owner.spec.endpoint.tls
    return [{"name": "tls", "secret": {"secretName": tls.secret_ref.name, "optional": True}}] if tls else []


def _container(owner: ModelDeployment, image: str) -> dict[str, Any]:
    resources, tls = owner.spec.router.resources, owner.spec.endpoint.tls
    return {
        "name": "envoy",
        "image": image,
        "command": ["envoy"],
        "args": _arguments(resources),
        "ports": [
            {"name": "http", "containerPort": ENDPOINT_PORT, "protocol": "TCP"},
            *([{"name": "https", "containerPort": TLS_PORT, "protocol": "TCP"}] if tls else []),
            {"name": "read-only", "containerPort": READ_ONLY_PORT, "protocol": "TCP"},
        ],
        "resources": resources.to_json(),
        "readinessProbe": _probe("/ready", period=1, failures=3),
        # Not /ready: a router that drains says no there, and must not be killed for it.
        "livenessProbe": _probe("/stats?filter=server.live", period=10, failures=3),
        "lifecycle": {"preStop": {"exec": {"command": ["bash", "-c", DRAIN]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True},
            *([{"name": "tls", "mountPath": TLS_DIR, "readOnly": True}] if tls else []),
        ],
    }


def _arguments(resources: Resources) -> list[str]:
    """One worker without a CPU limit, else one for each CPU of it.

    Envoy would start one for each CPU of the host, each with its own memory, upstream connections and view of who is
    least loaded. Hot restart needs a writable /dev/shm and a pod never uses it.
    """
    workers = max(1, math.ceil(_cpus(resources.limits.get("cpu", "1"))))
    return [
        *("--config-path", f"{CONFIG_DIR}/bootstrap.yaml"),
        *("--concurrency", str(workers)),
        *("--log-level", "warning"),
        "--disable-hot-restart",
        *draining(DRAIN_SECONDS),
    ]


def draining(seconds: int) -> tuple[str, ...]:
    """What was open before a listener changed, who may ask among it, goes by the old one: to its next answer, and for
    `seconds` at most. By default that would be ten minutes.
    """
    return "--drain-strategy", "immediate", "--drain-time-s", str(seconds)


def _cpus(quantity: str) -> float:
    """CPUs of a Kubernetes quantity; CPU is only ever written in units or thousandths."""
    return float(quantity.removesuffix("m")) / 1000 if quantity.endswith("m") else float(quantity)


def _probe(path: str, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "read-only"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _apart(owner: ModelDeployment) -> dict[str, Any]:
    """Asks for different nodes, and accepts one node where there is only one."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": _labels(owner)}}
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def drain_script(admin_port: int, propagation: int, drain: int) -> str:
    """What a leaving router runs before it is told to stop: a sleep alone would cut keep-alive connections.

    Envoy ends at once on SIGTERM. Failing its health check makes it close each connection after its answer while it
    still serves new ones, so callers move to other routers by themselves; then requests under way are waited for.
    bash speaks to the admin port itself, because images with Envoy carry no HTTP client.
    """
    return f"""\
admin() {{
  exec 3<>/dev/tcp/127.0.0.1/{admin_port}
  printf '%s %s HTTP/1.1\\r\\nHost: admin\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n' "$1" "$2" >&3
  while IFS= read -r line <&3; do printf '%s\\n' "$line"; done
  exec 3>&-
}}
admin POST /healthcheck/fail
sleep {propagation}
for _ in $(seq {drain}); do
  [[ $(admin GET '/stats?filter=http.endpoint.downstream_rq_active') == *'downstream_rq_active: 0'* ]] && exit 0
  sleep 1
done
"""


DRAIN = drain_script(ADMIN_PORT, PROPAGATION_SECONDS, DRAIN_SECONDS)
