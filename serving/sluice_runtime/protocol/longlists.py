"""Long JSON without a long silence.

One call into the JSON parser keeps the interpreter's lock from its first byte to its last, on whichever thread, and
makes an object of each number: 32 MiB of them would silence the probes for a third of a second and hold 100 MiB more.
A long flat list of numbers is therefore read piece by piece into raw values, and its request decoded as if the caller
had sent them raw. Whatever this does not understand is decoded, and refused, in the usual way.
"""

from __future__ import annotations

from typing import Any

import orjson

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.errors import RequestError
from sluice_runtime.plane import InferRequest, Model
from sluice_runtime.protocol.codec import Form, decode_request
from sluice_runtime.protocol.values import to_array

LONG_JSON_BYTES = 256 * 1024
"""JSON takes 9 ms a MiB: longer texts are left to a thread."""

_PIECE_BYTES = 64 * 1024
"""Half a millisecond between two chances for the event loop to take the lock."""

_NOT_RAW = frozenset({Datatype.BYTES, Datatype.BOOL})


def decode_long(body: bytes, model: Model, json_bytes: int | None, timeout: float | None) -> tuple[InferRequest, Form]:
    """Decode a request with long JSON, on a thread; as `codec.decode_request` does.

    Raises:
        RequestError: INVALID.
    """
    if json_bytes is None:
        try:
            raw, length = _as_raw(body, model)
            return decode_request(raw, model, length, timeout)
        except (ValueError, LookupError, TypeError, RequestError):
            pass  # what is wrong, if anything is, is said in the terms of what the caller sent
    return decode_request(body, model, json_bytes, timeout)


def _as_raw(body: bytes, model: Model) -> tuple[bytes, int]:
    """The request with the data of its only input as raw values, and the length of its JSON.

    Raises:
        ValueError, LookupError, TypeError, RequestError: it has another form.
    """
    start = body.index(b"[", body.index(b'"data":'))
    end = body.index(b"]", start)
    document: dict[str, Any] = orjson.loads(b"%b[]%b" % (body[:start], body[end + 1 :]))
    [item] = document["inputs"]
    spec = model.requests.by_name[item["name"]]
    parameters = item.setdefault("parameters", {})
    if item.pop("data") != [] or spec.datatype in _NOT_RAW or "binary_data_size" in parameters:
        raise ValueError("no list of numbers")
    raw = _values(body, start + 1, end, spec)
    parameters["binary_data_size"] = len(raw)
    text = orjson.dumps(document)
    return text + raw, len(text)


def _values(body: bytes, start: int, end: int, spec: TensorSpec) -> bytes:
    """The numbers between two places as raw values."""
    pieces = []
    while start <= end:
        cut = body.find(b",", start + _PIECE_BYTES, end)
        cut = end if cut < 0 else cut
        numbers = orjson.loads(b"[%b]" % body[start:cut])
        if not numbers:
            raise ValueError("a comma without a number")
        pieces.append(to_array(numbers, spec).tobytes())
        start = cut + 1
    return b"".join(pieces)
