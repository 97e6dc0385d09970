"""What a request asks for is what a model pod would read in it, or nothing."""

import gzip
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.manifest import Datatype
from sluice_authorizer.asked import Asked, read_asked
from sluice_authorizer.entities import MOST_VALUES, Entities, read_entities
from sluice_authorizer.outcomes import Refusal, Why
from sluice_authorizer.paths import Form
from sluice_runtime.errors import RequestError
from sluice_runtime.protocol.codec import decode_request
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from sluice_runtime.signature import Requests
from unit.authorizer.parts import asked, question
from unit.serving.fakes import model_of, spec
from unit.serving.intake.packages import CITY, SIZE, intake, references

MOST = 100_000
JSON = {b"content-type": b"application/json"}
GRPC = {b"content-type": b"application/grpc"}


def tensor(name: str = "store_id", datatype: str = "INT64", data: Any = (42,), **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": list(data), **more}


def body(*inputs: Any) -> bytes:
    return json.dumps({"inputs": list(inputs) or [tensor()]}).encode()


def rest(content: bytes, headers: dict[bytes, bytes] | None = None, names: tuple[str, ...] = ("store_id",)) -> Any:
    return read_entities(asked(headers={**JSON, **(headers or {})}), Form.REST, content, names, MOST)


def grpc(content: bytes, headers: dict[bytes, bytes] | None = None) -> Entities | Refusal:
    return read_entities(asked(headers={**GRPC, **(headers or {})}), Form.GRPC, content, ("store_id",), MOST)


def message(**contents: Any) -> pb.ModelInferRequest:
    made = pb.ModelInferRequest(model_name="m")
    item = made.inputs.add(name="store_id", datatype="INT64", shape=[2])
    item.contents.int64_contents.extend([42, 43])
    return made


def framed(data: bytes, compressed: int = 0) -> bytes:
    return struct.pack(">BL", compressed, len(data)) + data


def refused(found: Any, why: Why = Why.BODY) -> str:
    assert isinstance(found, Refusal), found
    assert found.why is why
    return found.text


@pytest.mark.parametrize(
    ("datatype", "data", "values"),
    [
        ("INT64", [42, 2**63 - 1], [42, 2**63 - 1]),
        ("UINT64", [2**64 - 1], [2**64 - 1]),
        ("INT8", [-128], [-128]),
        ("BOOL", [True, False], [True, False]),
        ("BYTES", ["42", "ä\u0000"], ["42", "ä\u0000"]),
        ("FP32", [0.5], [0.5]),
        ("FP16", [1.5], [1.5]),
        ("BF16", [1.5], [1.5]),
        ("FP64", [2.0**53 - 1, float("-1e15")], [2.0**53 - 1, -1e15]),
        ("INT64", [[1, 2], [3, 4]], [1, 2, 3, 4]),
    ],
)
def test_values_of_each_datatype(datatype, data, values):
    shape = [2, 2] if isinstance(data[0], list) else [len(data)]
    assert rest(body({**tensor(datatype=datatype, data=data), "shape": shape})) == {"store_id": values}


def test_named_inputs_are_read_and_others_left():
    found = rest(body(tensor("b", data=[1]), tensor("a", data=[2]), tensor("c", data=[3])), names=("a", "b"))
    assert found == {"a": [2], "b": [1]}


def test_raw_tensors_behind_the_json_are_read_by_their_order():
    inputs = [
        {"name": name, "datatype": "INT32", "shape": [2], "parameters": {"binary_data_size": 8}}
        for name in ("other", "store_id")
    ]
    text = json.dumps({"inputs": inputs}).encode()
    raw = np.array([1, 2, 42, 43], np.int32).tobytes()
    headers = {b"content-type": b"application/octet-stream", b"inference-header-content-length": b"%d" % len(text)}
    assert rest(text + raw, headers) == {"store_id": [42, 43]}
    refused(rest(text + raw + b"x", headers))
    refused(rest(text + raw[:-1], headers))
    refused(rest(text + raw))


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        *((name, gzip.compress(body(), mtime=0)) for name in (b"gzip", b"x-gzip", b"GZIP")),
        (b"deflate", zlib.compress(body())),
        (b"identity", body()),
    ],
)
def test_compressed_bodies_are_read(encoding, content):
    assert rest(content, {b"content-encoding": encoding}) == {"store_id": [42]}


