"""A gRPC call on a stream of HTTP/2: its head, its messages whatever frames they come in, and how it ends.

Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md). No task and no future for a call: what a call needs is called when it
is there, so that all calls of one read reach the batcher in the same turn of the loop.
"""

from __future__ import annotations

import asyncio
import logging
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from sluice_runtime.door import Door
from sluice_runtime.errors import Kind, RequestError, for_caller
from sluice_runtime.http2.connection import Http2Connection
from sluice_runtime.http2.head import Fields
from sluice_runtime.http2.stream import Block, Stream
from sluice_runtime.plane import Plane
from sluice_runtime.protocol import status
from sluice_runtime.protocol.compression import IDENTITY, INLINE_BYTES, WINDOW_BITS, inflate
from sluice_runtime.protocol.status import Status
from sluice_runtime.tracing import Spans

log = logging.getLogger(__name__)

_PREFIX = struct.Struct(">BL")
"""Before each message: whether it is compressed, and its length."""

_TYPE = re.compile(rb"application/grpc(\+proto)?(;.*)?")
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


@dataclass(eq=False)
class Site:
    """What all calls of a process share. `ended` is told of each call that has ended, for the access log."""

    plane: Plane
    door: Door
    spans: Spans | None = None
    ended: Callable[[Call], None] | None = None


