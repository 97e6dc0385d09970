"""Which requests ask for a prediction, so that a rule over data decides about them. Strict: the unknown is refused."""

from __future__ import annotations

import re
from enum import Enum

from sluice_authorizer.outcomes import Refusal, Why

_SERVICE = b"/inference.GRPCInferenceService/"
_INFER = re.compile(rb"/v2/models/[^/]+(/versions/[^/]+)?/infer/?")
_READING_POSTS = frozenset(
    (
        b"/v2/repository/index",
        *(
            _SERVICE + name
            for name in (
                *(b"ServerLive", b"ServerReady", b"ModelReady"),
                *(b"ServerMetadata", b"ModelMetadata", b"RepositoryIndex"),
            )
        ),
        b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        b"/grpc.health.v1.Health/Check",
        b"/grpc.health.v1.Health/Watch",
    )
)
_READING_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
"""A model pod predicts on POST alone."""

_STRANGE = Refusal(Why.PATH, "where a rule decides about data, only the protocol's own paths are open")


class Form(Enum):
    """How a request for a prediction is written."""

    REST = "rest"
    GRPC = "grpc"


def form_of(method: str, path: bytes) -> Form | Refusal | None:
    """The form of a request for a prediction; None for a request that asks for none."""
    if method in _READING_METHODS or (method == "POST" and path in _READING_POSTS):
        return None
    if method == "POST" and path == _SERVICE + b"ModelInfer":
        return Form.GRPC
    if method == "POST" and _INFER.fullmatch(path):
        return Form.REST
    return _STRANGE
