"""Whether anybody writes while a resource is at rest: the operator's own count, and what the API server keeps."""

from __future__ import annotations

import re
import time
from typing import Any

from support.cluster import Cluster
from support.deployments import KIND
from support.kube import Kube
from support.operators import running

KINDS = f"{KIND},deployments,services,configmaps,hpa,poddisruptionbudgets,controllerrevisions"
COUNTER = re.compile(r"^sluice_operator_api_writes_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)
LEASE = 'kind="Lease"'
METRICS_PORT = 8080
SETTLE_SECONDS = 180.0
QUIET_SECONDS = 5.0


def writes_during(cluster: Cluster, kube: Kube, selector: str, seconds: float) -> dict[str, Any]:
    """What was written within `seconds`, once the cluster has settled: the operator's counters that rose, and objects
    of the selector whose resourceVersion changed. Empty when nobody wrote anything.

    The operator's lease is left out: renewing it is how an operator says that it lives, with or without resources.
    Autoscalers are left out of the second part: their controller writes measured values into their status.
    """
    settle(cluster)
    counts, versions = operator_writes(cluster), resource_versions(kube, selector)
    time.sleep(seconds)
    later, afterwards = operator_writes(cluster), resource_versions(kube, selector)
    risen = {
        labels: later[labels] - counts.get(labels, 0) for labels in later if later[labels] != counts.get(labels, 0)
    }
    changed = {name: version for name, version in afterwards.items() if versions.get(name) != version}
    return risen | changed


def settle(cluster: Cluster) -> None:
    """Wait until the operator has written nothing for a few seconds: what was left of earlier work is done then."""
    deadline, before = time.monotonic() + SETTLE_SECONDS, operator_writes(cluster)
    while time.monotonic() < deadline:
        time.sleep(QUIET_SECONDS)
        now = operator_writes(cluster)
        if now == before and not namespaces_leaving(cluster):
            return
        before = now


def namespaces_leaving(cluster: Cluster) -> bool:
    """Whether a namespace is still being emptied: what is deleted in it makes the operator act, and rightly so."""
    return any(found["status"].get("phase") == "Terminating" for found in cluster.kube.select("namespace"))


def operator_writes(cluster: Cluster) -> dict[str, float]:
    """The operators' writes to the API so far, by pod and labels, without their lease."""
    counts: dict[str, float] = {}
    for name in (pod["metadata"]["name"] for pod in running(cluster.system)):
        path = f"/api/v1/namespaces/{cluster.system.namespace}/pods/{name}:{METRICS_PORT}/proxy/metrics"
        found = COUNTER.findall(cluster.system.raw(path))
        counts |= {f"{name} {labels}": float(count) for labels, count in found if LEASE not in labels}
    return counts


def resource_versions(kube: Kube, selector: str) -> dict[str, str]:
    """resourceVersion by kind and name, of children and owner, without autoscalers."""
    found = [*kube.select(KINDS, selector), *kube.select(KIND)]
    return {
        f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
        for one in found
        if one["kind"] != "HorizontalPodAutoscaler"
    }
