"""Says in one line what a machine lacks and how to get it, before anything is changed on it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError

GIB = 1024**3
NEEDED_MEMORY = 4 * GIB
NEEDED_DISK = 12 * GIB
NEEDED_PYTHON = (3, 11)
NEEDED_GO = (1, 26)
NEEDED_FILESYSTEM = "overlay"


def check(programs_built: bool = False) -> None:
    """Raise ClusterError with the first thing that is missing; Go is needed only until all is built."""
    checks: list[Callable[[], str | None]] = [linux, python, root, apt, memory, disk, bridge_filter]
    if not programs_built:
        checks.append(go)
    for missing in checks:
        answer = missing()
        if answer:
            raise ClusterError(answer)


def linux() -> str | None:
    if platform.system() != "Linux":
        return f"this is {platform.system()}: the cluster needs Linux; run it in a Linux virtual machine"
    return None


def python() -> str | None:
    if sys.version_info < NEEDED_PYTHON:
        return f"Python {platform.python_version()} is too old: use Python 3.11 or newer"
    return None


def root() -> str | None:
    if os.geteuid() != 0:
        return "not root: mounts and interfaces need it; run the same command with `sudo --preserve-env`"
    return None


def apt() -> str | None:
    if shutil.which("apt-get") is None:
        return "apt-get is missing: etcd, containerd and others come from Debian packages; use Debian 12"
    return None


def memory() -> str | None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total < NEEDED_MEMORY:
        return f"{total / GIB:.1f} GiB of memory, {NEEDED_MEMORY // GIB} are needed: use a larger machine"
    return None


def disk() -> str | None:
    place = next(folder for folder in (layout.cache(), *layout.cache().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    built = (layout.cache() / "bin").exists()
    if free < (NEEDED_DISK / 4 if built else NEEDED_DISK):
        return f"{free / GIB:.1f} GiB free below {place}: free some, or set SLUICE_CACHE to a larger disk"
    return None


def bridge_filter() -> str | None:
    """Services between pods on one bridge work only if bridged packets pass iptables."""
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if switch.exists() or loads("br_netfilter"):
        return None
    return "the kernel has no br_netfilter: load it with `modprobe br_netfilter`, or use a kernel that has it"


def loads(module: str) -> bool:
    loader = shutil.which("modprobe")
    return bool(loader) and subprocess.run([str(loader), module], capture_output=True, check=False).returncode == 0


def go() -> str | None:
    program = shutil.which("go")
    if program is None:
        return "Go is missing: it builds Kubernetes; install Go 1.26 or newer and put it on PATH"
    answer = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    version = go_version(answer)
    if version < NEEDED_GO:
        return f"Go {answer.strip() or 'of unknown version'} is too old: put Go 1.26 or newer first on PATH"
    return None


def go_version(text: str) -> tuple[int, int]:
    """(major, minor) of what `go env GOVERSION` prints; (0, 0) if it is not understood."""
    found = re.match(r"go(\d+)\.(\d+)", text.strip())
    return (int(found[1]), int(found[2])) if found else (0, 0)
