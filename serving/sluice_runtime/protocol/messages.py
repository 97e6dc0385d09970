"""gRPC's messages to tensors and back: typed contents and raw ones in, raw ones out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.plane import InferRequest, InferResponse, Model
from sluice_runtime.protocol.binary import check_shape, decode_raw, encode_raw, text_of
from sluice_runtime.protocol.codec import NOTES, shortened
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from sluice_runtime.signature import NUMPY_TYPES, Served, Tensor

_CONTENTS: Mapping[Datatype, tuple[str, np.dtype[np.generic]]] = {
    Datatype.BOOL: ("bool_contents", np.dtype(np.bool_)),
    Datatype.INT8: ("int_contents", np.dtype(np.int32)),
    Datatype.INT16: ("int_contents", np.dtype(np.int32)),
    Datatype.INT32: ("int_contents", np.dtype(np.int32)),
    Datatype.INT64: ("int64_contents", np.dtype(np.int64)),
    Datatype.UINT8: ("uint_contents", np.dtype(np.uint32)),
    Datatype.UINT16: ("uint_contents", np.dtype(np.uint32)),
    Datatype.UINT32: ("uint_contents", np.dtype(np.uint32)),
    Datatype.UINT64: ("uint64_contents", np.dtype(np.uint64)),
    Datatype.FP32: ("fp32_contents", np.dtype(np.float32)),
    Datatype.FP64: ("fp64_contents", np.dtype(np.float64)),
}
"""Field and wire type by datatype. BYTES has a field too; FP16 and BF16 have none (open_inference.proto)."""


def decode_message(message: pb.ModelInferRequest, model: Served, timeout: float | None) -> InferRequest:
    """Decode an inference request.

    `timeout`: seconds its caller waits; the request's parameter of that name, in microseconds, can shorten them.

    Raises:
        RequestError: INVALID, naming what does not fit.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise _invalid(f"{len(message.inputs)} inputs, but {len(raw)} raw_input_contents; there must be one for each")
    specs = model.requests.by_name
    tensors: dict[str, Tensor] = {}
    for place, item in enumerate(message.inputs):
        spec = specs.get(item.name)
        if spec is None:
            raise _invalid(f"unknown input {item.name!r}; the model takes {list(specs)}")
        if spec.name in tensors:
            raise _invalid(f"input {spec.name!r} is there twice")
        tensors[spec.name] = _decode_input(item, spec, raw[place] if raw else None)
    outputs = tuple(output.name for output in message.outputs)
    if len(set(outputs)) != len(outputs):
        raise _invalid("each requested output needs a name of its own")
    if "timeout" in message.parameters:
        timeout = shortened(timeout, _value(message.parameters["timeout"]))
    return InferRequest(tensors, outputs, message.id or None, timeout)


def _value(parameter: pb.InferParameter) -> object:
    kind = parameter.WhichOneof("parameter_choice")
    return None if kind is None else getattr(parameter, kind)


def encode_message(response: InferResponse) -> bytes:
    """A serialized ModelInferResponse, always with raw contents: exact for every datatype, and much the fastest.

    Messages that follow one another are one message (protobuf's encoding, "Last One Wins"), so what is the same for
    every answer of these shapes is serialized once.
    """
    outputs = response.outputs
    head = _head(response.model, tuple(outputs), tuple([tensor.shape for tensor in outputs.values()]))
    contents = [encode_raw(tensor) for tensor in outputs.values()]
    message = pb.ModelInferResponse(id=response.id or "", raw_output_contents=contents)
    if response.notes:
        message.parameters[NOTES].string_param = response.notes
    return head + message.SerializeToString()


@lru_cache(maxsize=512)
def _head(model: Model, names: tuple[str, ...], shapes: tuple[tuple[int, ...], ...]) -> bytes:
    specs = model.signature.outputs_by_name
    message = pb.ModelInferResponse(model_name=model.name, model_version=model.version)
    for name, shape in zip(names, shapes, strict=True):
        message.outputs.add(name=name, datatype=specs[name].datatype, shape=shape)
    return message.SerializeToString()


def describe_model(model: Model) -> pb.ModelMetadataResponse:
    """The protocol's model metadata."""
    message = pb.ModelMetadataResponse(name=model.name, versions=[model.version], platform="onnx_onnxv1")
    for tensors, specs in ((message.inputs, model.requests.inputs), (message.outputs, model.signature.outputs)):
        for spec in specs:
            tensors.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
    for tensor in message.inputs:
        for name, value in model.requests.parameters.get(tensor.name, {}).items():
            if isinstance(value, bool):
                tensor.parameters[name].bool_param = value
            else:
                tensor.parameters[name].string_param = value
    return message


def _decode_input(item: pb.ModelInferRequest.InferInputTensor, spec: TensorSpec, raw: bytes | None) -> Tensor:
    if item.datatype != spec.datatype:
        raise _invalid(f"input {spec.name!r} has datatype {item.datatype!r}, expected {spec.datatype!s}")
    shape = list(item.shape)
    check_shape(shape, spec.name)
    if raw is None:
        return _decode_contents(item.contents, spec, shape)
    if item.HasField("contents"):
        raise _invalid(f"input {spec.name!r} has contents and raw_input_contents; only one of them is allowed")
    return decode_raw(raw, shape, spec)


def _decode_contents(contents: pb.InferTensorContents, spec: TensorSpec, shape: Sequence[int]) -> Tensor:
    if spec.datatype is Datatype.BYTES:
        tensor = np.empty(len(contents.bytes_contents), np.object_)
        tensor[:] = [text_of(value, spec.name) for value in contents.bytes_contents]
    elif spec.datatype in _CONTENTS:
        tensor = _decode_numbers(contents, spec)
    else:
        raise _invalid(f"input {spec.name!r} is {spec.datatype!s}, which travels as raw_input_contents only")
    try:
        return tensor.reshape(shape)
    except ValueError as error:
        raise _invalid(f"input {spec.name!r} has {tensor.size} values, which do not fit its shape {shape}") from error


def _decode_numbers(contents: pb.InferTensorContents, spec: TensorSpec) -> Tensor:
    field, wire_type = _CONTENTS[spec.datatype]
    values = getattr(contents, field)
    tensor = _decode_fixed(contents, wire_type, len(values)) if wire_type.kind == "f" else None
    if tensor is None:
        tensor = np.fromiter(values, wire_type, len(values))
    dtype = NUMPY_TYPES[spec.datatype]
    if dtype.itemsize < wire_type.itemsize and tensor.size:
        limits = np.iinfo(dtype)
        if int(tensor.min()) < limits.min or int(tensor.max()) > limits.max:
            message = f"the data of input {spec.name!r} must lie between {limits.min} and {limits.max}"
            raise _invalid(message)
    return tensor.astype(dtype, copy=False)


def _decode_fixed(contents: pb.InferTensorContents, wire_type: np.dtype[np.generic], count: int) -> Tensor | None:
    """Floats from their packed form, at once and not one by one: a large tensor would hold the loop for long.

    None when there is more in the message than these floats.
    """
    packed = contents.SerializeToString()
    size = count * wire_type.itemsize
    # One field's tag, and the length of what it holds, 7 bits a byte.
    start = 1 + max(1, -(-size.bit_length() // 7))
    if len(packed) != start + size:
        return None
    return np.frombuffer(packed, wire_type, count, start).copy()


def _invalid(message: str) -> RequestError:
    return RequestError(Kind.INVALID, message)
