"""Requests of the Open Inference Protocol and their answers, as bytes made before the clock runs.

Written here, apart from the runtime's codec, so that a mistake in one does not hide in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import orjson

from bench.serving.models import NAME, Array, Case

HEADER_LENGTH = "Inference-Header-Content-Length"
DATATYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32"}


class Encoding(StrEnum):
    """How tensors travel."""

    JSON = "json"
    BINARY = "binary"
    GRPC = "grpc"


@dataclass(frozen=True)
class Request:
    """A POST: path, body and headers."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Answer:
    """A 200: body and headers with lower-case names."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def json_request(case: Case) -> Request:
    """A V2 request whose tensors are JSON numbers, the shortest that give the same float32."""
    return Request(f"/v2/models/{NAME}/infer", _dumps({"inputs": _tensors(case.inputs)}))


def binary_request(case: Case) -> Request:
    """A V2 request by the binary tensor extension that asks for binary outputs."""
    document = {"inputs": _headers(case.inputs), "parameters": {"binary_data_output": True}}
    header = _dumps(document)
    blobs = b"".join(tensor.tobytes() for tensor in case.inputs.values())
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    return Request(f"/v2/models/{NAME}/infer", header + blobs, headers)


def reference_answer(case: Case, encoding: Encoding) -> Answer:
    """The right answer as a V2 server would write it: what the echo sends, so that its bytes weigh the same."""
    document: dict[str, Any] = {"model_name": NAME, "model_version": "1"}
    if encoding is Encoding.JSON:
        return Answer(_dumps({**document, "outputs": _tensors(case.outputs)}))
    header = _dumps({**document, "outputs": _headers(case.outputs)})
    return Answer(
        header + b"".join(tensor.tobytes() for tensor in case.outputs.values()),
        {HEADER_LENGTH.lower(): str(len(header))},
    )


def read_answer(answer: Answer) -> dict[str, Array]:
    """The tensors of a V2 answer, JSON or binary."""
    length = int(answer.headers.get(HEADER_LENGTH.lower(), len(answer.body)))
    document, rest = orjson.loads(answer.body[:length]), answer.body[length:]
    types = {name: kind for kind, name in DATATYPES.items()}
    tensors = {}
    for item in document["outputs"]:
        size = (item.get("parameters") or {}).get("binary_data_size")
        if size is None:
            flat: Array = np.array(item["data"], types[item["datatype"]])
        else:
            flat, rest = np.frombuffer(rest[:size], types[item["datatype"]]), rest[size:]
        tensors[item["name"]] = flat.reshape(item["shape"])
    return tensors


def _tensors(tensors: Mapping[str, Array]) -> list[dict[str, Any]]:
    return [{**_describe(name, tensor), "data": tensor.ravel()} for name, tensor in tensors.items()]


def _headers(tensors: Mapping[str, Array]) -> list[dict[str, Any]]:
    return [
        {**_describe(name, tensor), "parameters": {"binary_data_size": tensor.nbytes}}
        for name, tensor in tensors.items()
    ]


def _describe(name: str, tensor: Array) -> dict[str, Any]:
    return {"name": name, "shape": list(tensor.shape), "datatype": DATATYPES[tensor.dtype.name]}


def _dumps(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
