"""A proxy on loopback through which the object stores' library goes, because it follows redirects without asking.

Where the store is a cloud's own, the cloud may lead where it likes. A store at an endpoint of somebody's own is held to
the same rule as any other server: what it leads to is looked up and checked here, and connected to here, or asked for
at the proxy that the environment names.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from urllib.parse import SplitResult, unquote, urlsplit

from sluice.failures import PackageError, Reason
from sluice_store.addresses import Guard, Resolve, proxy_for, resolve_host

HEAD_BYTES = 64 * 1024
PIECE_BYTES = 64 * 1024

_PORTS = {"http": 80, "https": 443}
_OF_A_HOP = ("proxy-", "connection:", "keep-alive:")


class Gate(socketserver.ThreadingTCPServer):
    """The proxy. `refusal`: why the store led to a place that it may not lead to; None as long as it did not."""

    daemon_threads = True

    def __init__(self, guard: Guard, timeout_seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.guard = guard
        self.timeout_seconds = timeout_seconds
        self.refusal: PackageError | None = None

    @property
    def url(self) -> str:
        """Where the proxy is."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def connect(self, scheme: str, host: str, port: int) -> tuple[socket.socket, SplitResult | None]:
        """A connection to a host that may be led to, or to the proxy that leads to it, and that proxy.

        Raises:
            PackageError: AddressRefused, or InvalidConfig for a proxy that is not spoken to here.
            OSError: nobody is there.
        """
        try:
            proxy = _proxy(scheme, host, port)
            addresses = self.guard.addresses(scheme, host, port, proxied=proxy is not None)
        except PackageError as error:
            self.refusal = error
            raise
        if proxy is not None:
            there = (proxy.hostname or "", proxy.port or _PORTS["http"])
            return socket.create_connection(there, timeout=self.timeout_seconds), proxy
        problem = OSError(f"{host} has no address")
        for address in addresses:
            try:
                return socket.create_connection((address, port), timeout=self.timeout_seconds), None
            except OSError as error:
                problem = error
        raise problem

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up in the middle is how a download that is given up looks from here."""


@contextlib.contextmanager
def gate_before(endpoint: str | None, timeout_seconds: float, resolve: Resolve = resolve_host) -> Iterator[Gate | None]:
    """A gate for a store at this endpoint; None for a cloud's own."""
    parts = urlsplit(endpoint or "")
    if not parts.hostname:
        yield None
        return
    guard = Guard(parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme, 0), resolve)
    with Gate(guard, timeout_seconds) as gate:
        thread = threading.Thread(target=gate.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield gate
        finally:
            gate.shutdown()
            thread.join()


def _proxy(scheme: str, host: str, port: int) -> SplitResult | None:
    proxy = urlsplit(proxy_for(scheme, host, port) or "")
    if proxy.scheme not in ("", "http"):
        message = (
            f"the proxy for {host} is spoken to over {proxy.scheme}; object stores with an endpoint take http:// ones"
        )
        raise PackageError(Reason.INVALID_CONFIG, message)
    return proxy if proxy.hostname else None


class _Visit(socketserver.BaseRequestHandler):
    """One connection of the library's: one tunnel, or one request."""

    server: Gate

    def handle(self) -> None:
        head, rest = self._read_head()
        method, _, target = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        target = target.partition(" ")[0]
        url = urlsplit(f"https://{target}" if method == "CONNECT" else target)
        try:
            there, proxy = self.server.connect(url.scheme, url.hostname or "", url.port or _PORTS.get(url.scheme, 0))
        except PackageError:
            self._answer("403 Forbidden")
            return
        except OSError:
            self._answer("502 Bad Gateway")
            return
        with there:
            if proxy is not None:
                there.sendall(_to_proxy(head, method, proxy))
            elif method == "CONNECT":
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                there.sendall(_to_origin(head, method, url))
            there.sendall(rest)
            _join(self.request, there)

    def _read_head(self) -> tuple[bytes, bytes]:
        self.request.settimeout(self.server.timeout_seconds)
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self.request.recv(HEAD_BYTES)
            if not piece or len(received) > HEAD_BYTES:
                raise ConnectionError("no request came")
            received += piece
        head, _, rest = received.partition(b"\r\n\r\n")
        return head, rest

    def _answer(self, status: str) -> None:
        self.request.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


def _to_origin(head: bytes, method: str, url: SplitResult) -> bytes:
    """The request as the store expects it, and the last one on its connection: the next may be for somebody else."""
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    first = f"{method} {path} HTTP/1.1".encode("latin-1")
    return b"\r\n".join([first, *_kept(head), b"Connection: close", b"", b""])


def _to_proxy(head: bytes, method: str, proxy: SplitResult) -> bytes:
    """The request as the next proxy expects it, whose answer goes back as it is."""
    ours = [] if method == "CONNECT" else [b"Connection: close"]
    if proxy.username is not None:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        ours.append(b"Proxy-Authorization: Basic " + base64.b64encode(pair))
    return b"\r\n".join([head.partition(b"\r\n")[0], *_kept(head), *ours, b"", b""])


def _kept(head: bytes) -> list[bytes]:
    lines = head.split(b"\r\n")[1:]
    return [line for line in lines if not line.lower().startswith(tuple(name.encode() for name in _OF_A_HOP))]


def _join(here: socket.socket, there: socket.socket) -> None:
    """Carry bytes both ways until both are done; silence is for the library to measure."""
    for end in (here, there):
        end.settimeout(None)
    back = threading.Thread(target=_carry, args=(here, there), daemon=True)
    back.start()
    _carry(there, here)
    with contextlib.suppress(OSError):
        here.shutdown(socket.SHUT_RDWR)
    back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
