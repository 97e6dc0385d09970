"""The cluster that everything runs on: the local one, or an existing one with images in its registry."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster import build, cachedir, images, layout
from localcluster import cluster as localcluster
from support.kube import Kube

REPO = Path(__file__).resolve().parents[2]
CHART = REPO / "charts" / "sluice"
RELEASE = "sluice"
SYSTEM = "sluice-system"
IMAGE_KINDS = ("runtime", "operator", "router")
HELM_TIMEOUT = 300.0


class SetupError(Exception):
    """The cluster cannot be used as asked; the message says what to do."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up, and the images it can pull. `local`: its components can be stopped and paused."""

    kube: Kube
    images: Mapping[str, str]
    helm: str
    local: bool

    @property
    def system(self) -> Kube:
        """kubectl in the operator's namespace."""
        return self.kube.within(SYSTEM)


@contextmanager
def reserved_cluster(environ: Mapping[str, str] = os.environ, kinds: Sequence[str] = IMAGE_KINDS) -> Iterator[Cluster]:
    """The cluster with the chart installed, for us alone: runs that share one operator would disturb each other.

    `kinds`: of images; those that few need (tools) are built where they are asked for.

    Raises:
        SetupError: it cannot be used as asked.
        localcluster.errors.ClusterError: the local cluster cannot be brought up.
    """
    with cachedir.lock(layout.cache() / "locks" / "cluster-in-use.lock", "another run on the cluster"):
        cluster = find_cluster(environ, kinds)
        install_chart(cluster)
        yield cluster


@contextmanager
def own_namespace(cluster: Cluster, name: str, keep: bool) -> Iterator[Kube]:
    """A fresh namespace under the restricted pod security standard, gone with the context unless it is to be kept."""
    kube = cluster.kube.within(name)
    kube.delete("namespace", name)
    kube.create_namespace({"pod-security.kubernetes.io/enforce": "restricted"})
    try:
        yield kube
    finally:
        if not keep:
            kube.run("delete", "namespace", name, "--wait=false")


def find_cluster(environ: Mapping[str, str] = os.environ, kinds: Sequence[str] = IMAGE_KINDS) -> Cluster:
    """The cluster of KUBECONFIG and IMAGE_PREFIX where both are set, else the local one, brought up if needed.

    Raises:
        SetupError: only IMAGE_PREFIX is set, or a program is missing.
        localcluster.errors.ClusterError: the local cluster cannot be brought up.
    """
    if "IMAGE_PREFIX" not in environ:
        return local_cluster(kinds)
    if "KUBECONFIG" not in environ:
        raise SetupError("IMAGE_PREFIX is set: set KUBECONFIG to the cluster that pulls from there, too")
    return existing_cluster(environ["KUBECONFIG"], environ["IMAGE_PREFIX"], environ.get("IMAGE_TAG", "latest"), kinds)


def local_cluster(kinds: Sequence[str] = IMAGE_KINDS) -> Cluster:
    """The local cluster with images of this working tree."""
    localcluster.up()
    names = images.ensure_images(kinds)
    programs = build.ensure(("kubectl", "helm"))
    kube = Kube(str(layout.KUBECONFIG), program=str(programs["kubectl"]))
    return Cluster(kube, names, str(programs["helm"]), local=True)


def existing_cluster(kubeconfig: str, prefix: str, tag: str, kinds: Sequence[str] = IMAGE_KINDS) -> Cluster:
    """A cluster that somebody else runs; images are PREFIX/runtime:TAG and so on."""
    found = {name: shutil.which(name) for name in ("kubectl", "helm")}
    for name, path in found.items():
        if path is None:
            raise SetupError(f"{name} is missing: install it and put it on the PATH")
    names = {kind: f"{prefix.rstrip('/')}/{kind}:{tag}" for kind in kinds}
    kube = Kube(kubeconfig, program=str(found["kubectl"]))
    return Cluster(kube, names, str(found["helm"]), local=False)


def install_chart(cluster: Cluster, values: Mapping[str, Any] | None = None, chart: Path = CHART) -> None:
    """Install or upgrade the chart with the cluster's images and wait until the operator runs."""
    flags = [f"--set={key}={value}" for key, value in (values or {}).items()]
    # As text: a tag of digits alone must not become a number.
    flags += [f"--set-string={key}={value}" for key, value in image_values(cluster.images).items()]
    command = [cluster.helm, "upgrade", "--install", RELEASE, str(chart), "--namespace", SYSTEM, "--create-namespace"]
    done = subprocess.run(
        [*command, "--wait", "--timeout", "3m", *flags],
        check=False,
        capture_output=True,
        text=True,
        timeout=HELM_TIMEOUT,
        env=cluster.kube.environment(),
    )
    if done.returncode != 0:
        raise SetupError(f"helm could not install the chart:\n{done.stderr.strip()}")


def image_values(names: Mapping[str, str]) -> dict[str, str]:
    """The chart's values for full image names of the form REGISTRY/REPOSITORY:TAG."""
    values: dict[str, str] = {}
    for kind, name in names.items():
        path, _, tag = name.rpartition(":")
        registry, _, repository = path.partition("/")
        values |= {f"images.{kind}.registry": registry, f"images.{kind}.repository": repository}
        values[f"images.{kind}.tag"] = tag
    return values
