"""gRPC as frames on a socket, for what no client library sends."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from runtime.harness import PATIENCE, Running
from sluice_runtime.http2.frames import HEADERS, PREFACE, SETTINGS, frame
from sluice_runtime.http2.hpack import literal

SERVICE = "inference.GRPCInferenceService"
METADATA = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))


def head(
    method: str = "ModelInfer", *more: tuple[bytes, bytes], verb: bytes = b"POST", service: str = SERVICE
) -> bytes:
    """A header block of a call."""
    path = f"/{service}/{method}".encode()
    pseudo = ((b":method", verb), (b":scheme", b"http"), (b":path", path), (b":authority", b"shop"))
    given = dict(more)
    fields = (*pseudo, *((name, given.pop(name, value)) for name, value in METADATA), *given.items())
    return b"".join(literal(name, value) for name, value in fields if value)


def call(number: int, block: bytes, end: bool = False) -> bytes:
    """HEADERS of a call."""
    return frame(HEADERS, 0x5 if end else 0x4, number, block)


def message(data: bytes, compressed: int = 0) -> bytes:
    """A message as gRPC frames it."""
    return bytes((compressed,)) + len(data).to_bytes(4, "big") + data


@contextlib.contextmanager
def dial(running: Running) -> Iterator[socket.socket]:
    """A connection on which HTTP/2 has begun."""
    with socket.create_connection(("127.0.0.1", running.config.grpc_port or 0), timeout=PATIENCE) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(PREFACE + frame(SETTINGS, 0, 0))
        yield line


def read_until(line: socket.socket, wanted: bytes) -> bytes:
    """What comes up to the wanted bytes; fails when the connection ends before."""
    seen = b""
    while wanted not in seen:
        data = line.recv(65536)
        assert data, seen
        seen += data
    return seen


def ended(line: socket.socket) -> bytes:
    """What comes until the runtime closes the connection."""
    seen = b""
    with contextlib.suppress(ConnectionError):
        while data := line.recv(65536):
            seen += data
    return seen
