"""A real HTTP server that misbehaves by path."""

import contextlib
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


class Handler(http.server.BaseHTTPRequestHandler):
    """`/ok` serves the archive; other paths fail each in its own way."""

    protocol_version = "HTTP/1.1"
    archive = b""
    seen: Counter[str]
    authorization: list[str]
    released: threading.Event

    def do_GET(self) -> None:
        name = self.path.strip("/").split("?")[0].removesuffix(".tar.gz").replace("-", "_")
        self.seen[name] += 1
        self.authorization.append(self.headers.get("Authorization", ""))
        if name.isdigit():
            self.answer(int(name), b"no")
        else:
            getattr(self, name)()

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def ok(self) -> None:
        self.answer(200, self.archive)

    def bad_once(self) -> None:
        self.answer(200 if self.seen["bad_once"] > 1 else 503, self.archive)

    def cut(self) -> None:
        self.answer(200, self.archive[:100], len(self.archive))
        self.close_connection = True

    def cut_once(self) -> None:
        if self.seen["cut_once"] == 1:
            self.cut()
        else:
            self.ok()

    def silent(self) -> None:
        self.answer(200, self.archive[:100], len(self.archive))
        self.released.wait(30)
        self.close_connection = True

    def claims_much(self) -> None:
        self.answer(200, b"", 10**13)
        self.close_connection = True

    def endless(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.released.is_set():
                self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        self.close_connection = True

    def moved(self) -> None:
        self.answer(302, b"", Location="/ok")

    def circle(self) -> None:
        self.answer(302, b"", Location="/circle")

    def private(self) -> None:
        known = self.headers.get("Authorization") in ("Bearer s3cret", "Basic dXNlcjpwYXNz")
        self.answer(200 if known else 401, self.archive)

    def page(self) -> None:
        self.answer(200, b"<html>please log in</html>")

    def log_message(self, *args: object) -> None:
        """Quiet."""


class WebServer(http.server.ThreadingHTTPServer):
    """The server; `seen` counts requests by path, `authorization` holds the header of each."""

    daemon_threads = True

    def __init__(self, archive: bytes) -> None:
        self.seen: Counter[str] = Counter()
        self.authorization: list[str] = []
        self.released = threading.Event()
        own = {"archive": archive, "seen": self.seen, "authorization": self.authorization, "released": self.released}
        super().__init__(("127.0.0.1", 0), type("OwnHandler", (Handler,), own))
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what half of these paths are for."""


@contextlib.contextmanager
def web_server(archive: Path) -> Iterator[WebServer]:
    """A server for one archive, gone afterwards."""
    server = WebServer(archive.read_bytes())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
