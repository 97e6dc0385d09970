"""The path: how a cluster comes up and goes down again.

Every step of `up` looks first and does only what is missing, so it may be repeated, and may follow an `up`
that was killed anywhere. If nothing of a cluster lives any more, what it left is cleared and the next one
starts afresh.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from localcluster import (
    addons,
    build,
    cachedir,
    certs,
    configs,
    containers,
    control,
    images,
    layout,
    machine,
    network,
    packages,
    preflight,
    processes,
)
from localcluster.components import COMPONENTS
from localcluster.errors import ClusterError
from localcluster.progress import say, step

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
        machine.claim()
        with step("starting the cluster"):
            network.up()
            certs.ensure()
            configs.write(images.pause().name)
            configs.publish_kubeconfig()
            start_all(skipped)
    say(f"the cluster is ready: export KUBECONFIG={layout.KUBECONFIG}")


def start_all(skipped: set[str]) -> None:
    """Start the components in an order in which each finds what it needs."""
    fresh = not processes.recorded("kubelet")
    control.launch("etcd", "containerd")
    control.settle("containerd")
    if fresh:
        containers.purge()
    images.ensure_pause()
    control.settle("etcd")
    control.launch("kube-apiserver")
    control.settle("kube-apiserver")
    control.launch("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    addons.apply("coredns")
    control.launch("coredns")
    if "metrics-server" not in skipped:
        addons.apply("metrics-server")
        control.launch("metrics-server")
    control.settle(*(name for name in COMPONENTS if name not in skipped))
    missing = addons.wait_until_usable(with_metrics="metrics-server" not in skipped)
    if missing:
        raise ClusterError(f"all run, but {', '.join(missing)} did not become ready: see {layout.LOGS}")


def down(any_clone: bool = False) -> None:
    """Take the cluster away, and with it all it put on this machine; images and programs stay cached."""
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


def machine_lock() -> AbstractContextManager[None]:
    return cachedir.lock(layout.LOCK, "another `up` or `down`")
