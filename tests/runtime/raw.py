"""HTTP as bytes on a socket, for what no client library sends."""

import contextlib
import json
import socket
from collections.abc import Iterator

from runtime.harness import PATIENCE, Running

ROW = {"name": "X", "datatype": "FP32", "shape": [1, 30], "data": [float(i) for i in range(30)]}
BODY = json.dumps({"inputs": [ROW]}).encode()
PATH = "/v2/models/shop/infer"


def request(body: bytes = BODY, *headers: str, method: str = "POST", target: str = PATH) -> bytes:
    """A request with its length."""
    lines = [f"{method} {target} HTTP/1.1", "host: shop", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextlib.contextmanager
def dial(running: Running) -> Iterator[socket.socket]:
    """A connection to a runtime."""
    with socket.create_connection(("127.0.0.1", running.config.port), timeout=PATIENCE) as line:
        yield line


class Answers:
    """Reads answers one after the other."""

    def __init__(self, line: socket.socket) -> None:
        self.file = line.makefile("rb")

    def next(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        status = int(self.file.readline().split()[1])
        headers = {}
        while (text := self.file.readline().decode().strip()) != "":
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self.file.read(int(headers.get("content-length", 0)))

    def ended(self) -> bool:
        """True when the runtime has closed the connection."""
        try:
            return self.file.read(1) == b""
        except ConnectionError:
            return True


def ask(running: Running, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """The first answer to these bytes on a connection of their own."""
    with dial(running) as line:
        line.sendall(data)
        return Answers(line).next()
