"""How long the runtime takes from its process's start until it says that it is ready, and what it then holds.

Measured with nothing else of the bench running. The first start only fills the caches of bytecode and files.
"""

from __future__ import annotations

import compileall
import time
from dataclasses import dataclass
from pathlib import Path

from bench.serving.contenders import SERVING, Ports, Sluice
from bench.serving.cores import Cores
from bench.serving.errors import BenchError
from bench.serving.models import Case
from bench.serving.processes import free_port, started
from localcluster.progress import say


@dataclass(frozen=True)
class Start:
    """One start: wall and CPU seconds until ready, and resident MiB then."""

    wall: float
    cpu: float
    rss_mib: float


def measure_starts(case: Case, count: int, cores: Cores, folder: Path) -> list[Start]:
    """Start the runtime again and again; `count` starts after the first, or none if one of them failed."""
    # As the image's build does.
    compileall.compile_dir(SERVING, quiet=2)
    try:
        return [_start(case, cores, folder / str(number)) for number in range(count + 1)][1:]
    except BenchError as error:
        say(f"starts FAILED: {error}")
        return []


def _start(case: Case, cores: Cores, folder: Path) -> Start:
    contender, ports = Sluice(), Ports(free_port(), free_port(), free_port())
    folder.mkdir(parents=True)
    command = contender.command(case, ports, folder)
    began = time.monotonic()
    with started(contender.name, command.argv, command.environ, cores, folder) as server:
        ready = server.wait_ready(f"http://127.0.0.1:{ports.http}{contender.ready_path}")
        return Start(ready - began, server.cpu_seconds(), server.rss() / 1024**2)
