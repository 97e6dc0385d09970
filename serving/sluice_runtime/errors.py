"""Why a request was not answered with a prediction, free of any transport: REST and gRPC each translate the kind."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """What went wrong. INVALID and UNKNOWN are the caller's fault, FAILED is the model's, FEATURES that of what the
    feature store holds, STORE is a call of it that brought nothing, and STORE_DEADLINE is a request whose time was over
    while it waited for one; the others are the load's.
    """

    INVALID = "invalid"
    UNKNOWN = "unknown"
    TOO_LARGE = "too_large"
    NOT_ALLOWED = "not_allowed"
    NOT_READY = "not_ready"
    FEATURES = "features"
    STORE = "feature_store"
    STORE_DEADLINE = "feature_store_deadline"
    OVERLOADED = "overloaded"
    DEADLINE = "deadline"
    FAILED = "failed"
    ABANDONED = "abandoned"


class RequestError(Exception):
    """A request that gets no prediction. `message` is for the caller."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


INTERNAL = "internal error of the runtime"
"""All that a caller learns of a fault that was not foreseen; its traceback is in the log."""


def for_caller(error: object) -> RequestError:
    """What the caller is told of an error that ended the request."""
    return error if isinstance(error, RequestError) else RequestError(Kind.FAILED, INTERNAL)


STATUS: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNKNOWN: 404,
    Kind.NOT_ALLOWED: 405,
    Kind.TOO_LARGE: 413,
    Kind.ABANDONED: 499,
    Kind.FAILED: 500,
    Kind.NOT_READY: 503,
    Kind.FEATURES: 503,
    Kind.STORE: 503,
    Kind.OVERLOADED: 503,
    Kind.DEADLINE: 504,
    Kind.STORE_DEADLINE: 504,
}
"""HTTP status of each kind; metrics use these numbers as `code` whatever the transport. 499 (nginx's number) is never
sent: the caller was gone before its work ran."""
