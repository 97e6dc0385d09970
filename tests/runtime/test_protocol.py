"""The Open Inference Protocol as an application sees it, against the real process."""

import concurrent.futures
import http.client
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
import pytest

from runtime.harness import Running, eventually
from runtime.models import DATATYPES

ROW = [float(i) for i in range(30)]


def features(rows: Any = None, **changes: Any) -> dict[str, Any]:
    data = np.asarray([ROW] if rows is None else rows, dtype=np.float32)
    return {"name": "X", "datatype": "FP32", "shape": list(data.shape), "data": data.ravel().tolist(), **changes}


def refused(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    message: str = body["error"]
    assert message
    return message


def test_predictions_are_those_of_onnx_runtime(classifier: Running, trained_package: Path) -> None:
    rows = np.random.default_rng(0).random((20, 30), dtype=np.float32) * 100
    session = ort.InferenceSession(str(trained_package / "model.onnx"))
    labels, probabilities = session.run(None, {"X": rows})
    outputs = {output["name"]: output for output in classifier.infer(features(rows)).json()["outputs"]}
    assert outputs["label"]["data"] == labels.tolist()
    assert outputs["label"]["shape"] == [20]
    got = np.array(outputs["probabilities"]["data"], np.float32).reshape(outputs["probabilities"]["shape"])
    np.testing.assert_array_equal(got, probabilities)


def test_predictions_of_many_callers_at_once_are_each_callers_own(classifier: Running, trained_package: Path) -> None:
    rows = np.random.default_rng(1).random((200, 30), dtype=np.float32) * 1000
    session = ort.InferenceSession(str(trained_package / "model.onnx"))
    expected = session.run(["probabilities"], {"X": rows})[0]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda row: classifier.infer(features([row])).json()["outputs"][1]["data"], rows))
    np.testing.assert_allclose(np.array(answers), expected, atol=1e-6)


@pytest.mark.parametrize("nested", [True, False])
def test_every_datatype_goes_through(nested: bool, echo: Running) -> None:
    values: dict[str, list[Any]] = {
        "BOOL": [True, False],
        "INT64": [-(2**63), 2**63 - 1],
        "UINT64": [0, 2**64 - 1],
        "FP16": [0.5, -2.0],
        "FP32": [0.5, -1e30],
        "FP64": [0.1, 1e300],
        "BYTES": ["", "grün \U0001f642"],
    }
    inputs = [
        {
            "name": f"in_{name}",
            "datatype": name,
            "shape": [1, 2],
            "data": [values.get(name, [1, 2])] if nested else values.get(name, [1, 2]),
        }
        for name in DATATYPES
    ]
    outputs = echo.infer(*inputs).json()["outputs"]
    assert {o["name"]: (o["datatype"], o["shape"]) for o in outputs} == {
        f"out_{name}": (name, [1, 2]) for name in DATATYPES
    }
    for output in outputs:
        expected = values.get(output["datatype"], [1, 2])
        if output["datatype"] == "FP32":
            expected = np.array(expected, np.float32).tolist()
            output["data"] = np.array(output["data"], np.float32).tolist()
        assert output["data"] == expected


def test_an_empty_tensor_gives_an_empty_answer(classifier: Running) -> None:
    outputs = classifier.infer(features(np.zeros((0, 30)))).json()["outputs"]
    assert [output["shape"] for output in outputs] == [[0], [0, 2]]


def test_requested_outputs_come_in_the_requested_order(classifier: Running) -> None:
    answer = classifier.infer(features(), outputs=[{"name": "probabilities"}, {"name": "label"}]).json()
    assert [output["name"] for output in answer["outputs"]] == ["probabilities", "label"]
    answer = classifier.infer(features(), outputs=[{"name": "label"}]).json()
    assert [output["name"] for output in answer["outputs"]] == ["label"]


def test_the_id_comes_back_and_parameters_are_tolerated(classifier: Running) -> None:
    answer = classifier.infer(features(parameters={"a": 1}), id="42", parameters={"b": [2]}).json()
    assert answer["id"] == "42"
    assert (answer["model_name"], answer["model_version"]) == ("shop", "3")
    assert "id" not in classifier.infer(features()).json()


def test_the_versioned_path_serves_the_same(classifier: Running) -> None:
    body = {"inputs": [features()]}
    versioned = classifier.client.post("/v2/models/shop/versions/3/infer", json=body)
    assert versioned.json() == classifier.infer(features()).json()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/shop/ready", {"name": "shop", "ready": True}),
        ("/v2/models/shop/versions/3/ready", {"name": "shop", "ready": True}),
        ("/v2", {"name": "sluice", "version": "0.1.0", "extensions": ["binary_tensor_data", "model_repository"]}),
        (
            "/v2/models/shop",
            {
                "name": "shop",
                "versions": ["3"],
                "platform": "onnx_onnxv1",
                "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 30]}],
                "outputs": [
                    {"name": "label", "datatype": "INT64", "shape": [-1]},
                    {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
                ],
            },
        ),
    ],
)
def test_what_can_be_read(path: str, body: dict[str, Any], classifier: Running) -> None:
    response = classifier.client.get(path)
    assert response.status_code == 200
    assert response.json() == body


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other",
        "/v2/models/other/ready",
        "/v2/models/shop/versions/9",
        "/v2/models/shop/versions/9/ready",
        "/v2/models/shop/explain",
        "/v2/models",
        "/v2/nothing",
        "/v2/models/shop/versions/3/infer/more",
    ],
)
def test_what_is_not_there_is_404(path: str, classifier: Running) -> None:
    refused(classifier.client.get(path), 404)


