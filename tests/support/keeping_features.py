"""A feature server in a pod: answers as Feast's does, to those who show the token. Standard library only.

Usage: PORT TOKEN FILE, a JSON object of lists of values by key.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = sys.argv[2]
ROWS: dict[str, list[float]] = json.loads(Path(sys.argv[3]).read_text())
NAMES = [f"f{index}" for index in range(len(next(iter(ROWS.values()))))]
AT = "2026-01-01T00:00:00Z"


class Answering(BaseHTTPRequestHandler):
    """One look-up."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"detail": "who are you?"})
            return
        ((key, values),) = asked["entities"].items()
        columns = [(key, values, ["PRESENT"] * len(values))]
        columns += [(name, *self._column(index, values)) for index, name in enumerate(NAMES)]
        results = [{"values": v, "statuses": s, "event_timestamps": [AT] * len(v)} for _, v, s in columns]
        self._answer(200, {"metadata": {"feature_names": [name for name, _, _ in columns]}, "results": results})

    def _column(self, index: int, keys: list[Any]) -> tuple[list[Any], list[str]]:
        rows = [ROWS.get(str(key)) for key in keys]
        return [row and row[index] for row in rows], ["PRESENT" if row else "NOT_FOUND" for row in rows]

    def _answer(self, status: int, found: Any) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Answering).serve_forever()
