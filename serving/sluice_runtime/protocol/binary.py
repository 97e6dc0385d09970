"""Raw tensors: the form of the binary tensor extension over HTTP and of raw contents over gRPC.

Row-major and little-endian without padding; BYTES is, for each element, a 4-byte length and that many bytes. Source:
the binary tensor data extension of the Open Inference Protocol.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.signature import NUMPY_TYPES, Tensor

_LENGTH = struct.Struct("<I")

MAX_DIMENSIONS = 32
"""numpy's limit before 2.0; no graph has more."""

MAX_ELEMENTS = 2**48


def check_shape(shape: Sequence[int], name: str) -> None:
    """Check that each size is one that a tensor can have.

    Raises:
        RequestError: INVALID.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise RequestError(Kind.INVALID, f"input {name!r} has more than {MAX_DIMENSIONS} dimensions")
    for size in shape:
        if not 0 <= size < 2**31:
            raise RequestError(Kind.INVALID, f"the shape of input {name!r} must be a list of sizes from 0 up")
    # An empty tensor may have any other sizes, but numpy cannot address more than this.
    if math.prod(filter(None, shape) if 0 in shape else shape) > MAX_ELEMENTS:
        raise RequestError(Kind.INVALID, f"the shape of input {name!r} is too large")


def decode_raw(data: bytes | memoryview, shape: Sequence[int], spec: TensorSpec) -> Tensor:
    """A tensor of the spec's datatype from its raw form; `shape` was checked. Fixed-size values are not copied.

    Raises:
        RequestError: INVALID when the bytes are not exactly that many values, or not UTF-8 text for BYTES.
    """
    if spec.datatype is Datatype.BYTES:
        return _decode_texts(data, math.prod(shape), spec.name).reshape(shape)
    dtype = NUMPY_TYPES[spec.datatype]
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise _invalid(f"input {spec.name!r} has {len(data)} bytes, but its shape {list(shape)} needs {wanted}")
    tensor: Tensor = np.frombuffer(data, dtype)
    if spec.datatype is Datatype.BOOL:
        # Any byte may come, and a bool that is neither 0 nor 1 makes compiled code misbehave.
        tensor = tensor.view(np.uint8) != 0
    elif not tensor.flags.aligned:
        tensor = tensor.copy()
    return tensor.reshape(shape)


def encode_raw(tensor: Tensor) -> bytes:
    """The raw form of an output. Text is written as UTF-8."""
    if tensor.dtype.kind not in "OU":
        return tensor.tobytes()
    parts: list[bytes] = []
    for text in tensor.ravel():
        encoded = text.encode()
        parts += (_LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)


def text_of(data: bytes | memoryview, name: str) -> str:
    """One element of BYTES. ONNX Runtime's strings are text to the graph, so anything but UTF-8 is refused.

    Raises:
        RequestError: INVALID.
    """
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"input {name!r} holds bytes that are not UTF-8; the model takes text") from error


def _decode_texts(data: bytes | memoryview, count: int, name: str) -> Tensor:
    # Before anything is allocated: a shape may promise billions of elements.
    if count * _LENGTH.size > len(data):
        raise _invalid(f"input {name!r} has {len(data)} bytes, too few for {count} elements with their lengths")
    texts = np.empty(count, np.object_)
    view, at = memoryview(data), 0
    for index in range(count):
        start = at + _LENGTH.size
        if start > len(view):
            raise _invalid(f"input {name!r} ends before its element {index}")
        at = start + _LENGTH.unpack_from(view, at)[0]
        if at > len(view):
            raise _invalid(f"element {index} of input {name!r} is longer than the data")
        texts[index] = text_of(view[start:at], name)
    if at != len(view):
        raise _invalid(f"input {name!r} has {len(view) - at} bytes more than its shape needs")
    return texts


def _invalid(message: str) -> RequestError:
    return RequestError(Kind.INVALID, message)
