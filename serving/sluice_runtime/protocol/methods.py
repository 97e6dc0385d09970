"""The shapes that a gRPC method has here: one message in, an answer at once or later, or unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError, Message

from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.http2.connection import Http2Connection
from sluice_runtime.http2.head import Fields
from sluice_runtime.protocol.calls import Call, Site
from sluice_runtime.protocol.status import Status

Answer = tuple[Callable[[Any], Message], type[Message]]
"""A function from a request to its response, and the kind of the request."""


class Unary(Call):
    """A method that takes one message: `handle` has it once the caller has ended."""

    __slots__ = ("_only",)

    def __init__(self, site: Site, line: Http2Connection, number: int, head: Fields) -> None:
        super().__init__(site, line, number, head)
        self._only: bytes | None = None

    def handle(self, data: bytes) -> None:
        """Answer the message, now or later.

        Raises:
            RequestError: why not.
        """
        raise NotImplementedError

    def take_all(self, data: bytes) -> None:
        """The message, as a rule."""
        self.guarded(self.handle, data)

    def message(self, data: bytes) -> None:
        """Keep the message until the caller has ended."""
        if self._only is not None:
            raise RequestError(Kind.NOT_ALLOWED, "the method takes one message")
        self._only = data

    def complete(self) -> None:
        """The caller has ended, with its message or without."""
        data, self._only = self._only, None
        if data is None:
            self.fail(RequestError(Kind.NOT_ALLOWED, "the method takes one message, but none came"))
        else:
            self.guarded(self.handle, data)


class Plain(Unary):
    """A method that only reads: its answer is there at once."""

    __slots__ = ("_answer", "_kind")

    def __init__(self, answer: Answer, site: Site, line: Http2Connection, number: int, head: Fields) -> None:
        super().__init__(site, line, number, head)
        self._answer, self._kind = answer

    def handle(self, data: bytes) -> None:
        """Answer."""
        self.answer(self._answer(parse(self._kind, data)).SerializeToString())


class Unknown(Call):
    """A method that nobody knows."""

    __slots__ = ()

    def read_head(self, head: Fields) -> None:
        """End the call."""
        self.finish(Status.UNIMPLEMENTED, "unknown method " + head[b":path"].decode("latin-1"))


def parse(kind: Any, data: bytes) -> Any:
    """A protobuf message of that kind.

    Raises:
        RequestError: INVALID.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise RequestError(Kind.INVALID, f"the message is no {kind.__name__}") from error
