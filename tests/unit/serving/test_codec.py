"""V2 JSON: every datatype survives, and nothing is silently converted."""

import contextlib
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.manifest import Datatype
from sluice_runtime.bfloat16 import to_float32
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.plane import InferRequest, InferResponse
from sluice_runtime.protocol.codec import Form, decode_request, encode_error, encode_metadata, encode_response
from sluice_runtime.signature import NUMPY_TYPES, Tensor
from unit.serving.fakes import model_of, spec
from unit.serving.tensors import Case, tensors


def body_of(datatype: str, shape: Any, data: Any, **more: Any) -> bytes:
    return orjson.dumps({"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}], **more})


def decode(datatype: Datatype, shape: Any, data: Any, **more: Any) -> InferRequest:
    return decode_request(body_of(datatype, shape, data, **more), model_of(spec("x", datatype, -1)))[0]


def refusal(body: bytes, datatype: Datatype = Datatype.FP32, json_bytes: int | None = None) -> str:
    with pytest.raises(RequestError) as caught:
        decode_request(body, model_of(spec("x", datatype, -1)), json_bytes)
    assert caught.value.kind is Kind.INVALID
    return caught.value.message


@given(tensors(infinite=False), st.booleans(), st.none() | st.text())
def test_every_datatype_and_shape_survives_the_way_out_and_in(case: Case, nested: bool, identity: str | None) -> None:
    datatype, tensor = case
    model = model_of(spec("x", datatype, *[-1] * tensor.ndim))
    text, json_bytes = encode_response(InferResponse(model, identity, {"x": tensor}))
    assert json_bytes is None
    document = orjson.loads(text)
    assert document.get("id") == identity
    [sent] = document["outputs"]
    if nested and tensor.ndim:
        values = np.empty(tensor.size, dtype=np.object_)
        values[:] = sent["data"]
        sent["data"] = values.reshape(tensor.shape).tolist()
    request, _ = decode_request(orjson.dumps({"id": identity, "inputs": [sent]}), model)
    received = request.inputs["x"]
    assert request.id == identity
    assert received.dtype == NUMPY_TYPES[datatype]
    actual, desired = as_numbers(datatype, received, tensor)
    np.testing.assert_array_equal(actual, desired)


def as_numbers(datatype: Datatype, *tensors: Tensor) -> tuple[Tensor, ...]:
    """JSON's null is any NaN, so patterns of BF16 are compared as numbers."""
    return tuple(to_float32(tensor) for tensor in tensors) if datatype is Datatype.BF16 else tensors


@given(st.lists(tensors(), min_size=1, max_size=4), st.none() | st.text(), st.integers(0))
def test_binary_tensors_of_several_outputs_survive_bit_for_bit(
    cases: list[Case], identity: str | None, choice: int
) -> None:
    """Any of the tensors travel as raw bytes, the others as JSON, in one body."""
    binary = [bool(choice >> place & 1) for place in range(len(cases))]
    specs = [spec(f"x{place}", datatype, *[-1] * tensor.ndim) for place, (datatype, tensor) in enumerate(cases)]
    model = model_of(*specs)
    outputs = {found.name: tensor for found, (_, tensor) in zip(specs, cases, strict=True)}
    form = Form(by_name={found.name: wish for found, wish in zip(specs, binary, strict=True)})
    body, json_bytes = encode_response(InferResponse(model, identity, outputs), form)
    assert (json_bytes is not None) == any(binary)
    document = orjson.loads(body[:json_bytes])
    text = orjson.dumps({"id": identity, "inputs": document["outputs"]})
    raw = b"" if json_bytes is None else body[json_bytes:]
    request, _ = decode_request(text + raw, model, None if json_bytes is None else len(text))
    for (datatype, tensor), found, wish in zip(cases, specs, binary, strict=True):
        received = request.inputs[found.name]
        assert received.shape == tensor.shape
        if wish and datatype is not Datatype.BYTES:
            assert received.tobytes() == tensor.tobytes()
        elif wish:
            assert received.tolist() == tensor.tolist()


BINARY = {"name": "x", "datatype": "FP32", "shape": [2]}


def binary_body(raw: bytes, size: Any = None, **changes: Any) -> tuple[bytes, int]:
    """A request whose only input lies behind the JSON."""
    parameters = {"binary_data_size": len(raw) if size is None else size}
    text = orjson.dumps({"inputs": [BINARY | {"parameters": parameters} | changes]})
    return text + raw, len(text)


@pytest.mark.parametrize(
    ("raw", "size", "changes", "words"),
    [
        (b"1234", None, {}, "needs 8"),
        (b"12345678", 7, {}, "needs 8"),
        (b"123456789", 8, {}, "belong to no input"),
        (b"12345678", 9, {}, "are left"),
        (b"12345678", -1, {}, "are left"),
        (b"12345678", "8", {}, "are left"),
        (b"12345678", True, {}, "are left"),
        (b"12345678", 2**63, {}, "are left"),
        (b"12345678", None, {"data": [1, 2]}, "both"),
        (b"12345678", None, {"shape": [2**31]}, "sizes"),
        (b"12345678", None, {"shape": [2**31 - 1]}, "needs"),
        (b"12345678", None, {"shape": [2**31 - 1] * 32}, "too large"),
        (b"", None, {"shape": [0] + [2**31 - 1] * 31}, "too large"),
        (b"12345678", None, {"parameters": []}, "object"),
    ],
)
def test_binary_data_that_does_not_fit_its_description_is_refused(
    raw: bytes, size: Any, changes: dict[str, Any], words: str
) -> None:
    body, json_bytes = binary_body(raw, size, **changes)
    assert words in refusal(body, json_bytes=json_bytes)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\1\0\0\0",
        b"\1\0\0\0a\1\0\0",
        b"\1\0\0\0a\xff\xff\xff\xffb",
        b"\1\0\0\0a\1\0\0\0bc",
        b"\1\0\0\0a\1\0\0\0\xff",
    ],
)
def test_broken_framing_of_bytes_is_refused(raw: bytes) -> None:
    body, json_bytes = binary_body(raw, datatype="BYTES")
    refusal(body, Datatype.BYTES, json_bytes)


