"""What pods hold in memory, read where the kernel says it: /proc inside the pod."""

from __future__ import annotations

from dataclasses import dataclass

from support.kube import Kube

MIB = 1024**2
# Prints one line a process: pid, parent, resident KiB, name. `$$` leaves the looking shell itself out.
LOOK = """for folder in /proc/[0-9]*; do
  pid=${folder#/proc/}; [ "$pid" = "$$" ] && continue
  ppid= rss= name=
  while read -r key value _; do
    case $key in PPid:) ppid=$value;; VmRSS:) rss=$value;; Name:) name=$value;; esac
  done <"$folder/status"
  [ -n "$rss" ] && echo "$pid $ppid $rss $name"
done"""


@dataclass(frozen=True)
class Process:
    """A process in a pod's container; `rss` in bytes."""

    pid: int
    name: str
    rss: int


def processes(kube: Kube, pod: str, container: str) -> list[Process]:
    """The processes of a container, without the one that looks."""
    rows = [line.split(maxsplit=3) for line in kube.exec(pod, "sh", "-c", LOOK, container=container).splitlines()]
    return [Process(int(pid), name, int(rss) * 1024) for pid, _, rss, name in rows]


def rss_mib(found: list[Process]) -> float:
    """Resident memory of processes together, in MiB."""
    return sum(process.rss for process in found) / MIB
