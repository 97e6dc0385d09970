"""What a spec says of the feature store reaches the pods: a request that carries a key alone is answered as if it had
carried every value, and without the store nobody is told something else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from e2e.specs import QUICK, ROUTER, RUNTIME
from e2e.zoo import Zoo
from support import packages
from support.client import Answer, Client
from support.cluster import Cluster
from support.deployments import model_deployment, until_promoted
from support.kube import Kube, Object
from support.pods import python_pod, with_files
from support.store import Store

NAME, FEATURES, PORT, TOKEN = "store-revenue", "feature-store", 8000, "of-the-store"
SERVER = Path(packages.__file__).with_name("keeping_features.py")
KEYS = (0, 100)


def feature_store(image: str) -> list[Object]:
    """A store that knows some rows of the data set, its Service, and a Secret with what it wants to see."""
    rows = {str(key): [float(value) for value in packages.rows()[key]] for key in KEYS}
    pod = python_pod(FEATURES, image, ["/files/server.py", str(PORT), TOKEN, "/files/rows.json"])
    pod["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    service = {"selector": {"app": FEATURES}, "ports": [{"port": 80, "targetPort": PORT}]}
    return [
        *with_files(pod, {"server.py": SERVER.read_text(), "rows.json": json.dumps(rows)}),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": FEATURES}, "spec": service},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": FEATURES}, "stringData": {"token": TOKEN}},
    ]


def asking(namespace: str) -> dict[str, Any]:
    """Every column of the model's one input, from the store, by the number of its row."""
    columns = packages.rows().shape[1]
    return {
        "store": {"url": f"http://{FEATURES}.{namespace}.svc", "credentials": {"secretRef": {"name": FEATURES}}},
        "timeout": "5s",
        "service": "rows",
        "entities": [{"name": "row"}],
        "inputs": [{"feature": f"f{at}", "input": packages.INPUT, "column": at} for at in range(columns)],
    }


def test_a_key_is_answered_as_all_values_are_and_without_the_store_nobody_is_told_something_else(
    kube: Kube, cluster: Cluster, store: Store, client: Client, zoo: Zoo
) -> None:
    spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": QUICK}
    spec["features"] = asking(kube.namespace)
    kube.apply(*feature_store(cluster.images["runtime"]), model_deployment(NAME, store.uri("v1.tar.gz"), **spec))
    url = until_promoted(kube, NAME)["status"]["url"]
    kube.wait(f"pod/{FEATURES}", "condition=Ready")

    def ask(key: int) -> Answer:
        tensor = {"name": "row", "datatype": "INT64", "shape": [1], "data": [key]}
        return client.ask(f"{url}/v2/models/{NAME}/infer", {"inputs": [tensor]})

    for key in KEYS:
        answer = ask(key)
        assert answer.status == 200, answer.body
        given = np.concatenate([np.ravel(output["data"]) for output in answer.json["outputs"]])
        np.testing.assert_allclose(given, zoo.expected("v1")[key], atol=packages.TOLERANCE)
    assert ask(1).status == 404
    kube.run("delete", "pod", FEATURES, "--grace-period=1")
    away = ask(KEYS[0])
    assert (away.status, "outputs" in away.json) == (503, False), away.body
