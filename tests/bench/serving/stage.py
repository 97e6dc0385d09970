"""A contender with its server up: asked once for correctness, then under load again and again."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.serving import wire
from bench.serving.contenders import Contender, Ports
from bench.serving.cores import Cores, busy_seconds
from bench.serving.errors import BenchError
from bench.serving.load import Generator, Load
from bench.serving.messages import Answer, Encoding
from bench.serving.models import Array, Case
from bench.serving.processes import Server, free_port, port_accepts, started
from bench.serving.samples import Cell, Sample

MIB = 1024**2
LONGEST_SECONDS = 20.0
CALM_SHARE = 0.1
CALM_SECONDS = 30.0
RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""float32 sums in another order differ by about 1e-7; another model or row differs by far more."""


@dataclass(frozen=True)
class Stage:
    """A running contender for one model. It is paused between its turns."""

    contender: Contender
    case: Case
    server: Server
    ports: Ports
    generator: Generator
    pace: dict[Encoding, float] = field(default_factory=dict)
    """Seconds for one lone answer in each encoding that was checked."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.http}"

    def check(self, encoding: Encoding) -> None:
        """Ask twice: the first answer must be right, the second tells how long a load has to last.

        Raises:
            BenchError: the answer is no 200, or another one than the session gives in-process.
        """
        answered = self._ask(encoding)
        for name, expected in self.case.outputs.items():
            found = np.asarray(answered.get(name, np.nan), dtype=expected.dtype)
            if found.size != expected.size or not np.allclose(found.ravel(), expected.ravel(), RELATIVE, ABSOLUTE):
                raise BenchError(f"{self.contender.name} answers {name!r} wrongly: {found.ravel()[:4]}")
        began = time.monotonic()
        self._ask(encoding)
        self.pace[encoding] = time.monotonic() - began

    def extensions(self) -> frozenset[str]:
        """What the server advertises at `/v2`; nothing if it has no such page."""
        if self.contender.ready_path is None:
            return frozenset()
        with httpx.Client(trust_env=False, timeout=30.0) as client:
            answer = client.get(f"{self.url}/v2")
        is_json = answer.is_success and answer.headers.get("content-type", "").startswith("application/json")
        return frozenset(answer.json().get("extensions", ())) if is_json and answer.content else frozenset()

    def measure(self, cell: Cell, number: int, seconds: float) -> Sample:
        """One load and what the server used for it.

        Raises:
            BenchError: the load failed.
        """
        with self.server.awake():
            before = self._clocks()
            seen = self._load(cell, seconds)
            wall, server, generator, *busy = (now - then for now, then in zip(self._clocks(), before, strict=True))
            rss = self.server.rss() / MIB
            self._calm_down()
        return Sample(
            cell,
            self.contender.name,
            number,
            rate=seen.rate,
            p50=seen.p50,
            p99=seen.p99,
            cpu_us=server / seen.requests * 1e6,
            rss_mib=rss,
            server_share=server / wall,
            load_share=generator / wall,
            foreign=max(0.0, busy[0] - server, busy[1] - generator) / wall,
        )

    def _clocks(self) -> tuple[float, float, float, float, float]:
        """Seconds: time, CPU of the server, CPU of the load generators that have ended, work of both their cores."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        cores = self.generator.cores
        used = ended.ru_utime + ended.ru_stime
        return time.monotonic(), self.server.cpu_seconds(), used, busy_seconds(cores.server), busy_seconds(cores.load)

    def warm_up(self, cell: Cell, seconds: float) -> None:
        """A load that does not count."""
        with self.server.awake():
            self._load(cell, seconds)
            self._calm_down()

    def _load(self, cell: Cell, seconds: float) -> Load:
        seconds = long_enough(seconds, self.pace[cell.encoding], cell.connections)
        if cell.encoding is Encoding.GRPC:
            target, message = f"127.0.0.1:{self.ports.grpc}", wire.infer_request(self.case.inputs)
            return self.generator.grpc(target, message, cell.connections, seconds)
        request = self.contender.request(self.case, cell.encoding)
        return self.generator.http(self.url, request, cell.connections, seconds)

    def _calm_down(self) -> None:
        """Wait until requests whose callers have left are worked off; they must not lie before the next ones."""
        deadline, before = time.monotonic() + CALM_SECONDS, self.server.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = self.server.cpu_seconds()
            if now - before < CALM_SHARE * 0.1:
                return
            before = now

    def _ask(self, encoding: Encoding) -> dict[str, Array]:
        return self._ask_grpc() if encoding is Encoding.GRPC else self._ask_http(encoding)

    def _ask_http(self, encoding: Encoding) -> dict[str, Array]:
        request = self.contender.request(self.case, encoding)
        with httpx.Client(trust_env=False, timeout=60.0) as client:
            answer = client.post(self.url + request.path, content=request.body, headers=dict(request.headers))
        if answer.status_code != 200:
            raise BenchError(f"{self.contender.name} answers {answer.status_code}: {answer.text[:300]}")
        return dict(self.contender.read(self.case, Answer(answer.content, answer.headers)))

    def _ask_grpc(self) -> dict[str, Array]:
        import grpc  # type: ignore[import-untyped,import-not-found,unused-ignore]

        with grpc.insecure_channel(f"127.0.0.1:{self.ports.grpc}") as channel:
            infer: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            try:
                message: bytes = infer(wire.infer_request(self.case.inputs), timeout=60.0)
            except grpc.RpcError as error:
                raise BenchError(f"{self.contender.name} answers {error}") from error
        return wire.read_response(message, self.case.outputs)


def long_enough(seconds: float, pace: float, connections: int) -> float:
    """How long a load lasts: as asked, but longer where all connections together need more for two answers each."""
    return max(seconds, min(2 * pace * connections, LONGEST_SECONDS))


@contextlib.contextmanager
def staged(contender: Contender, case: Case, cores: Cores, folder: Path) -> Iterator[Stage]:
    """Start a contender for a model and wait until it is ready."""
    folder.mkdir(parents=True)
    ports = Ports(free_port(), free_port(), free_port())
    command = contender.command(case, ports, folder)
    with started(contender.name, command.argv, command.environ, cores, folder) as server:
        stage = Stage(contender, case, server, ports, Generator(cores, folder))
        if contender.ready_path is None:
            server.wait_until(lambda: port_accepts(ports.grpc))
        else:
            server.wait_ready(stage.url + contender.ready_path)
        yield stage