@pytest.mark.parametrize("encoding", [b"gzip, gzip", b"br", b"gzip,deflate", b"", b"chunked", b"gzip;q=1"])
def test_other_encodings_are_refused(encoding):
    refused(rest(gzip.compress(gzip.compress(body())), {b"content-encoding": encoding}))


def test_a_bomb_is_refused_before_it_bursts():
    refused(rest(gzip.compress(b" " * 50_000_000 + body()), {b"content-encoding": b"gzip"}), Why.TOO_LARGE)
    refused(rest(b" " * MOST + body()), Why.TOO_LARGE)
    refused(grpc(framed(gzip.compress(b"\0" * 50_000_000), 1), {b"grpc-encoding": b"gzip"}), Why.TOO_LARGE)


@pytest.mark.parametrize(
    "text",
    [
        b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42],"data":[43]}]}',
        b'{"inputs":[],"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}',
        b'{"inputs":[{"name":"a","name":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}',
        b'{"inputs":[{"name":"a","\\u006eame":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}',
        b'{"id":"x","id":"y","inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}',
        b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}{}',
        b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[NaN]}]}',
        b'\xef\xbb\xbf{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}',
        '{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}'.encode("utf-16"),
        b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42],}]}',
        b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[2],"data":[42]}]}',
        b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42.5]}]}',
        b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":["42"]}]}',
        b'{"inputs":[{"name":"store_id","datatype":"int64","shape":[1],"data":[42]}]}',
        b'{"inputs":[{"name":"store_id","datatype":["INT64"],"shape":[1],"data":[42]}]}',
        b'{"inputs":{"name":"store_id"}}',
        b'{"inputs":[5]}',
        b"[]",
        b"null",
        b"",
        b"[" * 50_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
    ],
)
def test_what_could_be_read_in_two_ways_or_none_is_refused(text):
    refused(rest(text))


def test_an_input_that_is_there_twice_is_refused():
    refused(rest(body(tensor(data=[42]), tensor(data=[43]))))
    twice = message()
    twice.inputs.add(name="store_id", datatype="INT64", shape=[1]).contents.int64_contents.append(99)
    refused(grpc(framed(twice.SerializeToString())))


def test_an_input_that_is_missing_is_refused_with_its_name():
    assert "'store_id'" in refused(rest(body(tensor("other"))), Why.DATA)
    assert "'store_id'" in refused(rest(body(tensor("Store_Id"))), Why.DATA)


@pytest.mark.parametrize("value", [2.0**53, -1e300, 1e308])
def test_a_number_that_stands_for_several_integers_is_refused(value):
    refused(rest(body(tensor(datatype="FP64", data=[1.0, value]))), Why.DATA)


def test_more_values_than_a_rule_can_bear_are_refused():
    assert len(rest(body(tensor(data=[1] * MOST_VALUES)))["store_id"]) == MOST_VALUES
    refused(rest(body(tensor(data=[1] * (MOST_VALUES + 1)))), Why.DATA)


@pytest.mark.parametrize(
    "kind", [b"application/json; charset=utf-8", b"Application/JSON", b"application/vnd.shop+json", None]
)
def test_json_by_any_of_its_names(kind):
    one = asked(headers={} if kind is None else {b"content-type": kind})
    assert read_entities(one, Form.REST, body(), ("store_id",), MOST) == {"store_id": [42]}


@pytest.mark.parametrize(
    "kind", [b"text/plain", b"application/x-www-form-urlencoded", b"application/grpc", b"application/jsonx", b""]
)
def test_other_content_is_refused(kind):
    found = read_entities(asked(headers={b"content-type": kind}), Form.REST, body(), ("store_id",), MOST)
    refused(found, Why.CONTENT_TYPE)
    refused(read_entities(asked(headers={b"content-type": kind + b"x"}), Form.GRPC, b"", (), MOST), Why.CONTENT_TYPE)


@pytest.mark.parametrize(
    "name", [b"content-type", b"content-encoding", b"inference-header-content-length", b"grpc-encoding"]
)
def test_a_header_that_is_there_twice_is_refused(name):
    headers = [(b"x-sluice-authorize", question()), (name, b"application/json"), (name, b"application/json")]
    one = read_asked("POST", b"/authorize/v2", headers, "peer")
    assert isinstance(one, Asked)
    assert name.decode() in refused(read_entities(one, Form.REST, body(), ("store_id",), MOST))


