"""On the cluster a job fills a real feature store: what it may write it writes, what it may not leaves the old values,
and status says both. Nothing of it is noticed where the model serves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from e2e.specs import QUICK, ROUTER, RUNTIME
from localcluster import images, layout
from support import packages
from support.cluster import Cluster, install_chart
from support.deployments import KIND, model_deployment, until_promoted
from support.feast import SERVICE, Feast, feast_server, minimal_repository
from support.kube import Kube, Object, condition, is_true
from support.store import Store

NAME = "store-revenue"
CRON_JOB = f"{NAME}-features"
NEVER = "0 0 29 2 *"
"""Seldom enough: runs begin where the test says so."""
PATIENCE = 240.0
"""For a pod and what it imports, on a machine that does other things too."""

STORE_42 = {"store_id": 42, "at": "2026-01-01T00:00:00Z", "staff": 3, "city": "Utrecht", "is_open": True, "margin": 0.5}


class Warehouse:
    """An API that tells what is in `rows` at the time."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer((layout.GATEWAY, 0), partial(Answering, self))
        self.url = f"http://{layout.GATEWAY}:{self._server.server_port}/stores"
        self._thread = Thread(target=self._server.serve_forever)

    def __enter__(self) -> Warehouse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Answering(BaseHTTPRequestHandler):
    """All rows in one page, for those who show the token."""

    def __init__(self, warehouse: Warehouse, *more: Any) -> None:
        self._warehouse = warehouse
        super().__init__(*more)

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer of-the-warehouse"
        body = json.dumps(self._warehouse.rows).encode()
        self.send_response(200 if allowed else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the library's name
        """Nothing: the test says what matters."""


@pytest.fixture
def warehouse(cluster: Cluster) -> Iterator[Warehouse]:
    assert cluster.local, "pods of another cluster may not reach this machine"
    with Warehouse() as running:
        yield running


@pytest.fixture
def feast(cluster: Cluster, tmp_path: Path) -> Iterator[Feast]:
    with feast_server(minimal_repository(tmp_path / "feast"), layout.GATEWAY) as server:
        yield server


@pytest.fixture(scope="module")
def tools(cluster: Cluster) -> None:
    """The operator knows the image that such jobs run."""
    install_chart(replace(cluster, images={**cluster.images, **images.ensure_images(images.ON_DEMAND)}))


def definitions(warehouse: Warehouse, least: float) -> Object:
    kinds = {"size": "FP64", "staff": "INT64", "city": "BYTES", "is_open": "BOOL", "margin": "FP32"}
    features: list[dict[str, Any]] = [{"name": name, "datatype": kind} for name, kind in kinds.items()]
    features[0]["minimum"] = least
    view = {"name": "stores", "source": "api", "entities": ["store_id"], "timestamp": "at", "features": features}
    source = {"http": {"url": warehouse.url, "headers": {"Authorization": "Bearer ${API_TOKEN}"}}}
    found = {
        "project": "shop",
        "entities": [{"name": "store_id"}],
        "sources": {"api": source},
        "views": [view],
    }
    data = {"features.yaml": yaml.safe_dump(found)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "definitions"}, "data": data}


SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "warehouse"},
    "stringData": {"API_TOKEN": "of-the-warehouse"},
}


def filled(uri: str, feast: Feast, **changes: Any) -> Object:
    own = {"name": "materialize", "env": [{"name": "SLUICE_FEATURES_MEMORY", "value": "300MB"}]}
    materialization = {
        "schedule": NEVER,
        "podTemplate": {"metadata": {"labels": {"team": "shop"}}, "spec": {"containers": [own]}},
        "definitions": {"configMapRef": {"name": "definitions"}},
        "credentials": {"secretRef": {"name": "warehouse"}},
        "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
    }
    features = {
        "store": {"url": feast.url},
        "service": SERVICE,
        "entities": [{"name": "store_id"}],
        "inputs": [{"feature": "size", "input": packages.INPUT, "column": 0}],
        "materialization": materialization | changes,
    }
    return model_deployment(NAME, uri, runtime=RUNTIME, router=ROUTER, rollout=QUICK, features=features)


def run(kube: Kube, name: str) -> None:
    """Begin a run by hand, as a person would."""
    kube.run("create", "job", name, f"--from=cronjob/{CRON_JOB}")


def until_said(kube: Kube, status: str, reason: str) -> Object:
    """Wait for the condition FeaturesReady, and return the resource."""

    def said(found: Object) -> bool:
        told = condition(found, "FeaturesReady")
        return (told.get("status"), told.get("reason")) == (status, reason)

    return kube.until(KIND, NAME, said, PATIENCE)


def size_of_store_42(feast: Feast) -> Any:
    answer = feast.read({"store_id": [42]})
    return answer["results"][answer["metadata"]["feature_names"].index("size")]["values"][0]


