"""Who runs on which core: the server on one, the load on another, so that they take no time from each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """The two cores of a run; the same one twice on a machine that has no second."""

    server: int
    load: int

    def serving(self, argv: Sequence[str]) -> list[str]:
        """A server's command: on its core, and dead as soon as this process is."""
        return ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", str(self.server), *argv]

    def loading(self, argv: Sequence[str]) -> list[str]:
        """A load generator's command, on the other core."""
        return ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", str(self.load), *argv]


def choose() -> Cores:
    """The first two cores this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1] if len(allowed) > 1 else allowed[0])


def busy_seconds(core: int) -> float:
    """CPU seconds that a core has worked since boot, for anybody (proc(5): all but idle and iowait)."""
    line = next(line for line in STAT.read_text().splitlines() if line.startswith(f"cpu{core} "))
    return busy_of(line)


def busy_of(line: str) -> float:
    """Busy seconds of one `cpuN` line; guest time is contained in user time and not counted twice."""
    user, nice, system, _, _, irq, softirq, steal = (int(field) for field in line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK
