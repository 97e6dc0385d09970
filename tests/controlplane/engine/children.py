"""Small children of a ModelDeployment, as planning would write them."""

from typing import Any

from sluice_operator.api import names
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning.plan import Plan


def config_map(owner: ModelDeployment, name: str = "c", **data: str) -> dict[str, Any]:
    metadata = names.metadata(owner, name, "router")
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def service(owner: ModelDeployment, name: str = "s") -> dict[str, Any]:
    spec = {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": names.metadata(owner, name, "router"), "spec": spec}


def deployment(owner: ModelDeployment, name: str = "d", cpu: Any = "0.5", image: str = "img") -> dict[str, Any]:
    """No replicas: those go through /scale."""
    pods = {"a": name}
    container = {
        "name": "runtime",
        "image": image,
        "resources": {"requests": {"cpu": cpu, "memory": "1024Mi"}},
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "EMPTY", "value": ""}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": names.metadata(owner, name, "model", "abc"),
        "spec": {
            "selector": {"matchLabels": pods},
            "template": {"metadata": {"labels": pods}, "spec": {"containers": [container]}},
        },
    }


def record(owner: ModelDeployment, name: str = "r") -> dict[str, Any]:
    metadata = names.metadata(owner, name, "model", "abc")
    return {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "revision": 1, "data": {}}


def budget(owner: ModelDeployment, name: str = "b") -> dict[str, Any]:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}}
    metadata = names.metadata(owner, name, "router")
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


def job(owner: ModelDeployment, name: str = "j", image: str = "img") -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "resolve", "image": image}]}
    spec = {"backoffLimit": 3, "template": {"metadata": {"labels": {"j": name}}, "spec": pod}}
    metadata = names.metadata(owner, name, "resolver")
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def cron_job(owner: ModelDeployment, name: str = "t", schedule: str = "@daily") -> dict[str, Any]:
    spec = {"schedule": schedule, "suspend": False, "jobTemplate": {"spec": job(owner)["spec"]}}
    metadata = names.metadata(owner, name, "features")
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def autoscaler(owner: ModelDeployment, name: str = "h", target: str = "d") -> dict[str, Any]:
    utilization = {"type": "Utilization", "averageUtilization": 70}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}],
    }
    metadata = names.metadata(owner, name, "model", "abc")
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def one_of_each(owner: ModelDeployment) -> tuple[dict[str, Any], ...]:
    """A child of every kind."""
    kinds = (config_map, service, record, budget, deployment, job, autoscaler, cron_job)
    return tuple(kind(owner) for kind in kinds)


def plan(*objects: dict[str, Any], **more: Any) -> Plan:
    """A plan of these objects."""
    return Plan(status=ModelDeploymentStatus(), objects=objects, **more)
