"""How many CPUs this pod may really use.

ONNX Runtime counts the host's cores and ignores the cgroup quota; too many threads under a quota are throttled for
most of every 100 ms period, which shows as latency spikes.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def cpu_quota(root: Path = CGROUP_ROOT) -> float | None:
    """CPUs allowed by the container's CFS quota, or None when there is no quota (or no cgroup to read).

    Sources: `cpu.max` in cgroup v2 ("max 100000" or "50000 100000"), `cpu/cpu.cfs_quota_us` in v1 (-1 for none).
    """
    unified = root / "cpu.max"
    if unified.is_file():
        quota, period = unified.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    legacy = root / "cpu"
    if not (legacy / "cpu.cfs_quota_us").is_file():
        return None
    microseconds = int((legacy / "cpu.cfs_quota_us").read_text())
    return None if microseconds <= 0 else microseconds / int((legacy / "cpu.cfs_period_us").read_text())


def usable_threads(quota: float | None, allowed_cpus: int) -> int:
    """Threads that can run at the same time: the quota rounded up, at most the CPUs the process may run on."""
    if quota is None:
        return max(1, allowed_cpus)
    return max(1, min(math.ceil(quota), allowed_cpus))


def allowed_cpus() -> int:
    """CPUs in the process's affinity mask."""
    return len(os.sched_getaffinity(0))
