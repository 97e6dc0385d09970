"""A real Envoy Gateway on the local cluster: built from its Go module, installed by its own chart, taken away again.

The chart, with the definitions of Gateway API in it, is read from the Go module; nothing of it lies in this repository.
Its proxies are the Envoy of the router's image.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Any

from localcluster import build, buildah, cachedir, images, layout
from localcluster.progress import step
from support.cluster import Cluster
from support.kube import Kube

MODULE = Path(__file__).parent / "go"
PROJECT = "github.com/envoyproxy/gateway"
RELEASE = "eg"
NAMESPACE = "envoy-gateway-system"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
CLASS = GATEWAY = "public"
SERVICE = "gateway"
DEFINITIONS = "charts/crds/crds"
DOCKERFILE = """ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY --chmod=0755 envoy-gateway /usr/local/bin/envoy-gateway
ENTRYPOINT ["envoy-gateway"]
"""
PLAIN = "--set=topologyInjector.enabled=false"
SMALL = {"requests": {"cpu": "20m", "memory": "64Mi"}}


@contextmanager
def installed(cluster: Cluster) -> Iterator[None]:
    """Envoy Gateway with one Gateway that takes routes from every namespace."""
    name = images.bring_in({"gateway": image()})["gateway"]
    system = cluster.kube.within(NAMESPACE)
    with tempfile.TemporaryDirectory() as folder:
        chart = chart_for(name, Path(folder) / "gateway-helm")
        try:
            helm(cluster, "upgrade", "--install", RELEASE, str(chart), "--create-namespace", "--wait", PLAIN)
            system.apply(*gateway(cluster.images["router"]))
            system.wait(f"gateway/{GATEWAY}", "condition=Programmed")
            system.run("wait", "deployments", "--all", "--for=condition=Available", "--timeout=120s", timeout=150)
            yield
        finally:
            take_away(cluster, system, chart)


def take_away(cluster: Cluster, system: Kube, chart: Path) -> None:
    """Leave a cluster without Gateway API, as it was; Helm keeps definitions."""
    system.run("delete", "gateway,gatewayclass,envoyproxy", "--all", "--ignore-not-found", timeout=150)
    helm(cluster, "uninstall", RELEASE, "--wait", "--ignore-not-found")
    system.run("delete", "--recursive", "--ignore-not-found", "-f", str(chart / DEFINITIONS), timeout=150)
    cluster.kube.delete("namespace", NAMESPACE, timeout=150)


def helm(cluster: Cluster, *words: str) -> None:
    command = [cluster.helm, *words, "--namespace", NAMESPACE, "--timeout", "3m"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=cluster.kube.environment()
    )
    assert done.returncode == 0, done.stderr


def gateway(proxy: str) -> list[dict[str, Any]]:
    """The class, how its proxies run here, and one Gateway."""
    kubernetes = {
        "envoyDeployment": {"replicas": 1, "container": {"image": proxy, "resources": SMALL}},
        "envoyService": {"type": "ClusterIP", "name": SERVICE},
    }
    infrastructure = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "small"}
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    return [
        resource("GatewayClass", CLASS, {"controllerName": CONTROLLER}),
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyProxy",
            "metadata": {"name": "small"},
            "spec": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}},
        },
        resource(
            "Gateway",
            GATEWAY,
            {
                "gatewayClassName": CLASS,
                "infrastructure": {"parametersRef": infrastructure},
                "listeners": [listener],
            },
        ),
    ]


def resource(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def image() -> images.Image:
    """The controller in an image of its own."""
    start, program = images.base(), binary()
    name = f"{images.PREFIX}/envoy-gateway:{cachedir.digest([start.name, program.parent.name, DOCKERFILE])}"

    def make() -> None:
        images.ensure_built(start)
        with tempfile.TemporaryDirectory(dir=layout.cache()) as folder:
            shutil.copy(program, folder)
            (Path(folder) / "Dockerfile").write_text(DOCKERFILE)
            buildah.from_dockerfile(name, Path(folder) / "Dockerfile", Path(folder), {"BASE_IMAGE": start.name})

    return images.Image(name, make)


def binary() -> Path:
    """The controller, built once per machine."""
    content = cachedir.digest_files(MODULE, MODULE.iterdir())
    return cachedir.ensure(layout.cache() / "bin" / f"envoy-gateway-{content}", compile_into) / "envoy-gateway"


def compile_into(folder: Path) -> None:
    target = ["-o", str(folder / "envoy-gateway"), f"{PROJECT}/cmd/envoy-gateway"]
    with step("building envoy-gateway (once per machine, about ten minutes)"):
        go("build", "-mod=readonly", "-trimpath", "-ldflags", build.STRIP, *target)


def chart_for(name: str, folder: Path) -> Path:
    """The project's chart with the values that its own release process fills in."""
    shutil.copytree(source(), folder, copy_function=shutil.copyfile)
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    values = Template((folder / "values.tmpl.yaml").read_text())
    (folder / "values.yaml").write_text(values.substitute(GatewayImage=name, GatewayImagePullPolicy="IfNotPresent"))
    return folder


def source() -> Path:
    """The project's chart in the Go module."""
    go("mod", "download", PROJECT)
    return Path(go("list", "-mod=readonly", "-m", "-f", "{{.Dir}}", PROJECT).strip()) / "charts" / "gateway-helm"


def definitions() -> Path:
    """Gateway API's definitions, in one file."""
    return source() / DEFINITIONS / "gatewayapi-crds.yaml"


def go(*words: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(["go", *words], cwd=MODULE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