def test_billions_of_promised_elements_cost_nothing() -> None:
    body, json_bytes = binary_body(b"", datatype="BYTES", shape=[2**31 - 1])
    assert "too few" in refusal(body, Datatype.BYTES, json_bytes)


def test_binary_data_without_its_header_is_refused() -> None:
    body, _ = binary_body(b"12345678")
    assert "Inference-Header-Content-Length" in refusal(body[:-8])


def test_an_empty_tensor_needs_no_header() -> None:
    body, _ = binary_body(b"", shape=[0], data=[])
    request, _ = decode_request(body, model_of(spec("x", Datatype.FP32, -1)))
    assert request.inputs["x"].shape == (0,)


def test_a_header_longer_than_the_body_is_refused() -> None:
    assert "the body has 2 bytes" in refusal(b"{}", json_bytes=3)


@given(st.binary(max_size=200), st.integers(0, 220))
def test_no_binary_body_raises_anything_but_a_clear_refusal(raw: bytes, size: int) -> None:
    for datatype in (Datatype.FP32, Datatype.BYTES, Datatype.BOOL):
        body, json_bytes = binary_body(raw, size, datatype=datatype)
        with contextlib.suppress(RequestError):
            decode_request(body, model_of(spec("x", datatype, -1)), json_bytes)


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({}, {"y": False, "z": False}),
        ({"parameters": {"binary_data_output": True}}, {"y": True, "z": True}),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "y", "parameters": {"binary_data": False}}, {"name": "z"}],
            },
            {"y": False, "z": True},
        ),
        ({"outputs": [{"name": "y", "parameters": {"binary_data": True}}, {"name": "z"}]}, {"y": True, "z": False}),
    ],
)
def test_each_output_comes_in_the_form_asked_for(document: dict[str, Any], wanted: dict[str, bool]) -> None:
    body = orjson.dumps({"inputs": [], **document})
    _, form = decode_request(body, model_of(spec("x", Datatype.FP32, -1)))
    assert {name: form.is_binary(name) for name in wanted} == wanted


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_answers_say_null_where_json_has_no_number(value: float) -> None:
    model = model_of(spec("x", Datatype.FP32, -1))
    body, _ = encode_response(InferResponse(model, None, {"x": np.array([1, value], np.float32)}))
    assert orjson.loads(body)["outputs"][0]["data"] == [1.0, None]


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["inputs", "outputs", "id", "name", "shape", "datatype", "data", "x", "FP32"]), inner
            )
        ),
    ).map(lambda value: orjson.dumps(value, default=str) if _fits_json(value) else b"[")
)
def test_no_body_raises_anything_but_a_clear_refusal(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        decode_request(body, model_of(spec("x", Datatype.FP32, -1)))


def _fits_json(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        (Datatype.FP32, ["1.5"]),
        (Datatype.FP32, [True]),
        (Datatype.FP32, [1, "a"]),
        (Datatype.FP32, [{}]),
        (Datatype.FP32, [1e39]),
        (Datatype.FP16, [70000]),
        (Datatype.INT64, [1.0]),
        (Datatype.INT64, [1.5]),
        (Datatype.INT64, [True]),
        (Datatype.INT64, [None]),
        (Datatype.INT64, [2**63]),
        (Datatype.UINT8, [256]),
        (Datatype.UINT8, [-1]),
        (Datatype.INT8, [128]),
        (Datatype.UINT64, [-1]),
        (Datatype.BOOL, [1]),
        (Datatype.BOOL, ["true"]),
        (Datatype.BYTES, [1]),
        (Datatype.BYTES, [None]),
        (Datatype.BYTES, [["a"], "b"]),
    ],
)
def test_values_that_would_have_to_be_bent_are_refused(datatype: Datatype, data: list[Any]) -> None:
    assert "does not fit" in refusal(body_of(datatype, [len(data)], data), datatype)