class Call(Stream):
    """A call to a method. Its class is the method: it overrides `message`, and `complete` for the end of messages.

    `deadline`: the loop's time until which the caller waits. `size`: bytes of the request; `written`: of the answer.
    `status` is set when the call ends.
    """

    __slots__ = ("_begun", "_buffer", "_inflating", "deadline", "encoding", "head", "site", "size", "status", "written")

    def __init__(self, site: Site, line: Http2Connection, number: int, head: Fields) -> None:
        super().__init__(line, number)
        self.site = site
        self.head = head
        self.deadline: float | None = None
        self.size = 0
        self.written = 0
        self.status: Status | None = None
        self.encoding = IDENTITY
        self._buffer: bytearray | None = None
        self._begun = False
        self._inflating = False

    def message(self, data: bytes) -> None:
        """A whole message of the caller, decompressed."""
        raise NotImplementedError

    def complete(self) -> None:
        """The caller has sent its last message."""
        raise NotImplementedError

    def opened(self) -> None:
        """Read the head; a call without any message is complete with it."""
        head = self.head
        if head[b":method"] != b"POST":
            self._refuse(Status.UNIMPLEMENTED, status.NOT_POST)
        elif _TYPE.fullmatch(head.get(b"content-type", b"")) is None:
            self._refuse(Status.UNIMPLEMENTED, status.NOT_GRPC)
        else:
            self.read_head(head)
            if self.ended and self.status is None:
                self.complete()

    def received(self, data: bytes) -> None:
        """Take a part of the messages; most requests are one message in one frame."""
        if self.status is not None:
            return
        size = len(data)
        self.size += size
        door = self.site.door
        door.buffered += size
        if door.buffered > door.limits.max_buffered_bytes:
            door.refused("memory")
            self.finish(Status.UNAVAILABLE, "too many bytes are waiting; try again later")
        elif self.ended and self._buffer is None and size >= 5 and _PREFIX.unpack_from(data) == (0, size - 5):
            self.take_all(data[5:])
        else:
            if self._buffer is None:
                self._buffer = bytearray()
            self._buffer += data
            self._read_messages()

    def take_all(self, data: bytes) -> None:
        """The caller's only message, with which it has also ended."""
        self._take(data)
        if self.status is None:
            self.complete()

    def gone(self) -> None:
        """The caller waits no longer."""
        if self.status is None:
            self._ended(Status.CANCELLED)

    def overdue(self) -> None:
        """The request trickles in."""
        self.site.door.refused("slow_client")
        self.finish(Status.DEADLINE_EXCEEDED, "the request took too long to arrive")

    def answer(self, data: bytes) -> None:
        """End well with the only message of an answer."""
        self.written = len(data)
        self._ended(Status.OK)
        self.line.answer(self, status.HEAD, _PREFIX.pack(0, len(data)) + data, status.TAIL)

    def push(self, data: bytes) -> None:
        """Send one of several messages."""
        if not self._begun:
            self._begun = True
            self.line.begin(self, status.HEAD)
        self.written += len(data)
        self.line.send(self, _PREFIX.pack(0, len(data)) + data)

    def finish(self, code: Status, words: str = "") -> None:
        """End without a further message."""
        if self._begun or code is Status.OK:
            if not self._begun:
                self.line.begin(self, status.HEAD)
            self._ended(code)
            self.line.finish(self, status.tail(code, words))
        else:
            self._refuse(code, status.refusal(code, words))

    def fail(self, error: RequestError) -> None:
        """End with an error."""
        self.finish(status.STATUSES[error.kind], error.message)

    def seconds(self) -> float:
        """Time since the head of the request, in the loop's whole milliseconds."""
        return self.line.loop.time() - self.since

    def _refuse(self, code: Status, block: Block) -> None:
        self._ended(code)
        self.line.refuse(self, block)

    def _ended(self, code: Status) -> None:
        self.status = code
        self._buffer = None
        site = self.site
        site.door.buffered -= self.size
        if site.ended is not None:
            site.ended(self)

    def read_head(self, head: Fields) -> None:
        """What the head says of the messages; may end the call."""
        timeout = head.get(b"grpc-timeout")
        if timeout is not None:
            match = _TIMEOUT.fullmatch(timeout)
            if match is None:
                self.finish(Status.INVALID_ARGUMENT, "grpc-timeout must be up to 8 digits and a unit")
                return
            self.deadline = self.since + int(match[1]) * _UNITS[match[2]]
        encoding = head.get(b"grpc-encoding", IDENTITY)
        if encoding != IDENTITY:
            if encoding not in WINDOW_BITS:
                self.finish(Status.UNIMPLEMENTED, "grpc-encoding must be gzip, deflate or identity")
            self.encoding = encoding

    def _read_messages(self) -> None:
        """Take the messages that are whole; one that is being inflated keeps the others waiting."""
        while self.status is None and not self._inflating and self._buffer and len(self._buffer) >= 5:
            buffer = self._buffer
            compressed, size = _PREFIX.unpack_from(buffer)
            limit = self.site.door.limits.max_body_bytes
            if compressed > 1 or (compressed and self.encoding == IDENTITY):
                self.finish(Status.INTERNAL, "a message is compressed, but grpc-encoding does not say how")
            elif size > limit:
                self.refuse_large(RequestError(Kind.TOO_LARGE, f"the message is larger than {limit} bytes"))
            elif len(buffer) < size + 5:
                break
            else:
                data = bytes(memoryview(buffer)[5 : size + 5])
                del buffer[: size + 5]
                (self._inflate if compressed else self._take)(data)
        if self.ended and self.status is None and not self._inflating:
            self._end_of_messages()

    def _end_of_messages(self) -> None:
        if self._buffer:
            self.finish(Status.INTERNAL, "the request ends in the middle of a message")
        else:
            self.complete()

    def refuse_large(self, error: RequestError) -> None:
        """A message beyond the limit; methods that are counted count it."""
        self.fail(error)

    def _take(self, data: bytes) -> None:
        self.guarded(self.message, data)

    def guarded(self, take: Callable[[bytes], None], data: bytes) -> None:
        """Take a message; whatever goes wrong ends the call."""
        try:
            take(data)
        except RequestError as error:
            self.fail(error)
        except Exception as error:
            log.exception("a call failed inside the runtime")
            self.fail(for_caller(error))

    def _inflate(self, data: bytes) -> None:
        limit = self.site.door.limits.max_body_bytes
        if len(data) > INLINE_BYTES:
            self._inflating = True
            inflating = self.line.loop.run_in_executor(None, inflate, data, self.encoding, limit)
            inflating.add_done_callback(self._inflated)
            return
        try:
            plain = inflate(data, self.encoding, limit)
        except RequestError as error:
            self._refuse_inflated(error)
        else:
            self._take(plain)

    def _inflated(self, inflating: asyncio.Future[bytes]) -> None:
        self._inflating = False
        error = inflating.exception()
        if self.status is not None:
            return
        if isinstance(error, RequestError):
            self._refuse_inflated(error)
        else:
            self._take(inflating.result())
            self._read_messages()

    def _refuse_inflated(self, error: RequestError) -> None:
        if error.kind is Kind.TOO_LARGE:
            self.refuse_large(error)
        else:
            self.fail(error)
