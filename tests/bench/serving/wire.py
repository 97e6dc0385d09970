"""The gRPC messages that are measured, as bytes.

Written by the wire format (protobuf.dev/programming-guides/encoding), so that neither generated code nor the runtime's
own is in the way: a field is its number and kind as a varint, then its length and content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bench.serving.messages import DATATYPES
from bench.serving.models import NAME, Array

MODEL_NAME, MODEL_VERSION, TENSORS, RAW_OUTPUTS, RAW_INPUTS = 1, 2, 5, 6, 7
TENSOR_NAME, TENSOR_DATATYPE, TENSOR_SHAPE = 1, 2, 3
VARINT, SIZED = 0, 2


def infer_request(inputs: Mapping[str, Array]) -> bytes:
    """A serialized ModelInferRequest with raw contents."""
    raw = b"".join(field(RAW_INPUTS, tensor.tobytes()) for tensor in inputs.values())
    return field(MODEL_NAME, NAME.encode()) + _tensors(inputs) + raw


def infer_response(outputs: Mapping[str, Array]) -> bytes:
    """A serialized ModelInferResponse with raw contents."""
    raw = b"".join(field(RAW_OUTPUTS, tensor.tobytes()) for tensor in outputs.values())
    return field(MODEL_NAME, NAME.encode()) + field(MODEL_VERSION, b"1") + _tensors(outputs) + raw


def read_response(message: bytes, like: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors of a ModelInferResponse; datatypes and shapes are those of the awaited tensors of the same name."""
    fields = list(parse(message))
    headers = [dict(parse(content)) for number, content in fields if number == TENSORS]
    names = [header[TENSOR_NAME].decode() for header in headers]
    raw = [content for number, content in fields if number == RAW_OUTPUTS]
    return {
        name: np.frombuffer(content, like[name].dtype).reshape(like[name].shape)
        for name, content in zip(names, raw, strict=True)
    }


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint(number << 3 | SIZED) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; the top bit says that more follow."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def parse(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The sized fields of a message with their numbers; numbers (varints) are passed over."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        length, position = _read_varint(message, position)
        if key & 7 == SIZED:
            yield key >> 3, message[position : position + length]
            position += length
        elif key & 7 != VARINT:
            raise ValueError(f"wire type {key & 7} is not used in these messages")


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while message[position] & 0x80:
        value |= (message[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | message[position] << shift, position + 1


def _tensors(tensors: Mapping[str, Array]) -> bytes:
    return b"".join(field(TENSORS, _describe(name, tensor)) for name, tensor in tensors.items())


def _describe(name: str, tensor: Array) -> bytes:
    shape = b"".join(varint(size) for size in tensor.shape)
    datatype = DATATYPES[tensor.dtype.name]
    return field(TENSOR_NAME, name.encode()) + field(TENSOR_DATATYPE, datatype.encode()) + field(TENSOR_SHAPE, shape)
