"""Drives the load client in its pod and turns what it prints into records that can be judged."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from support import packages
from support.kube import Kube
from support.pods import python_pod, with_files

CLIENT = Path(__file__).with_name("load_client.py")
CONNECTIONS = 16
MOST_REQUESTS = 200_000
MOST_SECONDS = 1800
REQUEST_TIMEOUT = 10.0
RECONNECT_SECONDS = 0.2


class Request(NamedTuple):
    """One request: `start` in unix seconds of the pod's clock, `latency` in seconds, `revision` empty where none
    answered, `status` 0 where no answer came, `row` of the data set, `outputs` flat and empty where it failed."""

    start: float
    latency: float
    revision: str
    status: int
    row: int
    outputs: tuple[float, ...]
    error: str

    @property
    def failed(self) -> bool:
        """Whether it was not answered with a prediction."""
        return self.status != 200 or bool(self.error)

    @property
    def end(self) -> float:
        """When its answer was complete, in unix seconds."""
        return self.start + self.latency


class LostRecordsError(AssertionError):
    """Records are missing: nothing may be concluded from the rest."""


class Load:
    """A steady load on one endpoint, from a pod of its own, through the Service. Use as a context manager.

    `bodies`: what is asked in turn; every row of the data set where they are not given.

    It reads the pod's log and not an attached stream: the log outlives an API server that goes away, so that every
    request made meanwhile is still accounted for.
    """

    def __init__(
        self, kube: Kube, image: str, model: str, rate: float, *, name: str = "load", bodies: Sequence[Any] = ()
    ) -> None:
        self.kube, self.image, self.model, self.rate, self.name = kube, image, model, rate, name
        self.bodies = bodies or [packages.request_body(row) for row in packages.rows()]
        self.requests: list[Request] = []
        self.finished = threading.Event()
        self.problem: Exception | None = None
        self._leaving = threading.Event()
        self._follower = threading.Thread(target=self._follow_guarded, daemon=True)
        self._next, self._began = 0, 0.0

    def __enter__(self) -> Load:
        self.kube.delete("pod", self.name)
        self.kube.apply(*self._objects())
        self.kube.wait(f"pod/{self.name}", "condition=Ready")
        self._follower.start()
        self.wait_for(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self.kube.run("delete", "pod", self.name, "--ignore-not-found", "--wait=false")
        self._follower.join(timeout=30)

    def stop(self, timeout: float = 60.0) -> list[Request]:
        """End the load gracefully and return every request made; a second call returns them again."""
        if not self.finished.is_set():
            self.kube.exec(self.name, "sh", "-c", "kill -TERM 1")
        self._await(self.finished.is_set, timeout, "the end of the load")
        return self.snapshot()

    def snapshot(self) -> list[Request]:
        """The requests known so far."""
        if self.problem:
            raise self.problem
        return self.requests[:]

    def wait_for(self, count: int, since: int = 0, timeout: float = 120.0) -> None:
        """Wait until `count` requests are known beyond the first `since`."""
        self._await(lambda: len(self.requests) >= since + count, timeout, f"{count} requests")

    def _await(self, holds: Any, timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        while not holds():
            if self.problem:
                raise self.problem
            if time.monotonic() > deadline:
                raise LostRecordsError(f"{what}: not within {timeout:.0f} s; {len(self.requests)} requests so far")
            time.sleep(0.05)

    def _objects(self) -> list[dict[str, Any]]:
        config = {
            "host": f"{self.model}.{self.kube.namespace}.svc",
            "port": 80,
            "path": f"/v2/models/{self.model}/infer",
            "connections": CONNECTIONS,
            "rate": self.rate,
            "timeout": REQUEST_TIMEOUT,
            "max_requests": MOST_REQUESTS,
            "max_seconds": MOST_SECONDS,
            "bodies": self.bodies,
        }
        files = {"config.json": json.dumps(config, separators=(",", ":")), "load_client.py": CLIENT.read_text()}
        pod = python_pod(self.name, self.image, ["/files/load_client.py", "/files/config.json"])
        return with_files(pod, files)

    def _follow_guarded(self) -> None:
        try:
            self._follow()
        except Exception as problem:  # handed to the thread that asks next
            self.problem = problem

    def _follow(self) -> None:
        while not self.finished.is_set() and not self._leaving.is_set():
            with self.kube.streaming("logs", "--follow", self.name) as process:
                for line in process.stdout or ():
                    self._take(line)
                    if self.finished.is_set() or self._leaving.is_set():
                        return
            # The API server may be away; the log is read again from its start, and what is known is skipped.
            time.sleep(RECONNECT_SECONDS)

    def _take(self, line: str) -> None:
        if not line.endswith("\n"):
            return  # cut off with the connection: it comes again
        document = json.loads(line) if line.startswith('{"seq"') else None
        if document is None:
            raise LostRecordsError(f"the load client says: {line.strip()}")
        if document["seq"] < self._next:
            return
        if document["seq"] > self._next:
            raise LostRecordsError(f"line {self._next} of the load client's log is gone")
        self._next += 1
        self._began = document.get("began", self._began)
        self.requests.extend(parse_records(document, self._began))
        if "done" in document:
            self._finish(document["done"])

    def _finish(self, count: int) -> None:
        if count != len(self.requests):
            raise LostRecordsError(f"the load client made {count} requests, {len(self.requests)} are known")
        self.finished.set()


def parse_records(document: Mapping[str, Any], began: float) -> Iterable[Request]:
    """The requests of one line of the load client."""
    names = document.get("revisions", [])
    for start, latency, revision, status, row, outcome in document.get("records", []):
        answered = isinstance(outcome, list)
        yield Request(
            start=began + start,
            latency=latency / 1000,
            revision=names[revision] if revision >= 0 else "",
            status=status,
            row=row,
            outputs=tuple(outcome) if answered else (),
            error="" if answered else str(outcome),
        )


def between(requests: Iterable[Request], begin: float, end: float) -> list[Request]:
    """Requests that lie completely in an interval of unix seconds."""
    return [request for request in requests if request.start >= begin and request.end <= end]


def failures(requests: Iterable[Request]) -> list[Request]:
    """Requests that were not answered with a prediction."""
    return [request for request in requests if request.failed]


def wrong(requests: Sequence[Request], expected: Mapping[str, npt.NDArray[np.float64]]) -> list[Request]:
    """Answered requests whose prediction is not the one expected of the revision that answered.

    `expected` has one line a row of the data set, by revision; an answer of another revision is wrong.
    """
    answered = [request for request in requests if not request.failed]
    return [request for request in answered if not _as_expected(request, expected.get(request.revision))]


def _as_expected(request: Request, expected: npt.NDArray[np.float64] | None) -> bool:
    if expected is None or len(request.outputs) != expected.shape[1]:
        return False
    return bool(np.abs(expected[request.row] - np.array(request.outputs)).max() <= packages.TOLERANCE)
