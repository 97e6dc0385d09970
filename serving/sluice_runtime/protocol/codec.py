"""V2 over HTTP to tensors and back: JSON, and tensors as raw bytes behind it (the binary tensor extension).

JSON has neither NaN nor infinities. In requests `null` stands for NaN; in answers it stands for all three, because a
literal `NaN` would make the whole answer unreadable to strict parsers, browsers among them. A client that must tell
them apart asks for binary output, which carries every value exactly, as gRPC does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime import bfloat16
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.plane import InferRequest, InferResponse, Model
from sluice_runtime.protocol.binary import check_shape, decode_raw, encode_raw
from sluice_runtime.protocol.values import to_array
from sluice_runtime.signature import Requests, Served, Tensor


@dataclass(frozen=True, slots=True)
class Form:
    """Which outputs the caller wants as raw bytes: by name where it says so, else all or none."""

    binary: bool = False
    by_name: Mapping[str, bool] = field(default_factory=dict)

    def is_binary(self, name: str) -> bool:
        """True for an output that travels as raw bytes."""
        return self.by_name.get(name, self.binary)


NOTES = "sluice_notes"
"""The parameter of an answer that says what was filled in or flagged."""

_JSON_ONLY = Form()
_BF16 = Datatype.BF16


def decode_request(
    body: bytes | memoryview, model: Served, json_bytes: int | None = None, timeout: float | None = None
) -> tuple[InferRequest, Form]:
    """Decode an inference request: JSON and, where `json_bytes` says where it ends, raw tensors behind it.

    `timeout`: seconds its caller waits; the request's parameter of that name, in microseconds, can shorten them.

    Raises:
        RequestError: INVALID, naming what does not fit.
    """
    if json_bytes is not None and json_bytes > len(body):
        raise _invalid(f"Inference-Header-Content-Length is {json_bytes}, but the body has {len(body)} bytes")
    raw = None if json_bytes is None else _Raw(memoryview(body)[json_bytes:])
    document = _parse(body if json_bytes is None else body[:json_bytes])
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise _invalid("'id' must be a string")
    inputs = _decode_inputs(document.get("inputs"), model.requests, raw)
    if raw is not None:
        raw.check_end()
    names, form = _decode_outputs(document)
    return InferRequest(inputs, names, identity, shortened(timeout, _parameters(document).get("timeout"))), form


def _parse(text: bytes | memoryview) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"the body is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise _invalid("the body must be a JSON object")
    return document


def encode_response(response: InferResponse, form: Form = _JSON_ONLY) -> tuple[bytes, int | None]:
    """Encode a prediction; tensors are flat and row-major.

    Returns the body and, where raw tensors follow it, the length of its JSON.
    """
    specs = response.model.signature.outputs_by_name
    document: dict[str, Any] = {"model_name": response.model.name, "model_version": response.model.version}
    if response.id is not None:
        document["id"] = response.id
    if response.notes:
        document["parameters"] = {NOTES: response.notes}
    blobs: list[bytes] = []
    plain = form is _JSON_ONLY
    document["outputs"] = [
        encode_tensor(specs[name], tensor)
        if plain or not form.is_binary(name)
        else _encode_raw(specs[name], tensor, blobs)
        for name, tensor in response.outputs.items()
    ]
    text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join((text, *blobs)), len(text)) if blobs else (text, None)


def encode_error(message: str) -> bytes:
    """The protocol's error object."""
    return orjson.dumps({"error": message})


def encode_metadata(model: Model) -> bytes:
    """The protocol's model metadata."""
    return orjson.dumps(
        {
            "name": model.name,
            "versions": [model.version],
            "platform": "onnx_onnxv1",
            "inputs": [_describe(spec, model.requests.parameters.get(spec.name)) for spec in model.requests.inputs],
            "outputs": [_describe(spec) for spec in model.signature.outputs],
        }
    )


