"""Starts, watches and ends single components: what `up` is made of, and what outage tests ask for."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from functools import partial

from localcluster import processes
from localcluster.components import COMPONENTS, Component
from localcluster.errors import ClusterError
from localcluster.shell import tail


def launch(*names: str) -> None:
    """Start components that do not run, and wake those that are paused."""
    for name in names:
        component, process = COMPONENTS[name], processes.recorded(name)
        if process is None:
            processes.start(name, component.argv(), component.log, component.env)
        elif process.paused:
            resume(name)


def settle(*names: str) -> None:
    """Wait until components are well; if one dies or stays unwell, say so with the end of its log."""
    for name in names:
        component = COMPONENTS[name]
        in_time = processes.wait(partial(settled, component), component.patience, pause=0.1)
        if not in_time or not alive(name):
            last = tail(component.log.read_text(errors="replace")) if component.log.exists() else "(no log)"
            state = "did not become healthy" if alive(name) else "stopped"
            raise ClusterError(f"{name} {state}; the end of {component.log}:\n{last}")


def settled(component: Component) -> bool:
    return not alive(component.name) or component.well()


def alive(name: str) -> bool:
    return processes.recorded(name) is not None


@dataclass(frozen=True)
class Health:
    """What `status` shows of one component; `rss` in bytes."""

    name: str
    pid: int | None
    state: str
    rss: int

    @property
    def well(self) -> bool:
        return self.state == "healthy"


def status() -> list[Health]:
    """The state of every component, asked now."""
    return [health(component) for component in COMPONENTS.values()]


def health(component: Component) -> Health:
    process = processes.recorded(component.name)
    if process is None:
        return Health(component.name, None, "stopped", 0)
    state = "paused" if process.paused else "healthy" if component.well() else "unhealthy"
    return Health(component.name, process.pid, state, process.rss)


def pause(name: str) -> None:
    """Freeze a component: its connections stay open and nothing answers."""
    running(name).signal(signal.SIGSTOP)


def resume(name: str) -> None:
    """Let a paused component go on."""
    running(name).signal(signal.SIGCONT)


def stop(name: str) -> None:
    """End a component and leave it down until `start`."""
    processes.stop(known(name).name, known(name).grace)


def start(name: str) -> None:
    """Start a component and wait until it is well."""
    launch(known(name).name)
    settle(name)


def restart(name: str) -> None:
    """End a component and start it again; return when it is well."""
    stop(name)
    start(name)


def known(name: str) -> Component:
    if name not in COMPONENTS:
        raise ClusterError(f"unknown component {name!r}; known are {', '.join(COMPONENTS)}")
    return COMPONENTS[name]


def running(name: str) -> processes.Process:
    process = processes.recorded(known(name).name)
    if process is None:
        raise ClusterError(f"{name} is not running")
    return process
