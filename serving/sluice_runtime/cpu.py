"""How many CPUs this pod may really use.

ONNX Runtime counts the host's cores and ignores the cgroup quota; too many threads under a quota are throttled for
most of every 100 ms period, which shows as latency spikes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
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


def cpu_request(root: Path = CGROUP_ROOT, environ: Mapping[str, str] = os.environ) -> float | None:
    """CPUs that a Kubernetes pod requests, read back from its cgroup's share; None outside a pod.

    Sources: KEP-2254, which turns 1024 `cpu.shares` (v1, one CPU) into `cpu.weight` (v2) by
    weight = 1 + (shares - 2) * 9999 / 262142. Newer container runtimes weigh small requests higher; one CPU then reads
    as 2.5, still a number of the pod's own size and not of the node's.
    """
    if "KUBERNETES_SERVICE_HOST" not in environ:
        return None
    unified, legacy = root / "cpu.weight", root / "cpu" / "cpu.shares"
    if unified.is_file():
        return (2 + (int(unified.read_text()) - 1) * 262142 / 9999) / 1024
    return int(legacy.read_text()) / 1024 if legacy.is_file() else None


def usable_threads(quota: float | None, request: float | None, allowed_cpus: int) -> int:
    """Threads for one run: as many CPUs as the limit allows, without a limit as many as are requested, rounded up.

    A pod without a limit may borrow idle CPUs, but threads sized to the node would fight its neighbours for them: one
    slow thread holds up the whole run. Only without either it is all the CPUs the process may run on.
    """
    cpus = quota if quota is not None else request
    return allowed_cpus if cpus is None else max(1, min(math.ceil(cpus), allowed_cpus))


def allowed_cpus() -> int:
    """CPUs in the process's affinity mask."""
    return len(os.sched_getaffinity(0))
