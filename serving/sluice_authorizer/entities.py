"""The values of named inputs, read by the runtime's own code, so that no request means one thing here, another there.

A model pod refuses an input whose datatype is not the model's. So what a request declares is what it will be read as,
and the authorizer needs to know no model. What two readers could read differently is refused, though a pod takes it.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf.message import DecodeError

from sluice.manifest import Datatype, TensorSpec
from sluice_authorizer.asked import Asked
from sluice_authorizer.outcomes import Refusal, Why
from sluice_authorizer.paths import Form
from sluice_runtime import bfloat16
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.protocol.codec import decode_request
from sluice_runtime.protocol.compression import IDENTITY, inflate
from sluice_runtime.protocol.messages import decode_message
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from sluice_runtime.signature import Requests, Tensor, Tensors

Entities = dict[str, list[Any]]

MOST_VALUES = 4096
"""Of one input. The library of rules goes through 9,999 elements for one request."""

_TYPES = {
    Form.REST: re.compile(rb"application/([a-z0-9.\-]+\+)?json(\s*;.*)?|application/octet-stream(\s*;.*)?", re.I),
    Form.GRPC: re.compile(rb"application/grpc(\+proto)?(;.*)?"),
}
_EXACT = 2.0**53
"""From here on a floating-point number stands for several integers, and the library of rules would take it for each."""
_PREFIX = struct.Struct(">BL")
_JSON_BYTES = b"inference-header-content-length"
_DATATYPES = frozenset(Datatype)


@dataclass(frozen=True, slots=True)
class _Declared:
    """Stands for the model: it takes what the request says."""

    requests: Requests


def read_entities(asked: Asked, form: Form, body: bytes, names: Collection[str], most_bytes: int) -> Entities | Refusal:
    """The values of the named inputs, flat and in order. `most_bytes`: of the body, once decompressed."""
    if asked.unclear:
        name = min(asked.unclear).decode()
        return Refusal(Why.BODY, f"the header {name} is there more than once")
    # JSON is what a pod takes a body for that says nothing.
    kind = asked.content.get(b"content-type", b"application/json")
    if not _TYPES[form].fullmatch(kind):
        wanted = "application/json or application/octet-stream" if form is Form.REST else "application/grpc"
        return Refusal(Why.CONTENT_TYPE, f"where a rule decides about data, content-type must be {wanted}")
    read = _read_rest if form is Form.REST else _read_grpc
    try:
        if len(body) > most_bytes:
            raise RequestError(Kind.TOO_LARGE, f"the body is larger than {most_bytes} bytes")
        tensors, datatypes = read(asked.content, body, names, most_bytes)
    except RequestError as error:
        return Refusal(Why.TOO_LARGE if error.kind is Kind.TOO_LARGE else Why.BODY, error.message)
    missing = [name for name in names if name not in tensors]
    if missing:
        return Refusal(Why.DATA, f"the request has no input {missing[0]!r}, which decides whether it is allowed")
    if any(tensors[name].size > MOST_VALUES for name in names):
        return Refusal(Why.DATA, f"a rule decides about at most {MOST_VALUES} values of an input in one request")
    found = {name: _values(tensors[name], datatypes[name]) for name in names}
    if any(type(value) is float and abs(value) >= _EXACT for values in found.values() for value in values):
        return Refusal(Why.DATA, "a rule cannot decide about numbers beyond 2**53 that are no integers")
    return found


def _read_rest(
    headers: Mapping[bytes, bytes], body: bytes, names: Collection[str], most_bytes: int
) -> tuple[Tensors, dict[str, Datatype]]:
    encoding = headers.get(b"content-encoding", IDENTITY).strip().lower()
    if encoding != IDENTITY:
        body = inflate(body, encoding, most_bytes)
    json_bytes = _json_bytes(headers.get(_JSON_BYTES), len(body))
    document = _parse(body[:json_bytes])
    items = document.get("inputs")
    model = _declared(((item.get("name"), item.get("datatype")) for item in _objects(items)), names)
    request, _ = decode_request(body, model, json_bytes)
    return request.inputs, {spec.name: spec.datatype for spec in model.requests.inputs}


def _read_grpc(
    headers: Mapping[bytes, bytes], body: bytes, names: Collection[str], most_bytes: int
) -> tuple[Tensors, dict[str, Datatype]]:
    if len(body) < _PREFIX.size or len(body) - _PREFIX.size != _PREFIX.unpack_from(body)[1] or body[0] > 1:
        raise _invalid("the body must be one whole gRPC message")
    data = body[_PREFIX.size :]
    if body[0]:
        data = inflate(data, headers.get(b"grpc-encoding", IDENTITY), most_bytes)
    try:
        message = pb.ModelInferRequest.FromString(data)
    except DecodeError as error:
        raise _invalid("the message is no ModelInferRequest") from error
    model = _declared(((item.name, item.datatype) for item in message.inputs), names)
    return decode_message(message, model, None).inputs, {spec.name: spec.datatype for spec in model.requests.inputs}


def _json_bytes(value: bytes | None, length: int) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > 10 or int(value) > length:
        raise _invalid("Inference-Header-Content-Length must be a number of bytes of the body")
    return int(value)


def _parse(text: bytes) -> dict[str, Any]:
    """A JSON object without any name that is there twice, of which readers take the first or the last."""
    try:
        # Numbers become their lengths here, which take no memory; what they are the other parser says.
        json.loads(text.decode(), object_pairs_hook=_once, parse_int=len, parse_float=len)
        document = orjson.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the body is no JSON that can be read in one way only: {error}") from error
    if not isinstance(document, dict):
        raise _invalid("the body must be a JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice in one object")
    return found


def _objects(items: Any) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _invalid("'inputs' must be a list of tensors")
    return items


def _declared(inputs: Iterable[tuple[Any, Any]], names: Collection[str]) -> _Declared:
    specs: dict[str, TensorSpec] = {}
    for name, datatype in inputs:
        if not isinstance(name, str) or not name or not isinstance(datatype, str) or datatype not in _DATATYPES:
            raise _invalid("each input needs a name and one of the protocol's datatypes")
        if name in specs:
            raise _invalid(f"input {name!r} is there twice")
        specs[name] = TensorSpec(name=name, datatype=Datatype(datatype), shape=())
    # Whether text may be missing only the model knows; where the rule does not look it may be.
    return _Declared(Requests(tuple(specs.values()), blank=frozenset(specs.keys() - set(names))))


def _values(tensor: Tensor, datatype: Datatype) -> list[Any]:
    flat = tensor.ravel()
    found: list[Any] = (bfloat16.to_float32(flat) if datatype is Datatype.BF16 else flat).tolist()
    return found


def _invalid(message: str) -> RequestError:
    return RequestError(Kind.INVALID, message)