def pods_of_the_model(kube: Kube) -> set[str]:
    return {found["metadata"]["uid"] for found in kube.select("pod", "app.kubernetes.io/component=model")}


def test_a_store_is_filled_and_keeps_its_values_where_a_run_fails(
    kube: Kube, tools: None, store: Store, warehouse: Warehouse, feast: Feast
) -> None:
    # Given a model that serves, and definitions
    kube.apply(SECRET, definitions(warehouse, least=0), filled(store.uri("v1.tar.gz"), feast))
    until_promoted(kube, NAME)
    until_said(kube, "Unknown", "NotYetRun")
    pods = pods_of_the_model(kube)
    # When a run finds what it may write, then the store has it
    warehouse.rows = [STORE_42 | {"size": 120.0}]
    run(kube, "first")
    first = until_said(kube, "True", "Materialized")
    assert size_of_store_42(feast) == 120.0
    # When one finds what breaks a rule, then the store keeps what it had, and status says why
    warehouse.rows = [STORE_42 | {"size": -3.0}]
    run(kube, "second")
    second = until_said(kube, "False", "FeaturesRefused")
    kept = first["status"]["features"]["lastSuccess"]
    message = condition(second, "FeaturesReady")["message"]
    assert "size" in message
    assert "Nothing was written, the old values stay" in message
    assert f"the last run that wrote everything ended at {kept}" in message
    assert size_of_store_42(feast) == 120.0
    assert is_true(second, "Ready")
    # And it was not tried again: the data are the same
    ended = kube.until("job", "second", lambda job: condition(job, "Failed").get("status") == "True", PATIENCE)
    assert condition(ended, "Failed")["reason"] == "PodFailurePolicy"
    (only,) = kube.select("pod", "batch.kubernetes.io/job-name=second,team=shop")
    assert only["spec"]["containers"][0]["env"] == [{"name": "SLUICE_FEATURES_MEMORY", "value": "300MB"}]
    failed = kube.until(KIND, NAME, lambda found: "lastFailure" in found["status"]["features"], PATIENCE)
    assert failed["status"]["features"]["lastSuccess"] == kept
    # When the definitions allow it, then the next run reads them
    kube.apply(definitions(warehouse, least=-10))
    run(kube, "third")
    until_said(kube, "True", "Materialized")
    assert size_of_store_42(feast) == -3.0
    # When the definitions are gone, then a run that waits for them says so
    kube.delete("configmap", "definitions")
    run(kube, "fourth")
    missing = until_said(kube, "False", "MountFailed")
    assert "definitions" in condition(missing, "FeaturesReady")["message"]
    kube.apply(definitions(warehouse, least=-10))
    until_said(kube, "True", "Materialized")
    # And none of it touched what serves
    assert pods_of_the_model(kube) == pods


def test_a_schedule_is_kept_held_and_taken_away(
    kube: Kube, tools: None, store: Store, warehouse: Warehouse, feast: Feast
) -> None:
    warehouse.rows = [STORE_42 | {"size": 7.0}]
    uri = store.uri("v1.tar.gz")
    kube.apply(SECRET, definitions(warehouse, least=0), filled(uri, feast, schedule="@every 5s"))
    found = kube.until(KIND, NAME, lambda seen: is_true(seen, "FeaturesReady"), PATIENCE)
    assert size_of_store_42(feast) == 7.0
    assert found["status"]["features"]["lastScheduled"]
    revision = until_promoted(kube, NAME)["status"]["stable"]["revision"]
    # When it is suspended, then no run is begun, and the revision stays
    kube.apply(filled(uri, feast, suspend=True))
    until_said(kube, "True", "Suspended")
    kube.until("cronjob", CRON_JOB, lambda seen: bool(seen["spec"].get("suspend")))
    # When the cluster does not know the zone, then status says so, and the model serves on
    kube.apply(filled(uri, feast, timeZone="Europe/Nowhere"))
    refused = until_said(kube, "False", "MaterializationRefused")
    assert "Europe/Nowhere" in condition(refused, "FeaturesReady")["message"]
    assert is_true(refused, "Ready")
    assert condition(refused, "Stalled")["status"] == "False"
    # When it is taken out of the spec, then nothing is left of it
    asked = filled(uri, feast)
    del asked["spec"]["features"]["materialization"]
    kube.apply(asked)
    gone = kube.until(KIND, NAME, lambda seen: not condition(seen, "FeaturesReady"), PATIENCE)
    assert "features" not in gone["status"]
    kube.run("wait", f"cronjob/{CRON_JOB}", "--for=delete", "--timeout=60s", timeout=90)
    assert kube.select("cronjob") == []
    assert gone["status"]["stable"]["revision"] == revision