@pytest.mark.parametrize("length", [b"-1", b"5x", b"", b" 5", b"9" * 5000, b"99999", "٣".encode()])
def test_a_strange_length_of_the_json_is_refused(length):
    refused(rest(body(), {b"inference-header-content-length": length}))


def test_messages_of_grpc_are_read_plain_and_compressed():
    data = message().SerializeToString()
    assert grpc(framed(data)) == {"store_id": [42, 43]}
    assert grpc(framed(gzip.compress(data), 1), {b"grpc-encoding": b"gzip"}) == {"store_id": [42, 43]}
    assert grpc(framed(data), {b"grpc-encoding": b"gzip"}) == {"store_id": [42, 43]}


def test_raw_contents_of_grpc_are_read():
    made = pb.ModelInferRequest(raw_input_contents=[np.array([7, 8], np.int64).tobytes()])
    made.inputs.add(name="store_id", datatype="INT64", shape=[2])
    assert grpc(framed(made.SerializeToString())) == {"store_id": [7, 8]}
    made.inputs[0].contents.int64_contents.append(7)
    refused(grpc(framed(made.SerializeToString())))


def test_frames_that_are_wrong_are_refused():
    data = message().SerializeToString()
    for wrong in (
        b"",
        b"\0",
        framed(data)[:-1],
        framed(data) + b"x",
        framed(data) * 2,
        framed(data, 2),
        framed(b"\xff"),
    ):
        refused(grpc(wrong))
    refused(grpc(framed(gzip.compress(data), 1)))
    refused(grpc(framed(data, 1), {b"grpc-encoding": b"gzip"}))
    refused(grpc(framed(gzip.compress(data), 1), {b"grpc-encoding": b"br"}))


SHOP = intake(features=references(), variables=[{"name": "city", "nullable": True}])


@dataclass
class Shop:
    """A model that knows stores by their ids, and asks a feature store for the rest."""

    requests: Requests = SHOP.requests


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_the_keys_that_features_are_looked_up_by_are_what_a_rule_sees(shape):
    rain = {"name": "rain", "datatype": "FP32", "shape": [2, 1], "data": [None, 1.5]}
    city = {"name": "city", "datatype": "BYTES", "shape": [2, 1], "data": [None, ""]}
    content = body({**tensor(data=[42, 43]), "shape": shape}, rain, city)
    request, _ = decode_request(content, Shop())
    asked_for = SHOP.draft(request.inputs).entities["store_id"].tolist()
    assert rest(content) == {"store_id": asked_for} == {"store_id": [42, 43]}
    assert "must hold text" in refused(rest(content, names=("city",)))


def test_a_request_without_its_key_is_refused_though_the_model_might_take_it():
    free = intake(features=references({**SIZE, "requestWins": True}, {**CITY, "requestWins": True}))
    assert "store_id" in free.requests.optional
    content = body({"name": "size", "datatype": "FP32", "shape": [1, 1], "data": [5]})
    assert "no input 'store_id'" in refused(rest(content), Why.DATA)


MODEL = model_of(spec("store_id", Datatype.INT64, -1))

PIECES = st.sampled_from(
    [
        *(b'{"inputs":[', b'{"name":"store_id",', b'"name":"x",', b'"datatype":"INT64",', b'"datatype":"FP32",'),
        *(b'"shape":[1],', b'"shape":[2],', b'"data":[42]', b'"data":[43]', b'"data":[4,2]', b'"data":[[42]]', b","),
        *(b"}", b"]", b"]}", b"}]}", b'"id":"data",', b'"parameters":{},', b"null", b'"data":', b"[", b" ", b"\\"),
    ]
)


@given(st.lists(PIECES, max_size=14).map(b"".join))
def test_what_is_read_is_what_the_pod_reads(text):
    found = rest(text)
    if isinstance(found, Refusal):
        return
    try:
        request, _ = decode_request(text, MODEL)
    except RequestError:
        return
    assert found["store_id"] == request.inputs["store_id"].ravel().tolist()


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3),
    st.booleans(),
)
def test_a_sound_request_is_read_as_the_pod_reads_it(values, others, before):
    more = [tensor(name, data=[1]) for name in others]
    text = body(*([tensor(data=values), *more] if before else [*more, tensor(data=values)]))
    assert rest(text) == {"store_id": values}


@given(st.binary(max_size=80))
def test_no_body_is_too_strange(content):
    rest(content)
    grpc(content)
    grpc(framed(content))
    rest(content, {b"content-encoding": b"gzip"})
