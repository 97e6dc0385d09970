"""Which kinds of object the operator reads and writes, and where the API server keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice_operator.api.resource import API_VERSION, KIND, PLURAL
from sluice_operator.routing import gateway_api


@dataclass(frozen=True)
class Kind:
    """One kind of namespaced object."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Version within the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of a collection (`namespace` None: in all namespaces), an object or a subresource of it."""
        root = "/apis" if self.group else "/api"
        scope = [] if namespace is None else ["namespaces", namespace]
        rest = [part for part in (name, subresource) if part]
        return "/".join([root, self.api_version, *scope, self.plural, *rest])


MODEL_DEPLOYMENT = Kind(API_VERSION, KIND, PLURAL)
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE = Kind("v1", "Service", "services")
CONTROLLER_REVISION = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
JOB = Kind("batch/v1", "Job", "jobs")
CRON_JOB = Kind("batch/v1", "CronJob", "cronjobs")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
SECRET = Kind("v1", "Secret", "secrets")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
HTTP_ROUTE = Kind(gateway_api.API_VERSION, gateway_api.HTTP_ROUTE, "httproutes")
GRPC_ROUTE = Kind(gateway_api.API_VERSION, gateway_api.GRPC_ROUTE, "grpcroutes")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")

CHILDREN = (CONFIG_MAP, SERVICE, CONTROLLER_REVISION, DISRUPTION_BUDGET, DEPLOYMENT, JOB, AUTOSCALER, CRON_JOB)
"""Kinds of every cluster that the operator applies and prunes."""

ROUTES = (HTTP_ROUTE, GRPC_ROUTE)
"""Kinds that a cluster has where somebody has installed Gateway API."""

APPLIED = (*CHILDREN, *ROUTES)
"""Kinds the operator applies and prunes, in the order of writing: what is referred to comes first."""

WATCHED = (MODEL_DEPLOYMENT, *CHILDREN, POD)
"""Kinds the cache holds, in every cluster."""

_BY_TYPE = {(kind.api_version, kind.kind): kind for kind in APPLIED}


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """The kind of a child's manifest; raises KeyError for one that the operator does not manage."""
    return _BY_TYPE[manifest["apiVersion"], manifest["kind"]]
