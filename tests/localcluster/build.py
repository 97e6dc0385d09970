"""Builds the cluster's programs from their Go modules.

There is no registry of binaries to rely on, but Go modules are everywhere: the module files under `go/` pin
every dependency by hash, and each program is built once per machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from localcluster import cachedir, layout
from localcluster.errors import ClusterError
from localcluster.progress import step
from localcluster.shell import tail

GO = Path(__file__).parent / "go"
STRIP = "-s -w"
VERSION_FLAG = f"{STRIP} -X k8s.io/component-base/version.gitVersion={layout.KUBERNETES_VERSION}"


@dataclass(frozen=True)
class Program:
    """One program: the module folder under `go/`, the package in it, and the linker's flags."""

    name: str
    module: str
    package: str
    ldflags: str = STRIP


def kubernetes(name: str) -> Program:
    """A program of Kubernetes itself; all of them share one module and so most of the compilation."""
    return Program(name, "core", f"k8s.io/kubernetes/cmd/{name}", VERSION_FLAG)


# In the order of a cold build: the cluster first, then what its users need.
PROGRAMS = {
    program.name: program
    for program in (
        kubernetes("kube-apiserver"),
        kubernetes("kube-controller-manager"),
        kubernetes("kube-scheduler"),
        kubernetes("kubelet"),
        kubernetes("kube-proxy"),
        Program("coredns", "core", "./coredns"),
        kubernetes("kubectl"),
        Program("helm", "helm", "helm.sh/helm/v4/cmd/helm"),
        Program("metrics-server", "metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"),
    )
}


def binary(name: str) -> Path:
    """The path of a built program; it is built first if the cache does not have it."""
    program = PROGRAMS[name]
    return cachedir.ensure(folder_of(program), lambda unfinished: compile_into(program, unfinished)) / name


def folder_of(program: Program) -> Path:
    return layout.cache() / "bin" / f"{program.name}-{content_hash(program)}"


def ensure(names: Iterable[str] = ()) -> dict[str, Path]:
    """Build what is missing of `names` (default: everything), in the order that gets a cluster up first."""
    wanted = set(names) or set(PROGRAMS)
    unknown = wanted - set(PROGRAMS)
    if unknown:
        raise ClusterError(f"unknown program {', '.join(sorted(unknown))}; known are {', '.join(PROGRAMS)}")
    return {name: binary(name) for name in PROGRAMS if name in wanted}


def content_hash(program: Program) -> str:
    """What the program is made from: the module's files and the flags, for this kind of machine."""
    folder = GO / program.module
    files = [folder / "go.mod", folder / "go.sum"]
    if program.package.startswith("./"):
        files += (folder / program.package).glob("*.go")
    sources = cachedir.digest_files(folder, files)
    return cachedir.digest([sources, program.package, program.ldflags, os.uname().machine])


def compile_into(program: Program, folder: Path) -> None:
    """Compile into `folder`; Go's own caches make a repetition after a kill go on where it stopped."""
    go = shutil.which("go")
    if go is None:
        raise ClusterError("Go is missing: install Go 1.26 or newer and put it on PATH")
    command = [go, "build", "-mod=readonly", "-trimpath", "-ldflags", program.ldflags]
    command += ["-o", str(folder / program.name), program.package]
    with step(f"building {program.name} (once per machine)"):
        done = subprocess.run(
            command,
            cwd=GO / program.module,
            env={**os.environ, "CGO_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise ClusterError(f"building {program.name} failed:\n{tail(done.stderr)}")


def link(names: Iterable[str]) -> None:
    """Give people and Makefiles stable paths: `.cluster/bin/<name>`."""
    layout.BIN_LINKS.mkdir(parents=True, exist_ok=True)
    for name in names:
        target, unfinished = layout.BIN_LINKS / name, layout.BIN_LINKS / f".{name}"
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(binary(name))
        os.replace(unfinished, target)


def complete() -> bool:
    """Whether every program is in the cache, so that no Go is needed."""
    return all(folder_of(program).exists() for program in PROGRAMS.values())
