"""Starts, records and ends our own processes, and never anybody else's.

A process is known by its pid together with its start time and the boot it belongs to: a pid alone may have
been given to somebody else since. The process writes that record itself before it becomes the component, so
there is no moment at which a killed `up` could leave a process without one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# `$0` is the record's path, `$@` the component. `exec` keeps pid and start time.
RECORD_AND_BECOME = (
    f"read -r boot <{BOOT_ID}; read -r stat </proc/$$/stat; "
    'printf "%s\\n%s\\n" "$boot" "$stat" >"$0.new" && mv "$0.new" "$0" && exec "$@"'
)
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """A process of ours; `start` is in clock ticks since boot."""

    pid: int
    start: int

    @property
    def alive(self) -> bool:
        found = stat_of(self.pid)
        return found is not None and found.start == self.start and found.state not in "ZX"

    @property
    def paused(self) -> bool:
        found = stat_of(self.pid)
        return self.alive and found is not None and found.state in "Tt"

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE
        except (OSError, IndexError):
            return 0

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, but only while the pid is still this very process."""
        if self.alive:
            os.kill(self.pid, number)

    def end(self, grace: float = 10.0) -> None:
        """Ask it to stop, wake it if it is paused, and kill it after `grace` seconds."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        if not wait(lambda: not self.alive, grace):
            self.signal(signal.SIGKILL)
            wait(lambda: not self.alive, 5.0)


@dataclass(frozen=True)
class Stat:
    pid: int
    state: str
    start: int


def parse_stat(line: str) -> Stat:
    """A line of /proc/PID/stat (proc(5)); the name in parentheses may hold spaces and parentheses itself."""
    before, _, after = line.rpartition(")")
    fields = after.split()
    return Stat(pid=int(before.split(" ", 1)[0]), state=fields[0], start=int(fields[19]))


def stat_of(pid: int) -> Stat | None:
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (OSError, ValueError, IndexError):
        return None


def recorded(name: str) -> Process | None:
    """The living process that was started under `name`, or None."""
    try:
        boot, line = (layout.RECORDS / name).read_text().splitlines()
    except (OSError, ValueError):
        return None
    if boot != BOOT_ID.read_text().strip():
        return None
    found = parse_stat(line)
    process = Process(found.pid, found.start)
    return process if process.alive else None


def all_recorded() -> dict[str, Process]:
    """Every living process of ours, by name."""
    if not layout.RECORDS.exists():
        return {}
    found = ((record.name, recorded(record.name)) for record in layout.RECORDS.iterdir())
    return {name: process for name, process in found if process}


def start(name: str, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Start a component that outlives us, in a session of its own, with its output appended to `log`."""
    layout.RECORDS.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    record = layout.RECORDS / name
    record.unlink(missing_ok=True)
    become = ["sh", "-c", RECORD_AND_BECOME, str(record), *(str(word) for word in argv)]
    with log.open("ab") as output:
        # The outer shell ends at once, so that init and not we must reap the component.
        subprocess.run(
            ["sh", "-c", '"$@" &', "sh", *become],
            cwd="/",
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            check=True,
        )
    if not wait(record.exists, 10.0):
        raise ClusterError(f"{name} did not start: see {log}")


def stop(name: str, grace: float = 10.0) -> None:
    """End the process started under `name`, if it lives, and forget it."""
    process = recorded(name)
    if process:
        process.end(grace)
    (layout.RECORDS / name).unlink(missing_ok=True)


def with_argument(text: str) -> list[Process]:
    """Living processes that have exactly `text` among their arguments (shims name our socket there)."""
    return [process for process, argv in every_process() if text in argv]


def every_process() -> list[tuple[Process, list[str]]]:
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        stat = stat_of(int(folder.name))
        try:
            argv = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if stat:
            found.append((Process(stat.pid, stat.start), argv))
    return found


def wait(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Poll until `condition` holds; False if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
