"""A server under measurement: started on its core, ready before it is asked, paused while another is, and surely ended.

All contenders of a model live at the same time, so that rounds can interleave; the ones that wait are stopped by a
signal, because some poll while they are idle and would take time from the one being measured.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from bench.serving.cores import Cores
from bench.serving.errors import BenchError
from localcluster.shell import tail

START_SECONDS = 120.0
END_SECONDS = 10.0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_accepts(port: int) -> bool:
    """Whether somebody accepts connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A process and whatever it started."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: Path) -> None:
        self._process = process
        self._name = name
        self._log = log
        self._root = psutil.Process(process.pid)
        self._family: list[psutil.Process] = [self._root]

    def wait_ready(self, url: str) -> float:
        """Wait until a GET is answered with 200; the moment it was, on the monotonic clock.

        Raises:
            BenchError: the process ended, or was not ready in time.
        """
        # The client is plain: building a TLS context would take longer than a small server's start.
        with httpx.Client(trust_env=False, verify=False, timeout=5.0) as client:
            return self.wait_until(lambda: _answers(client, url))

    def wait_until(self, ready: Callable[[], bool]) -> float:
        """Wait until a condition holds; see `wait_ready`."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{self._name} is not ready:\n{tail(self._log.read_text(errors='replace'))}")
            time.sleep(0.005)
        now = time.monotonic()
        self._family = [self._root, *self._root.children(recursive=True)]
        return now

    def rss(self) -> int:
        """Resident bytes of all of its processes; memory they share is counted in each."""
        return sum(int(process.memory_info().rss) for process in self._family if process.is_running())

    def cpu_seconds(self) -> float:
        """User and system time its processes have used."""
        times = [process.cpu_times() for process in self._family if process.is_running()]
        return float(sum(used.user + used.system for used in times))

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run for a while; it is paused afterwards."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.pause()

    def pause(self) -> None:
        """Stop it from using its core."""
        self._signal(signal.SIGSTOP)

    def end(self) -> None:
        """Ask it to leave, and kill by pid whatever is still there after a while."""
        family = {process.pid: process for process in [*self._family, *_children(self._root)]}
        self._signal(signal.SIGCONT)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        for process in family.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(END_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


@contextlib.contextmanager
def started(name: str, argv: Sequence[str], environ: Mapping[str, str], cores: Cores, folder: Path) -> Iterator[Server]:
    """A server process in a scratch folder of its own; gone at the end, however it comes."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            cores.serving(argv),
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(process, name, log)
    try:
        yield server
    finally:
        server.end()


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == 200
    except httpx.TransportError:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []
