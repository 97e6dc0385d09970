"""Installs the Debian packages that the cluster stands on, without letting them start services."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.progress import step
from localcluster.shell import run

PACKAGES = (
    "etcd-server",
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "conntrack",
    "iproute2",
    "ipset",
    "socat",
    "busybox-static",
    "buildah",
    "debootstrap",
    "openssl",
    "ca-certificates",
    "mount",
    "util-linux",
    "procps",
)
POLICY = Path("/usr/sbin/policy-rc.d")
# policy-rc.d's "action forbidden": Debian asks this file before a package may start its service.
FORBID_SERVICES = "#!/bin/sh\nexit 101\n"


def ensure(wanted: Sequence[str] = PACKAGES) -> None:
    """Install what is missing; the package lists are fetched only if the installation fails without."""
    there = installed(wanted)
    missing = [name for name in wanted if name not in there]
    if not missing:
        return
    with step(f"installing Debian packages: {' '.join(missing)}"), no_services():
        try:
            apt_get("install", "--yes", "--no-install-recommends", *missing)
        except ClusterError:
            apt_get("update")
            apt_get("install", "--yes", "--no-install-recommends", *missing)


def installed(wanted: Sequence[str] = PACKAGES) -> set[str]:
    """Which of these packages are fully installed."""
    asked = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    return parse_installed(asked.stdout)


def parse_installed(answer: str) -> set[str]:
    """Names out of `name status` lines; half-installed packages do not count."""
    pairs = (line.split() for line in answer.splitlines())
    return {pair[0] for pair in pairs if len(pair) == 2 and pair[1] == "installed"}


def apt_get(*words: str) -> None:
    # A machine's own updater may hold dpkg's lock for a while: wait for it.
    run("apt-get", "-o", "DPkg::Lock::Timeout=300", *words, env={"DEBIAN_FRONTEND": "noninteractive"})


@contextmanager
def no_services() -> Iterator[None]:
    """Forbid packages to start services; a machine that has its own rule keeps it."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text(FORBID_SERVICES)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)
