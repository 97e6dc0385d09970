"""A manifest that must be refused, and parts that manifests are made of."""

import json
from dataclasses import dataclass, field
from typing import Any

from controlplane.crd.definition import Answer, said_to
from support.kube import Kube

GOOD_URI = "https://models.example/store-revenue-1.tar.gz"


@dataclass(frozen=True)
class Refused:
    """A manifest that must be refused; every text of `told` must be in the answer."""

    case: str
    told: tuple[str, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    name: str = "store-revenue"

    def manifest(self) -> dict[str, Any]:
        return manifest({"model": {"uri": GOOD_URI, **self.model}, **self.spec}, self.name)

    def answer(self, kube: Kube) -> Answer:
        """What the API server says to it."""
        return said_to(kube, json.dumps(self.manifest()))


def manifest(spec: dict[str, Any], name: str = "store-revenue") -> dict[str, Any]:
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": spec,
    }


def steps(*weights: Any, **fields: Any) -> dict[str, Any]:
    return {"rollout": {"steps": [{"weight": weight, **fields} for weight in weights]}}


def match(**fields: Any) -> dict[str, Any]:
    return {"rollout": {"match": [fields]}}


def check(**fields: Any) -> dict[str, Any]:
    return {"rollout": {"analysis": {"checks": [fields]}}}


def compared(**fields: Any) -> dict[str, Any]:
    return {"rollout": {"mirror": {}, "analysis": {"checks": [fields]}}}


def webhooks(**fields: Any) -> dict[str, Any]:
    return {"rollout": {"webhooks": [{"name": "board", "url": "http://board/ask"} | fields]}}


def access(**fields: Any) -> dict[str, Any]:
    return {"access": fields}


def by_token(**fields: Any) -> dict[str, Any]:
    return access(mode="JWT", jwt={"issuer": "https://login.example"} | fields)


def features(**fields: Any) -> dict[str, Any]:
    return {"features": {"store": {"url": "http://feast:6566"}} | fields}


def materialized(schedule: str, **fields: Any) -> dict[str, Any]:
    """Features that are written on a schedule."""
    definitions = {"configMapRef": {"name": "definitions"}}
    return features(materialization={"schedule": schedule, "definitions": definitions} | fields)


OWN_FEATURES: dict[str, Any] = {
    "service": "revenue",
    "entities": [{"name": "store_id", "datatype": "INT64"}],
    "inputs": [{"feature": "size", "default": 0.5, "maxAge": "7d"}, {"feature": "kind", "default": "no"}],
}

KEYS_AT = {"jwksUri": "https://login.example/keys"}
MLFLOW = {"endpoint": "http://mlflow.ml.svc:5000"}
ALIAS = {"uri": "models:/shop@champion", "poll": "1m", **MLFLOW}
KEYLESS = {"issuer": "https://accounts.example", "identity": "a@b.example"}