@pytest.mark.parametrize("path", ["/v2/models/other/infer", "/v2/models/shop/versions/9/infer"])
def test_an_unknown_model_or_version_cannot_infer(path: str, classifier: Running) -> None:
    assert "unknown" in refused(classifier.client.post(path, json={"inputs": [features()]}), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/models/shop/infer", "POST"),
        ("PUT", "/v2/models/shop/infer", "POST"),
        ("POST", "/v2/models/shop", "GET"),
        ("DELETE", "/v2", "GET"),
    ],
)
def test_other_methods_are_405(method: str, path: str, allowed: str, classifier: Running) -> None:
    response = classifier.client.request(method, path)
    refused(response, 405)
    assert response.headers["allow"] == allowed


def test_head_is_405_without_a_body(classifier: Running) -> None:
    response = classifier.client.head("/v2/models/shop/infer")
    assert response.status_code == 405
    assert classifier.infer(features()).status_code == 200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Y"}, "unknown input 'Y'"),
        ({"datatype": "FP64"}, "datatype"),
        ({"shape": [30]}, "shape"),
        ({"shape": [1, 29]}, "values"),
        ({"shape": [1, 29], "data": ROW[:29]}, "expected [-1, 30]"),
        ({"data": ROW[:29]}, "29 values"),
        ({"data": ["a"] * 30}, "must hold numbers"),
        ({"shape": [-1, 30]}, "sizes from 0 up"),
    ],
)
def test_a_wrong_tensor_is_400_and_named(changes: dict[str, Any], words: str, classifier: Running) -> None:
    assert words in refused(classifier.infer(features(**changes)), 400)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"inputs": []}', b'{"inputs": [{"name": "X"}]}', b"\xff\xfe"])
def test_a_wrong_body_is_400(body: bytes, classifier: Running) -> None:
    refused(classifier.client.post("/v2/models/shop/infer", content=body), 400)


def test_an_unknown_output_is_400(classifier: Running) -> None:
    assert "unknown outputs" in refused(classifier.infer(features(), outputs=[{"name": "other"}]), 400)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_413(chunked: bool, classifier: Running) -> None:
    body = b" " * 300_000
    content = iter([body]) if chunked else body
    response = classifier.client.post("/v2/models/shop/infer", content=content)
    refused(response, 413)
    assert response.headers["connection"] == "close"
    assert classifier.infer(features()).status_code == 200


def test_a_declared_length_beyond_the_limit_is_refused_before_the_body_comes(classifier: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", classifier.config.port, timeout=30)
    connection.putrequest("POST", "/v2/models/shop/infer")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_failure_inside_the_model_is_500(fragile: Running) -> None:
    def lookup(*values: int) -> httpx.Response:
        return fragile.infer({"name": "x", "datatype": "INT64", "shape": [len(values)], "data": list(values)})

    assert lookup(0, 3).json()["outputs"][0]["data"] == [0, 3]
    assert "the model failed" in refused(lookup(99), 500)
    assert lookup(1).status_code == 200


def test_a_guilty_request_harms_no_other_in_its_batch(fragile: Running) -> None:
    def lookup(value: int) -> tuple[int, int]:
        tensor = {"name": "x", "datatype": "INT64", "shape": [1], "data": [value]}
        return value, fragile.infer(tensor).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lookup, [0, 1, 2, 3, 99] * 60))
    assert all(status == (500 if value == 99 else 200) for value, status in answers)


def test_a_caller_that_leaves_in_the_middle_of_its_body_harms_nobody(classifier: Running) -> None:
    for _ in range(5):
        connection = http.client.HTTPConnection("127.0.0.1", classifier.config.port, timeout=30)
        connection.putrequest("POST", "/v2/models/shop/infer")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"{")
        connection.close()
    assert classifier.infer(features()).status_code == 200
    eventually(lambda: classifier.metrics()['sluice_requests_in_flight{model="shop",revision="abc123"}'] == 0)


def test_requests_are_counted_by_code(classifier: Running) -> None:
    def count(code: int) -> float:
        return classifier.metrics().get(f'sluice_requests_total{{code="{code}",model="shop",revision="abc123"}}', 0)

    before = count(200), count(400)
    classifier.infer(features())
    classifier.client.post("/v2/models/shop/infer", content=b"{")
    assert (count(200), count(400)) == (before[0] + 1, before[1] + 1)


def test_the_probes_and_series_of_the_contract_are_there(classifier: Running) -> None:
    assert classifier.client.get("/livez").status_code == 200
    assert classifier.client.get("/readyz").status_code == 200
    classifier.infer(features())
    names = {sample.split("{")[0] for sample in classifier.metrics()}
    assert names >= {
        "sluice_requests_total",
        "sluice_request_duration_seconds_bucket",
        "sluice_inference_duration_seconds_bucket",
        "sluice_batch_size_bucket",
        "sluice_requests_in_flight",
        "sluice_model_load_seconds",
    }


def test_nothing_is_collected_for_anyone(classifier: Running) -> None:
    home = Path(classifier.config.termination_log).parent / "home"
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_there_is_one_process_without_children(classifier: Running) -> None:
    tasks = Path(f"/proc/{classifier.process.pid}/task")
    assert [child for task in tasks.iterdir() for child in (task / "children").read_text().split()] == []


def test_answers_are_plain_json_with_a_length(classifier: Running) -> None:
    response = classifier.infer(features())
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    json.loads(response.content)
