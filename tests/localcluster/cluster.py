"""The path: how a cluster comes up and goes down again.

Every step of `up` looks first and does only what is missing, so it may be repeated, and may follow an `up` that was
killed anywhere. If nothing of a cluster lives any more, what it left is cleared and the next one starts afresh.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from localcluster import addons, build, cachedir, certs, configs, containers, images, layout, machine, network
from localcluster import packages, preflight, processes
from localcluster.components import COMPONENTS, Component
from localcluster.errors import ClusterError
from localcluster.progress import say, step
from localcluster.shell import tail

OPTIONAL = ("metrics-server",)


def up(without: Iterable[str] = (), takeover: bool = False) -> None:
    """Bring the cluster up, or find it up; return when it can be used."""
    skipped = set(without)
    if skipped - set(OPTIONAL):
        raise ClusterError(f"only {', '.join(OPTIONAL)} can be left out")
    preflight.check(programs_built=build.complete())
    with machine_lock():
        machine.refuse_foreign(any_clone=takeover)
        if machine.owner() and (machine.owner() != layout.REPO or not machine.busy()):
            with step("clearing what an earlier cluster left"):
                clear()
        packages.ensure()
        programs = build.ensure(name for name in build.PROGRAMS if name not in (*skipped, "helm"))
        build.link(programs)
        pause = images.pause_archive()
        machine.claim()
        with step("starting the cluster"):
            network.up()
            certs.ensure()
            configs.write(pause.name)
            configs.publish_kubeconfig()
            start_all(skipped, pause)
    say(f"the cluster is ready: export KUBECONFIG={layout.KUBECONFIG}")


def start_all(skipped: set[str], pause: images.Archive) -> None:
    """Start the components in an order in which each finds what it needs."""
    fresh = not processes.recorded("kubelet")
    launch("etcd", "containerd")
    settle("containerd")
    if fresh:
        containers.purge()
    images.load(pause)
    settle("etcd")
    launch("kube-apiserver")
    settle("kube-apiserver")
    launch("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    addons.apply("coredns")
    launch("coredns")
    if "metrics-server" not in skipped:
        addons.apply("metrics-server")
        launch("metrics-server")
    settle(*(name for name in COMPONENTS if name not in skipped))
    missing = addons.wait_until_usable(with_metrics="metrics-server" not in skipped)
    if missing:
        raise ClusterError(f"all components run, but {', '.join(missing)} did not become ready: see {layout.LOGS}")


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
        if not processes.wait(lambda one=component: settled(one), component.patience, pause=0.1) or not alive(name):
            last = tail(component.log.read_text(errors="replace")) if component.log.exists() else "(no log)"
            state = "did not become healthy" if alive(name) else "stopped"
            raise ClusterError(f"{name} {state}; the end of {component.log}:\n{last}")


def settled(component: Component) -> bool:
    return not alive(component.name) or component.well()


def alive(name: str) -> bool:
    return processes.recorded(name) is not None


def down(any_clone: bool = False) -> None:
    """Take the cluster away, and with it everything it put on this machine; images and programs stay cached."""
    with machine_lock():
        machine.refuse_foreign(any_clone)
        if machine.owner() is None and not machine.busy():
            say("no cluster is here")
            return
        with step("taking the cluster down"):
            clear()


def clear() -> None:
    """End what runs, from the newest to the oldest, and remove what is left."""
    for name in reversed(COMPONENTS):
        if name not in ("containerd", "etcd", "kube-apiserver"):
            processes.stop(name, grace=5.0)
    containers.end_all()
    for name in ("kube-apiserver", "etcd"):
        # Their state is thrown away with them: nothing is gained by a graceful end.
        processes.stop(name, grace=1.0)
    containers.unmount_all()
    containers.remove_cgroups()
    machine.restore()
    layout.KUBECONFIG.unlink(missing_ok=True)


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
    running(name).signal(processes.signal.SIGSTOP)


def resume(name: str) -> None:
    """Let a paused component go on."""
    running(name).signal(processes.signal.SIGCONT)


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


def machine_lock() -> AbstractContextManager[None]:
    return cachedir.lock(layout.LOCK, "another `up` or `down`")
