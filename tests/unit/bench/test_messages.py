"""The bench's own requests are the protocol's, and its answers are read as they were meant."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from bench.serving import wire
from bench.serving.messages import (
    HEADER_LENGTH,
    Answer,
    Encoding,
    binary_request,
    json_request,
    read_answer,
    reference_answer,
)
from bench.serving.models import Case

NOWHERE = Path("nowhere")
CASE = Case(
    "tiny",
    "",
    NOWHERE,
    NOWHERE,
    {"x": np.array([[0.1, 2.0]], np.float32)},
    {"label": np.array([300], np.int64), "scores": np.array([[0.25, 0.75]], np.float32)},
)


def test_a_json_request_holds_the_shortest_numbers() -> None:
    (tensor,) = orjson.loads(json_request(CASE).body)["inputs"]
    assert tensor == {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.1, 2.0]}


def test_a_binary_request_is_a_header_and_little_endian_bytes() -> None:
    request = binary_request(CASE)
    length = int(request.headers[HEADER_LENGTH])
    header = orjson.loads(request.body[:length])
    assert header["inputs"][0]["parameters"] == {"binary_data_size": 8}
    assert header["parameters"] == {"binary_data_output": True}
    assert request.body[length:] == np.array([0.1, 2.0], "<f4").tobytes()


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.BINARY])
def test_an_answer_is_read_as_it_was_written(encoding: Encoding) -> None:
    found = read_answer(reference_answer(CASE, encoding))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"label": [300], "scores": [[0.25, 0.75]]}


def test_parameters_that_are_null_are_none() -> None:
    tensor = {"name": "y", "shape": [1], "datatype": "FP32", "data": [1.5], "parameters": None}
    assert read_answer(Answer(orjson.dumps({"outputs": [tensor]})))["y"].tolist() == [1.5]


def test_a_grpc_answer_is_read_as_it_was_written() -> None:
    found = wire.read_response(wire.infer_response(CASE.outputs), CASE.outputs)
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"label": [300], "scores": [[0.25, 0.75]]}


@pytest.mark.parametrize(("value", "encoded"), [(0, b"\0"), (1, b"\1"), (127, b"\x7f"), (150, b"\x96\x01")])
def test_a_varint_has_seven_bits_a_byte(value: int, encoded: bytes) -> None:
    assert wire.varint(value) == encoded


def test_a_grpc_request_is_what_protobuf_writes() -> None:
    """What generated code serializes: model name, one tensor of shape [1, 2], raw contents."""
    assert wire.infer_request(CASE.inputs) == (
        b"\x0a\x05bench" + b"\x2a\x0d" + b"\x0a\x01x" + b"\x12\x04FP32" + b"\x1a\x02\x01\x02"
        b"\x3a\x08" + np.array([0.1, 2.0], "<f4").tobytes()
    )
