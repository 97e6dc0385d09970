"""The binary tensor extension, compressed bodies, the index and the documentation page, against the real process."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
import pytest

from runtime.harness import Running
from runtime.models import DATATYPES
from runtime.test_protocol import features, refused

JSON_BYTES = "Inference-Header-Content-Length"
ROWS = np.random.default_rng(3).random((5, 30), dtype=np.float32) * 100


def binary_request(array: np.ndarray[Any, Any], datatype: str, name: str, **more: Any) -> tuple[bytes, dict[str, str]]:
    raw = array.tobytes()
    tensor = {
        "name": name,
        "datatype": datatype,
        "shape": list(array.shape),
        "parameters": {"binary_data_size": len(raw)},
    }
    text = json.dumps({"inputs": [tensor], **more}).encode()
    return text + raw, {JSON_BYTES: str(len(text))}


def binary_outputs(response: httpx.Response) -> dict[str, tuple[dict[str, Any], bytes]]:
    assert response.status_code == 200, response.text
    size = int(response.headers[JSON_BYTES])
    raw, found = response.content[size:], {}
    for output in json.loads(response.content[:size])["outputs"]:
        length = output["parameters"]["binary_data_size"]
        found[output["name"]] = output, raw[:length]
        raw = raw[length:]
    assert raw == b""
    return found


def post(running: Running, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return running.client.post("/v2/models/shop/infer", content=body, headers=headers)


def test_binary_predictions_are_those_of_onnx_runtime_bit_for_bit(classifier: Running, trained_package: Path) -> None:
    labels, probabilities = ort.InferenceSession(str(trained_package / "model.onnx")).run(None, {"X": ROWS})
    response = post(classifier, *binary_request(ROWS, "FP32", "X", parameters={"binary_data_output": True}))
    assert response.headers["content-type"] == "application/octet-stream"
    outputs = binary_outputs(response)
    assert outputs["label"][1] == labels.tobytes()
    assert outputs["probabilities"][1] == probabilities.tobytes()
    assert "data" not in outputs["label"][0]


def test_binary_input_may_have_an_answer_in_json_and_the_other_way_round(classifier: Running) -> None:
    from_binary = post(classifier, *binary_request(ROWS, "FP32", "X"))
    assert from_binary.headers["content-type"] == "application/json"
    assert JSON_BYTES not in from_binary.headers
    assert from_binary.json() == classifier.infer(features(ROWS)).json()
    wish = [{"name": "label", "parameters": {"binary_data": True}}]
    outputs = binary_outputs(classifier.infer(features(ROWS), outputs=wish))
    assert np.frombuffer(outputs["label"][1], np.int64).tolist() == from_binary.json()["outputs"][0]["data"]


def test_every_datatype_goes_through_raw(echo: Running) -> None:
    arrays = {
        name: np.array([[1, 0]], bool if name == "BOOL" else _numpy_name(name)) for name in DATATYPES if name != "BYTES"
    }
    raw = {name: array.tobytes() for name, array in arrays.items()} | {
        "BYTES": b"\3\0\0\0gr\xfc".replace(b"\xfc", b"n")
    }
    raw["BYTES"] += b"\0\0\0\0"
    inputs = [
        {"name": f"in_{n}", "datatype": n, "shape": [1, 2], "parameters": {"binary_data_size": len(raw[n])}}
        for n in raw
    ]
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    outputs = binary_outputs(post(echo, text + b"".join(raw.values()), {JSON_BYTES: str(len(text))}))
    assert {name: data for name, (_, data) in outputs.items()} == {f"out_{name}": data for name, data in raw.items()}


def _numpy_name(name: str) -> str:
    return name.lower().replace("fp", "float")


def test_bf16_goes_through_as_numbers_and_raw(brain: Running) -> None:
    half = {"name": "in_BF16", "datatype": "BF16", "shape": [1, 2], "data": [1.5, -3.0]}
    single = {"name": "in_FP32", "datatype": "FP32", "shape": [1, 2], "data": [1.00390625, 2.0]}
    answer = {output["name"]: output for output in brain.infer(half, single).json()["outputs"]}
    assert answer["out_BF16"]["data"] == answer["singles"]["data"] == [1.5, -3.0]
    assert (answer["out_BF16"]["datatype"], answer["rounded"]["data"]) == ("BF16", [1.0, 2.0])
    only_singles = brain.infer(half, single, outputs=[{"name": "singles"}]).json()["outputs"]
    assert [output["data"] for output in only_singles] == [[1.5, -3.0]]
    outputs = binary_outputs(brain.infer(half, single, parameters={"binary_data_output": True}))
    assert np.frombuffer(outputs["out_BF16"][1], np.uint16).tolist() == [0x3FC0, 0xC040]


@pytest.mark.parametrize(
    ("header", "words"),
    [("x", "number of bytes"), ("-1", "number of bytes"), ("10000", "Inference-Header"), ("1", "JSON")],
)
def test_a_lying_header_is_refused(header: str, words: str, classifier: Running) -> None:
    assert words in refused(post(classifier, b'{"inputs": []}', {JSON_BYTES: header}), 400)


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_compressed_bodies_are_understood(encoding: str, pack: Any, classifier: Running) -> None:
    plain = json.dumps({"inputs": [features(ROWS)]}).encode()
    response = post(classifier, pack(plain), {"Content-Encoding": encoding})
    assert response.json() == classifier.infer(features(ROWS)).json()


def test_a_compressed_binary_body_counts_its_json_in_plain_bytes(classifier: Running) -> None:
    body, headers = binary_request(ROWS, "FP32", "X")
    response = post(classifier, gzip.compress(body), headers | {"Content-Encoding": "gzip"})
    assert response.json() == classifier.infer(features(ROWS)).json()


@pytest.mark.parametrize("megabytes", [1, 50])
def test_a_decompression_bomb_is_413(megabytes: int, classifier: Running) -> None:
    refused(post(classifier, gzip.compress(b" " * megabytes * 2**20), {"Content-Encoding": "gzip"}), 413)
    assert classifier.infer(features()).status_code == 200


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", b"{}"),
        ("gzip", b"{}"),
        ("gzip", gzip.compress(b"{}" * 100, mtime=0)[:-9]),
        ("gzip", gzip.compress(b"{}", mtime=0) * 2),
        ("gzip", b""),
        ("gzip, gzip", gzip.compress(b"{}", mtime=0)),
    ],
)
def test_compression_that_cannot_be_undone_is_refused(encoding: str, body: bytes, classifier: Running) -> None:
    refused(post(classifier, body, {"Content-Encoding": encoding}), 400)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": true}', b'{"ready": false}'])
def test_the_index_lists_the_model(body: bytes, classifier: Running) -> None:
    response = classifier.client.post("/v2/repository/index", content=body)
    assert response.json() == [{"name": "shop", "version": "3", "state": "READY", "reason": ""}]


def test_the_index_refuses_what_it_does_not_understand(classifier: Running) -> None:
    for body in (b"[", b"[]", b'{"ready": 1}'):
        refused(classifier.client.post("/v2/repository/index", content=body), 400)
    refused(classifier.client.get("/v2/repository/index"), 405)


@pytest.mark.parametrize("fixture", ["classifier", "echo", "brain", "fragile"])
def test_the_documented_example_works_as_it_stands(fixture: str, request: pytest.FixtureRequest) -> None:
    running: Running = request.getfixturevalue(fixture)
    document = running.client.get("/v2/docs/openapi.json").json()
    operation = document["paths"]["/v2/models/shop/infer"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    answer = running.client.post("/v2/models/shop/infer", json=example)
    assert answer.status_code == 200, answer.text
    metadata = running.client.get("/v2/models/shop").json()
    assert [tensor["name"] for tensor in example["inputs"]] == [tensor["name"] for tensor in metadata["inputs"]]


def test_the_description_names_this_models_tensors(classifier: Running) -> None:
    document = classifier.client.get("/v2/docs/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    operation = document["paths"]["/v2/models/shop/infer"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert [found["title"] for found in schema["properties"]["inputs"]["items"]["oneOf"]] == ["X: FP32 [-1, 30]"]
    assert set(operation["responses"]) == {"200", "400", "404", "413", "500", "503", "504"}


def test_the_page_loads_nothing_from_elsewhere(classifier: Running) -> None:
    response = classifier.client.get("/v2/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "http://" not in response.text.replace("http://www.w3.org", "")
    assert "https://" not in response.text


def test_docs_lead_to_the_page_that_routers_let_through(classifier: Running) -> None:
    response = classifier.client.get("/docs")
    assert (response.status_code, response.headers["location"]) == (307, "/v2/docs")