@pytest.mark.parametrize("value", [0, 2**63 - 1, -(2**63)])
def test_the_ends_of_int64_are_exact(value: int) -> None:
    assert decode(Datatype.INT64, [2], [1, value]).inputs["x"].tolist() == [1, value]


def test_very_large_and_small_uint64_stay_exact_together() -> None:
    assert decode(Datatype.UINT64, [2], [1, 2**64 - 1]).inputs["x"].tolist() == [1, 2**64 - 1]


def test_null_is_not_a_number() -> None:
    assert np.isnan(decode(Datatype.FP32, [2], [1.5, None]).inputs["x"]).tolist() == [False, True]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"inputs": {}}',
        b'{"inputs": [1]}',
        b'{"inputs": [{}]}',
        b'{"inputs": [{"name": ["x"]}]}',
        b'{"id": 1, "inputs": []}',
        b'{"inputs": [], "outputs": {}}',
        b'{"inputs": [], "outputs": ["y"]}',
        b'{"inputs": [], "outputs": [{}]}',
        b'{"inputs": [], "outputs": [{"name": "y"}, {"name": "y"}]}',
        b'{"inputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": 1}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": 1, "data": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "data": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [true], "data": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1.0], "data": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [9999999999], "data": []}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [[1, 2]]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [[1], [2, 3]]}]}',
        b'{"inputs": [' + b'{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]},' * 2 + b"{}]}",
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": ' + b"[" * 500 + b"]" * 500 + b"}]}",
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": ' + b"[" * 5000 + b"]" * 5000 + b"}]}",
        b'{"inputs": [{"name": "\xff"}]}',
        body_of("FP32", [1] * 33, [1]),
        body_of("FP32", [0] + [2**31 - 1] * 31, []),
    ],
    ids=lambda body: body[:60].decode(errors="replace") or "empty",
)
def test_a_malformed_request_is_refused(body: bytes) -> None:
    assert refusal(body)


def test_parameters_of_other_servers_are_tolerated() -> None:
    request = decode(
        Datatype.FP32, [1], [1], parameters={"a": 1}, outputs=[{"name": "y", "parameters": {"binary_data": False}}]
    )
    assert request.outputs == ("y",)


def test_a_lone_surrogate_cannot_reach_the_model() -> None:
    body = b'{"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["\\ud800"]}]}'
    try:
        text = decode_request(body, model_of(spec("x", Datatype.BYTES, -1)))[0].inputs["x"][0]
    except RequestError:
        return
    assert text.encode("utf-8")


def test_metadata_names_datatypes_and_open_dimensions() -> None:
    model = model_of(spec("x", Datatype.FP32, -1, 3), outputs=(spec("y", Datatype.INT64, -1),))
    assert orjson.loads(encode_metadata(model)) == {
        "name": "shop",
        "versions": ["3"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}],
    }


def test_an_error_has_the_shape_of_the_protocol() -> None:
    assert orjson.loads(encode_error('say "why"')) == {"error": 'say "why"'}
