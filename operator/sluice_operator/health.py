"""Says whether the operator works, judged from its progress, and serves its numbers.

The server has a thread of its own: an event loop that hangs can then be told from one that is idle, and it is the
kubelet that should end it.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from sluice_operator import metrics
from sluice_operator.workqueue import Progress

BEAT_SECONDS = 1.0
BLOCKED_SECONDS = 30.0
STUCK_SECONDS = 120.0
IDLE_SECONDS = 60.0
SYNC_SECONDS = 300.0


@dataclass(frozen=True)
class Vitals:
    """What the event loop last said of itself, all times by its own clock (`at`: when). `election`: why the operator
    cannot take part in it.
    """

    at: float
    started: float
    synced: bool
    late: tuple[str, ...]
    api_away: bool
    queue: Progress
    election: str = ""


def complaints(vitals: Vitals, now: float) -> list[str]:
    """Why the process should be restarted; none where it works or where a restart could not help."""
    queue = vitals.queue
    checks = {
        "the event loop is blocked": now - vitals.at > BLOCKED_SECONDS,
        "a reconcile is stuck": _older(queue.oldest_running, now, STUCK_SECONDS),
        "work waits and nothing gets done": _older(queue.oldest_waiting, now, IDLE_SECONDS)
        and now - queue.last_finished > IDLE_SECONDS
        and vitals.synced,
        "the cache was never complete": not vitals.synced
        and not vitals.api_away
        and now - vitals.started > SYNC_SECONDS,
        f"watches have stopped: {', '.join(vitals.late)}": bool(vitals.late) and not vitals.api_away,
    }
    return [text for text, wrong in checks.items() if wrong]


def _older(since: float | None, now: float, limit: float) -> bool:
    return since is not None and now - since > limit


class Health:
    """Holds the last vitals; written by the event loop, read by the server's threads."""

    def __init__(self, read: Callable[[float], Vitals], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._vitals = read(clock())

    async def beat(self) -> None:
        """Refresh the vitals every second; never returns."""
        while True:
            self._vitals = self._read(self._clock())
            await asyncio.sleep(BEAT_SECONDS)

    def alive(self) -> list[str]:
        """Complaints; empty while alive."""
        return complaints(self._vitals, self._clock())

    def ready(self) -> list[str]:
        """Complaints; empty once the cache is complete: leading or standing by, the operator could act at once."""
        election = [self._vitals.election] if self._vitals.election else []
        return election if self._vitals.synced else ["the cache is not complete yet", *election]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, health: Health) -> None:
        super().__init__(("", port), _Handler)
        self.health = health


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer one of the three paths."""
        if self.path == "/metrics":
            self._answer(200, generate_latest(metrics.REGISTRY), CONTENT_TYPE_LATEST)
        elif self.path in ("/healthz", "/readyz"):
            wrong = self.server.health.alive() if self.path == "/healthz" else self.server.health.ready()
            self._answer(503 if wrong else 200, ("; ".join(wrong) or "ok").encode(), "text/plain")
        else:
            self._answer(404, b"not here", "text/plain")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives
        """Probes every few seconds are no news."""


def serve(port: int, health: Health) -> ThreadingHTTPServer:
    """Serve /healthz, /readyz and /metrics in the background; port 0 picks a free one."""
    server = _Server(port, health)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
