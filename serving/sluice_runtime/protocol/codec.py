"""V2 JSON to tensors and back.

Strict where a silent conversion would change a prediction: text is no number, 1.5 is no integer, 300 is no UINT8.
JSON has no NaN, so `null` stands for it in floating-point tensors, in requests as in answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.plane import InferRequest, InferResponse, Model
from sluice_runtime.signature import NUMPY_TYPES, Tensor

_FLOATS = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64})


def decode_request(body: bytes, model: Model) -> InferRequest:
    """Decode an inference request.

    Raises:
        RequestError: INVALID, naming what does not fit.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"the body is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise _invalid("the body must be a JSON object")
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise _invalid("'id' must be a string")
    return InferRequest(_decode_inputs(document.get("inputs"), model), _decode_outputs(document), identity)


def encode_response(response: InferResponse) -> bytes:
    """Encode a prediction; tensors are flat and row-major."""
    specs = {spec.name: spec for spec in response.model.signature.outputs}
    document: dict[str, Any] = {"model_name": response.model.name, "model_version": response.model.version}
    if response.id is not None:
        document["id"] = response.id
    document["outputs"] = [_encode_tensor(specs[name], tensor) for name, tensor in response.outputs.items()]
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


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
            "inputs": [_describe(spec) for spec in model.signature.inputs],
            "outputs": [_describe(spec) for spec in model.signature.outputs],
        }
    )


def _decode_inputs(inputs: Any, model: Model) -> dict[str, Tensor]:
    if not isinstance(inputs, list):
        raise _invalid("'inputs' must be a list of tensors")
    specs = {spec.name: spec for spec in model.signature.inputs}
    tensors: dict[str, Tensor] = {}
    for item in inputs:
        if not isinstance(item, dict):
            raise _invalid("each input must be an object with name, datatype, shape and data")
        spec = _find_spec(item.get("name"), specs)
        if spec.name in tensors:
            raise _invalid(f"input {spec.name!r} is there twice")
        tensors[spec.name] = _decode_tensor(item, spec)
    return tensors


def _find_spec(name: Any, specs: Mapping[str, TensorSpec]) -> TensorSpec:
    spec = specs.get(name) if isinstance(name, str) else None
    if spec is None:
        raise _invalid(f"unknown input {name!r}; the model takes {list(specs)}")
    return spec


def _decode_tensor(item: dict[str, Any], spec: TensorSpec) -> Tensor:
    if item.get("datatype") != spec.datatype:
        raise _invalid(f"input {spec.name!r} has datatype {item.get('datatype')!r}, expected {spec.datatype!s}")
    shape = _decode_shape(item.get("shape"), spec.name)
    if "data" not in item:
        raise _invalid(f"input {spec.name!r} has no 'data'")
    data = item["data"]
    if not isinstance(data, list):
        raise _invalid(f"the data of input {spec.name!r} must be a list")
    tensor = _to_array(data, spec)
    if tensor.size != math.prod(shape):
        raise _invalid(f"input {spec.name!r} has {tensor.size} values, but its shape {shape} needs {math.prod(shape)}")
    if tensor.ndim > 1 and tensor.size and list(tensor.shape) != shape:
        raise _invalid(f"the data of input {spec.name!r} is nested as {list(tensor.shape)}, but its shape is {shape}")
    return tensor.reshape(shape)


def _decode_shape(shape: Any, name: str) -> list[int]:
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise _invalid(f"the shape of input {name!r} must be a list of sizes from 0 up")
    if len(shape) > 32:
        raise _invalid(f"input {name!r} has more than 32 dimensions")
    return shape


def _to_array(data: list[Any], spec: TensorSpec) -> Tensor:
    try:
        if spec.datatype is Datatype.BYTES:
            return _to_strings(data, spec.name)
        return _to_numbers(data, spec)
    except (ValueError, OverflowError, FloatingPointError) as error:
        raise _invalid(f"the data of input {spec.name!r} does not fit {spec.datatype!s}: {error}") from error


def _to_numbers(data: list[Any], spec: TensorSpec) -> Tensor:
    """Let numpy see what the values are before they become the wanted type: it would convert almost anything."""
    dtype = NUMPY_TYPES[spec.datatype]
    array: Tensor = np.array(data)
    kind = array.dtype.kind
    if array.size == 0:
        return array.astype(dtype)
    if spec.datatype in _FLOATS:
        if kind == "O":
            array = _with_nulls(array)
        elif kind not in "fiu":
            raise ValueError("it must hold numbers")
        with np.errstate(over="raise"):
            return array.astype(dtype, copy=False)
    if spec.datatype is Datatype.BOOL:
        if kind != "b":
            raise ValueError("it must hold true and false")
        return array
    return _to_integers(array, data, dtype)


def _to_integers(array: Tensor, data: list[Any], dtype: np.dtype[Any]) -> Tensor:
    if array.dtype.kind in "fO":
        # numpy joins small and very large integers to floats; only Python's own integers tell.
        array = np.array(data, dtype=np.object_)
    if array.dtype.kind not in "iuO" or not _all_of(array, (int,)):
        raise ValueError("it must hold whole numbers")
    limits = np.iinfo(dtype)
    if int(array.min()) < limits.min or int(array.max()) > limits.max:
        raise ValueError(f"values must lie between {limits.min} and {limits.max}")
    return array.astype(dtype, copy=False)


def _with_nulls(array: Tensor) -> Tensor:
    if not _all_of(array, (int, float, type(None))):
        raise ValueError("it must hold numbers")
    return array.astype(np.float64)


def _to_strings(data: list[Any], name: str) -> Tensor:
    array = np.array(data, dtype=np.object_)
    if not _all_of(array, (str,)):
        raise ValueError("it must hold text")
    return array


def _all_of(array: Tensor, kinds: tuple[type, ...]) -> bool:
    return array.dtype.kind != "O" or all(type(value) in kinds for value in array.flat)


def _decode_outputs(document: dict[str, Any]) -> tuple[str, ...]:
    outputs = document.get("outputs")
    if outputs is None:
        return ()
    if not isinstance(outputs, list) or not all(isinstance(item, dict) for item in outputs):
        raise _invalid("'outputs' must be a list of objects with a name")
    names = tuple(item.get("name") for item in outputs)
    if len(set(map(str, names))) != len(names) or not all(isinstance(name, str) for name in names):
        raise _invalid("each requested output needs a name of its own")
    return names


def _encode_tensor(spec: TensorSpec, tensor: Tensor) -> dict[str, Any]:
    flat = tensor.ravel()
    data = flat.tolist() if flat.dtype.kind in "OU" else flat
    return {"name": spec.name, "datatype": spec.datatype, "shape": tensor.shape, "data": data}


def _describe(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _invalid(message: str) -> RequestError:
    return RequestError(Kind.INVALID, message)
