"""One local process seen by the kernel: memory, threads, and the core it may use."""

from __future__ import annotations

import os
from pathlib import Path


def rss_bytes(pid: int) -> int:
    """Resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def threads(pid: int) -> list[int]:
    """Identifiers of its threads."""
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def open_files(pid: int) -> int:
    """How many file descriptors it holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def pin(pid: int, core: int) -> None:
    """Let all of its threads run on one core only, if there are several."""
    if (os.cpu_count() or 1) > 1:
        for thread in threads(pid):
            os.sched_setaffinity(thread, {core})