class _Raw:
    """The bytes behind the JSON, given out in the order of the inputs."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def take(self, size: Any, name: str) -> memoryview:
        if type(size) is not int or not 0 <= size <= len(self._data):
            raise _invalid(f"input {name!r} has binary_data_size {size!r}, but {len(self._data)} bytes are left")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def check_end(self) -> None:
        if len(self._data):
            raise _invalid(f"{len(self._data)} bytes of binary data belong to no input")


def _decode_inputs(inputs: Any, requests: Requests, raw: _Raw | None) -> dict[str, Tensor]:
    if not isinstance(inputs, list):
        raise _invalid("'inputs' must be a list of tensors")
    specs, blank = requests.by_name, requests.blank
    tensors: dict[str, Tensor] = {}
    for item in inputs:
        if not isinstance(item, dict):
            raise _invalid("each input must be an object with name, datatype, shape and data")
        spec = _find_spec(item.get("name"), specs)
        if spec.name in tensors:
            raise _invalid(f"input {spec.name!r} is there twice")
        tensors[spec.name] = _decode_tensor(item, spec, raw, spec.name in blank)
    return tensors


def _find_spec(name: Any, specs: Mapping[str, TensorSpec]) -> TensorSpec:
    spec = specs.get(name) if isinstance(name, str) else None
    if spec is None:
        raise _invalid(f"unknown input {name!r}; the model takes {list(specs)}")
    return spec


def _decode_tensor(item: dict[str, Any], spec: TensorSpec, raw: _Raw | None, blank: bool) -> Tensor:
    if item.get("datatype") != spec.datatype:
        raise _invalid(f"input {spec.name!r} has datatype {item.get('datatype')!r}, expected {spec.datatype!s}")
    shape = _decode_shape(item.get("shape"), spec.name)
    size = _parameters(item).get("binary_data_size")
    if size is not None:
        return _take_raw(item, spec, shape, size, raw)
    if "data" not in item:
        raise _invalid(f"input {spec.name!r} has no 'data'")
    data = item["data"]
    if not isinstance(data, list):
        raise _invalid(f"the data of input {spec.name!r} must be a list")
    tensor = to_array(data, spec, blank)
    if tensor.size != math.prod(shape):
        raise _invalid(f"input {spec.name!r} has {tensor.size} values, but its shape {shape} needs {math.prod(shape)}")
    if tensor.ndim > 1 and tensor.size and list(tensor.shape) != shape:
        raise _invalid(f"the data of input {spec.name!r} is nested as {list(tensor.shape)}, but its shape is {shape}")
    return tensor.reshape(shape)


def _take_raw(item: dict[str, Any], spec: TensorSpec, shape: list[int], size: Any, raw: _Raw | None) -> Tensor:
    if raw is None and size == 0:
        raw = _Raw(memoryview(b""))  # KServe's client sends no header where no byte follows
    if raw is None:
        raise _invalid(f"input {spec.name!r} is binary, but the header Inference-Header-Content-Length is missing")
    if item.get("data"):
        raise _invalid(f"input {spec.name!r} has both 'data' and binary data")
    return decode_raw(raw.take(size, spec.name), shape, spec)


def shortened(seconds: float | None, microseconds: Any) -> float | None:
    """The shorter time; 0 microseconds stand for none, as in Triton, from which the parameter `timeout` comes.

    Raises:
        RequestError: INVALID.
    """
    if microseconds is None:
        return seconds
    if type(microseconds) is not int or microseconds < 0:
        raise _invalid("the parameter 'timeout' must be a whole number of microseconds")
    if microseconds == 0:
        return seconds
    return microseconds / 1e6 if seconds is None else min(seconds, microseconds / 1e6)


def _parameters(item: dict[str, Any]) -> dict[str, Any]:
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise _invalid("'parameters' must be an object")
    return parameters


def _decode_shape(shape: Any, name: str) -> list[int]:
    if not isinstance(shape, list) or not {int}.issuperset(map(type, shape)):
        raise _invalid(f"the shape of input {name!r} must be a list of sizes from 0 up")
    check_shape(shape, name)
    return shape


def _decode_outputs(document: dict[str, Any]) -> tuple[tuple[str, ...], Form]:
    everything = _flag(_parameters(document), "binary_data_output")
    outputs = document.get("outputs")
    if outputs is None:
        return (), Form(binary=True) if everything else _JSON_ONLY
    if not isinstance(outputs, list) or not all(isinstance(item, dict) for item in outputs):
        raise _invalid("'outputs' must be a list of objects with a name")
    names = tuple(item.get("name") for item in outputs)
    if len(set(map(str, names))) != len(names) or not all(isinstance(name, str) for name in names):
        raise _invalid("each requested output needs a name of its own")
    return names, Form(bool(everything), dict(_wishes(outputs)))


def _wishes(outputs: list[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    for item in outputs:
        wish = _flag(_parameters(item), "binary_data")
        if wish is not None:
            yield item["name"], wish


def _flag(parameters: dict[str, Any], name: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise _invalid(f"the parameter {name!r} must be true or false")
    return value


def encode_tensor(spec: TensorSpec, tensor: Tensor) -> dict[str, Any]:
    """A tensor as the protocol's JSON object; its numbers may be a numpy array, which orjson writes."""
    flat = tensor.ravel()
    if spec.datatype is _BF16:
        flat = bfloat16.to_float32(flat)
    data = flat.tolist() if flat.dtype.kind in "OU" else flat
    # `_value_`, because orjson asks a member of an enumeration for its value by a call into Python.
    return {"name": spec.name, "datatype": spec.datatype._value_, "shape": tensor.shape, "data": data}


def _encode_raw(spec: TensorSpec, tensor: Tensor, blobs: list[bytes]) -> dict[str, Any]:
    blobs.append(encode_raw(tensor))
    parameters = {"binary_data_size": len(blobs[-1])}
    return {"name": spec.name, "datatype": spec.datatype, "shape": tensor.shape, "parameters": parameters}


def _describe(spec: TensorSpec, parameters: Mapping[str, str | bool] | None = None) -> dict[str, Any]:
    form = {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}
    return {**form, "parameters": parameters} if parameters else form


def _invalid(message: str) -> RequestError:
    return RequestError(Kind.INVALID, message)
