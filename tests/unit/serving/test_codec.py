"""V2 JSON: every datatype survives, and nothing is silently converted."""

import contextlib
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sluice.manifest import Datatype
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.plane import InferRequest, InferResponse
from sluice_runtime.protocol.codec import decode_request, encode_error, encode_metadata, encode_response
from sluice_runtime.signature import NUMPY_TYPES, Tensor
from unit.serving.fakes import model_of, spec


def body_of(datatype: str, shape: Any, data: Any, **more: Any) -> bytes:
    return orjson.dumps({"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}], **more})


def decode(datatype: Datatype, shape: Any, data: Any, **more: Any) -> InferRequest:
    return decode_request(body_of(datatype, shape, data, **more), model_of(spec("x", datatype, -1)))


def refusal(body: bytes, datatype: Datatype = Datatype.FP32) -> str:
    with pytest.raises(RequestError) as caught:
        decode_request(body, model_of(spec("x", datatype, -1)))
    assert caught.value.kind is Kind.INVALID
    return caught.value.message


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Datatype, Tensor]:
    datatype = draw(st.sampled_from(list(Datatype)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    if datatype is Datatype.BYTES:
        texts = draw(st.lists(st.text(), min_size=math.prod(shape), max_size=math.prod(shape)))
        array = np.empty(math.prod(shape), dtype=np.object_)
        array[:] = texts
        return datatype, array.reshape(shape)
    elements = {"allow_nan": True, "allow_infinity": False} if datatype.startswith("FP") else {}
    return datatype, draw(hnp.arrays(NUMPY_TYPES[datatype], shape, elements=elements or None))


@given(tensors(), st.booleans(), st.none() | st.text())
def test_every_datatype_and_shape_survives_the_way_out_and_in(
    case: tuple[Datatype, Tensor], nested: bool, identity: str | None
) -> None:
    datatype, tensor = case
    model = model_of(spec("x", datatype, *[-1] * tensor.ndim))
    document = orjson.loads(encode_response(InferResponse(model, identity, {"x": tensor})))
    assert document.get("id") == identity
    [sent] = document["outputs"]
    if nested and tensor.ndim:
        values = np.empty(tensor.size, dtype=np.object_)
        values[:] = sent["data"]
        sent["data"] = values.reshape(tensor.shape).tolist()
    request = decode_request(orjson.dumps({"id": identity, "inputs": [sent]}), model)
    received = request.inputs["x"]
    assert request.id == identity
    assert received.dtype == NUMPY_TYPES[datatype]
    np.testing.assert_array_equal(received, tensor)


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
        text = decode_request(body, model_of(spec("x", Datatype.BYTES, -1))).inputs["x"][0]
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
