"""The OpenAPI description of this pod's own model, and a page to read it and to try a request on.

Both lie under `/v2`, the only paths that a router lets through. The page loads nothing from anywhere else.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from sluice import __version__
from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.examples import made_up
from sluice_runtime.intake.intake import Intake
from sluice_runtime.plane import Model
from sluice_runtime.protocol.codec import encode_tensor
from sluice_runtime.signature import Requests

PAGE = Path(__file__).with_name("docs.html")

_JSON_TYPES = {Datatype.BOOL: "boolean", Datatype.BYTES: "string"}
_FLOATS = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16})

_ERRORS = {
    "400": "The request does not fit the model; the error names what.",
    "404": "Unknown model, version or path.",
    "413": "The body, or what it decompresses to, is too large.",
    "500": "The model failed on these values.",
    "503": "The model is not ready, too many requests are waiting, or features cannot be had. Retry-After says when to "
    "try again.",
    "504": "No prediction within the deadline.",
}

Json = dict[str, Any]


def page() -> bytes:
    """The documentation page, HTML."""
    return PAGE.read_bytes()


@functools.lru_cache(maxsize=1)
def document(model: Model) -> bytes:
    """OpenAPI 3.1 of a model: its inputs and outputs with datatypes and shapes, and a request that works."""
    base = f"/v2/models/{model.name}"
    paths = {
        f"{base}/infer": {"post": _infer(model)},
        f"{base}/versions/{model.version}/infer": {"post": _infer(model, versioned=True)},
        base: {"get": _read("Names, datatypes and shapes of the model's tensors")},
        f"{base}/ready": {"get": _read("Whether the model is ready", "503")},
        **({f"{base}/card": {"get": _read("The model card of its package", "404")}} if model.card else {}),
        "/v2": {"get": _read("Name, version and protocol extensions of the server")},
        "/v2/health/live": {"get": _read("Whether the server answers")},
        "/v2/health/ready": {"get": _read("Whether the server is ready for requests", "503")},
        "/v2/repository/index": {"post": _read("The models of this server: one")},
    }
    title = f"{model.name} version {model.version}"
    info = {"title": title, "version": __version__, "description": _DESCRIPTION}
    return orjson.dumps(
        {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": {"Error": _ERROR}}},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


_DESCRIPTION = (
    "Predictions over the Open Inference Protocol V2. The same model answers over gRPC "
    "(inference.GRPCInferenceService) and takes binary tensors (extension binary_tensor_data)."
)
_NOTHING: Mapping[str, Mapping[str, str | bool]] = {}
_SOURCES = {"features": "the feature store", "clock": "the time of the request", "contract": "the data contract"}
_ERROR: Json = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def _infer(model: Model, versioned: bool = False) -> Json:
    example = example_request(model.requests, model.intake)
    return {
        "operationId": "inferVersion" if versioned else "infer",
        "summary": f"Predict with version {model.version}" if versioned else "Predict",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _request(model), "example": example}},
        },
        "responses": {
            "200": {"description": "The prediction.", "content": {"application/json": {"schema": _response(model)}}},
            **_errors(*_ERRORS),
        },
    }


def _read(summary: str, *errors: str) -> Json:
    answer = {"description": summary, "content": {"application/json": {"schema": {}}}}
    return {"summary": summary, "responses": {"200": answer, **_errors(*errors)}}


def _errors(*codes: str) -> Json:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {code: {"description": _ERRORS[code], "content": content} for code in codes}


def _request(model: Model) -> Json:
    names = [spec.name for spec in model.signature.outputs]
    wanted = {"type": "object", "required": ["name"], "properties": {"name": {"enum": names}}}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string", "description": "Comes back with the answer."},
            "parameters": {"type": "object"},
            "inputs": _tensors(model.requests.inputs, model.requests.parameters),
            "outputs": {"type": "array", "items": wanted, "description": "Left out: all outputs."},
        },
    }


def _response(model: Model) -> Json:
    return {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"const": model.name},
            "model_version": {"const": model.version},
            "id": {"type": "string"},
            "outputs": _tensors(model.signature.outputs),
        },
    }


def _tensors(specs: Sequence[TensorSpec], parameters: Mapping[str, Mapping[str, str | bool]] = _NOTHING) -> Json:
    return {"type": "array", "items": {"oneOf": [_tensor(spec, parameters.get(spec.name, {})) for spec in specs]}}


def _tensor(spec: TensorSpec, parameters: Mapping[str, str | bool]) -> Json:
    """The schema of one tensor; -1 in the signature is any size."""
    described = {"description": _words(parameters)} if parameters else {}
    sizes = [{"type": "integer", "minimum": 0} if size == -1 else {"const": size} for size in spec.shape]
    shape: Json = {"type": "array", "minItems": len(sizes), "maxItems": len(sizes)}
    if sizes:
        shape["prefixItems"] = sizes
    return {
        "title": f"{spec.name}: {spec.datatype} {list(spec.shape)}",
        **described,
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"const": spec.datatype},
            "shape": shape,
            "data": {"type": "array", "description": "Flat in row-major order, or nested.", "items": _value(spec)},
        },
    }


def _value(spec: TensorSpec) -> Json:
    kind = _JSON_TYPES.get(spec.datatype) or ("number" if spec.datatype in _FLOATS else "integer")
    alone: list[str] = [kind, "null"] if spec.datatype in _FLOATS else [kind]
    return {"type": [*alone, "array"]}


def _words(parameters: Mapping[str, str | bool]) -> str:
    """What a person should know of an input."""
    words = [f"the key {parameters['key']!r} of the feature store"] if "key" in parameters else []
    if "source" in parameters:
        sources = ", ".join(_SOURCES[source] for source in str(parameters["source"]).split(", "))
        must = "to be left out" if parameters.get("accepted") is False else "may be left out"
        words.append(f"{must}: filled in by {sources}")
    elif parameters.get("optional"):
        words.append("may be left out where no feature is looked up")
    return "; ".join(words)


def example_request(requests: Requests, intake: Intake | None) -> Json:
    """One row of made-up values that the model accepts."""
    values = made_up(requests.inputs, rows=1) if intake is None else intake.example()
    return {"inputs": [encode_tensor(requests.by_name[name], tensor) for name, tensor in values.items()]}
