"""What an application gets: predictions through the endpoint, and errors it can act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from e2e.specs import ROUTER, RUNTIME
from e2e.zoo import Zoo
from support import packages, samples
from support.client import Answer, Client
from support.deployments import KIND, stable
from support.kube import Kube, Object
from support.store import Store


@dataclass(frozen=True)
class Served:
    """A ModelDeployment that serves v1, and a client to ask it."""

    found: Object
    client: Client

    @property
    def name(self) -> str:
        return str(self.found["metadata"]["name"])

    def ask(self, path: str, body: Any = None) -> Answer:
        return self.client.ask(f"{self.found['status']['url']}{path}", body)

    def infer(self, body: Any) -> Answer:
        return self.ask(f"/v2/models/{self.name}/infer", body)


@pytest.fixture(scope="module")
def served(module_kube: Kube, store: Store, client: Client) -> Served:
    """The minimal sample, applied and waited for the way a person does."""
    wanted = samples.model_deployment("minimal.yaml", store.uri("v1.tar.gz"), runtime=RUNTIME, router=ROUTER)
    module_kube.apply(wanted)
    name = wanted["metadata"]["name"]
    module_kube.wait(f"{KIND}/{name}", "condition=Ready")
    return Served(module_kube.get(KIND, name), client)


def body_of(row: int = 0) -> dict[str, Any]:
    return packages.request_body(packages.rows()[row])


def changed(**tensor: Any) -> dict[str, Any]:
    """A valid request with parts of its tensor replaced."""
    return {"inputs": [{**body_of()["inputs"][0], **tensor}]}


@pytest.mark.parametrize("row", [0, 100, 568])
def test_predictions_through_the_endpoint_equal_those_made_in_process(served: Served, zoo: Zoo, row: int) -> None:
    answer = served.infer(body_of(row))

    flat = [value for output in answer.json["outputs"] for value in output["data"]]
    assert answer.status == 200
    np.testing.assert_allclose(flat, zoo.expected("v1")[row], atol=packages.TOLERANCE)


def test_an_answer_names_its_model_and_the_revision_that_status_calls_stable(served: Served) -> None:
    answer = served.infer({**body_of(), "id": "a-request"})

    assert answer.json["id"] == "a-request"
    assert answer.json["model_name"] == served.name
    assert answer.headers["x-sluice-revision"] == stable(served.found)


def test_server_and_model_describe_themselves(served: Served) -> None:
    model = served.ask(f"/v2/models/{served.name}").json

    assert served.ask("/v2/health/live").json == {"live": True}
    assert served.ask("/v2/health/ready").json == {"ready": True}
    assert served.ask(f"/v2/models/{served.name}/ready").status == 200
    assert {"name", "version", "extensions"} <= served.ask("/v2").json.keys()
    assert model["inputs"] == [{"name": packages.INPUT, "datatype": "FP32", "shape": [-1, 30]}]
    assert [output["name"] for output in model["outputs"]] == ["label", packages.OUTPUT]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("{not json", id="no JSON"),
        pytest.param({}, id="no inputs"),
        pytest.param(changed(name="other"), id="unknown input"),
        pytest.param(changed(shape=[1, 29]), id="wrong shape"),
        pytest.param(changed(shape=[2, 30]), id="shape and data differ"),
        pytest.param(changed(data=[1.0]), id="too little data"),
        pytest.param(changed(datatype="INT64"), id="wrong datatype"),
        pytest.param(changed(data=["text"] * 30), id="text for numbers"),
    ],
)
def test_a_wrong_request_is_answered_with_400_and_says_what_is_wrong(served: Served, body: Any) -> None:
    answer = served.infer(body)

    assert answer.status == 400
    assert answer.json.keys() == {"error"}
    assert answer.json["error"]


@pytest.mark.parametrize("path", ["/v2/models/other/infer", "/v2/models/store-revenue/versions/none/infer"])
def test_an_unknown_model_or_version_is_answered_with_404(served: Served, path: str) -> None:
    answer = served.ask(path, body_of())

    assert answer.status == 404
    assert answer.json.keys() == {"error"}


def test_the_printed_table_shows_what_serves(served: Served, module_kube: Kube) -> None:
    header, line = module_kube.run("get", "mdep", served.name).splitlines()

    columns = ["NAME", "READY", "STABLE", "VERSION", "CANARY", "WEIGHT", "STEP", "REPLICAS", "REASON", "AGE"]
    assert header.split() == columns
    version = served.found["status"]["stable"]["modelVersion"]
    assert line.split()[:4] == [served.name, "True", stable(served.found), version]
