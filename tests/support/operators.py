"""Which operators run, and which of them acts."""

from __future__ import annotations

from support.kube import Kube, Object

OPERATOR = "app.kubernetes.io/component=operator"
LEASE = "sluice"
REPLICAS = 2
"""The chart's own number."""


def running(system: Kube) -> list[Object]:
    """The operators' pods that are not on their way out."""
    return [pod for pod in system.select("pod", OPERATOR) if "deletionTimestamp" not in pod["metadata"]]


def holder(lease: Object) -> str:
    """The name of the pod that holds the operators' Lease; empty where none does."""
    return str(lease["spec"].get("holderIdentity", "")).partition("_")[0]


def leader(system: Kube) -> str:
    """The name of the pod that acts; waits for one."""
    names = {pod["metadata"]["name"] for pod in running(system)}
    return holder(system.until("lease", LEASE, lambda found: holder(found) in names))


def stop(system: Kube) -> None:
    """End all operators, and return when none is left."""
    scale(system, 0)
    system.run("wait", "pod", f"--selector={OPERATOR}", "--for=delete", "--timeout=60s", timeout=90)


def scale(system: Kube, replicas: int = REPLICAS) -> None:
    """Change the number of operators."""
    system.run("scale", "deployment/sluice", f"--replicas={replicas}")
