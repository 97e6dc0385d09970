"""A real HTTP server that misbehaves by path."""

import contextlib
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit


class Handler(http.server.BaseHTTPRequestHandler):
    """`/ok` serves the archive; other paths fail each in its own way. Folders before the name are of no account."""

    protocol_version = "HTTP/1.1"
    archive = b""
    seen: Counter[str]
    authorization: list[str]
    ranges: list[int]
    released: threading.Event

    def do_GET(self) -> None:
        # Through a proxy the whole URL is asked for.
        name = urlsplit(self.path).path.rpartition("/")[2].removesuffix(".tar.gz").replace("-", "_")
        self.seen[name] += 1
        self.authorization.append(self.headers.get("Authorization", ""))
        if name.isdigit():
            self.answer(int(name), b"no")
        else:
            getattr(self, name)()

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Last-Modified", "Fri, 15 Jan 2027 08:00:30 GMT")
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
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

    def ranged(self, etag: str = '"v1"', cut: int | None = None) -> None:
        """The archive, or what is asked of it on the condition that it is still the same."""
        asked = self.headers.get("Range", "")
        condition = self.headers.get("If-Range") or self.headers.get("If-Match")
        if condition not in (etag, None) and self.headers.get("If-Match"):
            self.answer(412, b"")
            return
        start = int(asked[len("bytes=") : -1]) if asked and condition == etag else 0
        self.ranges.append(start)
        rest, whole = self.archive[start:], len(self.archive)
        span = f"bytes {start}-{whole - 1}/{whole}"
        self.answer(206 if start else 200, rest[:cut], len(rest), ETag=etag, Content_Range=span)
        self.close_connection = cut is not None

    def cut_often(self) -> None:
        self.ranged(cut=len(self.archive) // 4 + 1)

    def cut_and_changed(self) -> None:
        seen = self.seen["cut_and_changed"]
        self.ranged(etag=f'"v{min(seen, 2)}"', cut=200 if seen == 1 else None)

    def ever_changing(self) -> None:
        self.ranged(etag=f'"v{self.seen["ever_changing"]}"', cut=200)

    def busy_once(self) -> None:
        if self.seen["busy_once"] == 1:
            self.answer(429, b"", Retry_After="0")
        else:
            self.ok()

    def claims_more(self) -> None:
        self.answer(200, self.archive, len(self.archive) + 10)
        self.close_connection = True

    def to_loopback(self) -> None:
        self.answer(302, b"", Location="http://localhost:1/ok")

    def to_metadata(self) -> None:
        self.answer(307, b"", Location="http://169.254.169.254/latest/meta-data/")

    def to_cluster(self) -> None:
        self.answer(301, b"", Location="http://10.96.0.1/")

    def to_file(self) -> None:
        self.answer(302, b"", Location="file:///etc/passwd")

    def to_nonsense(self) -> None:
        self.answer(302, b"", Location="http://[::1/")

    def drop_and_wait(self) -> None:
        self.answer(200, b"x", 2, ETag='"v1"')
        self.released.wait(30)
        self.wfile.write(b"y")

    def models(self) -> None:
        """A listing of a bucket that says the same key a thousand times, and that there is more of it."""
        entry = "<Key>shop/3/a</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><Size>1</Size>"
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{self.seen['models']}</NextContinuationToken>"
        self.answer(
            200, f"<ListBucketResult>{more}{f'<Contents>{entry}</Contents>' * 1000}</ListBucketResult>".encode()
        )

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
    """The server; `seen` counts requests by path, `authorization` and `ranges` hold what each asked with and for."""

    daemon_threads = True

    def __init__(self, archive: bytes) -> None:
        self.seen: Counter[str] = Counter()
        self.authorization: list[str] = []
        self.ranges: list[int] = []
        self.released = threading.Event()
        kept = {"seen": self.seen, "authorization": self.authorization, "ranges": self.ranges}
        own = {"archive": archive, "released": self.released, **kept}
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
