"""Ends pods' containers and removes what the kernel holds for them: tasks, shims, mounts and cgroups."""

from __future__ import annotations

import os
import re
from pathlib import Path

from localcluster import layout, processes
from localcluster.components import COMPONENTS, ctr
from localcluster.errors import ClusterError
from localcluster.progress import say
from localcluster.shell import run, succeeds

CGROUPS = Path("/sys/fs/cgroup")
OUR_CGROUP = "kubepods"


def purge() -> None:
    """Remove every container from containerd's records and stop what still runs; images stay.

    containerd's records live in the cache and outlast a cluster: a new one must not meet the last one's pods.
    """
    tasks, containers = listed("tasks"), listed("containers")
    if tasks:
        succeeds(*ctr("tasks", "delete", "--force", *tasks), timeout=60.0)
    if containers:
        succeeds(*ctr("containers", "delete", *containers), timeout=60.0)


def listed(kind: str) -> list[str]:
    try:
        return run(*ctr(kind, "list", "--quiet"), timeout=30.0).split()
    except ClusterError:
        return []


def end_all() -> None:
    """Stop all containers, through containerd if it answers, and by pid whatever is left."""
    if processes.recorded("containerd") and COMPONENTS["containerd"].well():
        purge()
    processes.stop("containerd")
    for pid in init_pids():
        found = processes.stat_of(pid)
        if found and parent_is_shim(pid):
            processes.Process(found.pid, found.start).end(grace=0.0)
    for shim in shims():
        shim.end(grace=1.0)


def shims() -> list[processes.Process]:
    """Shims name the socket of the containerd that started them: ours are those that name ours."""
    return processes.with_argument(str(layout.CONTAINERD_SOCKET))


def init_pids() -> list[int]:
    """First processes of containers, as their shims wrote them down."""
    notes = layout.CONTAINERD_STATE.glob("io.containerd.runtime.v2.task/*/*/init.pid")
    return [int(text) for note in notes if (text := note.read_text().strip()).isdigit()]


def parent_is_shim(pid: int) -> bool:
    """The note may be old: the pid counts only while its parent is one of our shims."""
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return False
    return int(parent) in {shim.pid for shim in shims()}


def unmount_all() -> None:
    """Unmount everything below our folders."""
    unmount_below(layout.RUN, layout.DATA, layout.containerd_root(), layout.buildah_root(), layout.BUILDAH_RUN)


def unmount_below(*roots: Path) -> None:
    """Unmount everything at or below `roots`; what is still in use vanishes when its last user does."""
    for target in reversed(mounts_below(Path("/proc/self/mounts").read_text(), roots)):
        if not succeeds("umount", target) and not succeeds("umount", "--lazy", target):
            say(f"could not unmount {target}")


def mounts_below(table: str, roots: tuple[Path, ...]) -> list[str]:
    """Mount points in /proc/self/mounts that lie at or below one of `roots`, in the order of mounting."""
    points = [unescape(line.split()[1]) for line in table.splitlines()]
    return [point for point in points if any(Path(point).is_relative_to(root) for root in roots)]


def unescape(field: str) -> str:
    """/proc/mounts writes spaces and tabs as octal escapes (fstab(5))."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def remove_cgroups() -> None:
    """Remove the kubelet's cgroups, deepest first; they are empty once the containers are gone."""
    for root in (*CGROUPS.glob(f"*/{OUR_CGROUP}"), *CGROUPS.glob(OUR_CGROUP)):
        for folder, _, _ in os.walk(root, topdown=False):
            try:
                os.rmdir(folder)
            except OSError as busy:
                say(f"could not remove the cgroup {folder}: {busy.strerror}")
