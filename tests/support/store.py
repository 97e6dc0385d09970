"""A package store inside the cluster: Python's own HTTP server over the files of a ConfigMap.

Small on purpose: models of the tests are a few kilobytes, and a store that is only files over HTTP is what most people
have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from support.kube import Kube
from support.pods import FILES, python_pod, with_files

NAME = "packages"
PORT = 8000


@dataclass(frozen=True)
class Store:
    """A running store."""

    namespace: str

    def uri(self, file: str) -> str:
        """Where a package of the store is, for a ModelDeployment of any namespace."""
        return f"http://{NAME}.{self.namespace}.svc/{file}"


def run_store(kube: Kube, image: str, files: Mapping[str, bytes]) -> Store:
    """Serve files in kube's namespace and return when they can be fetched."""
    pod = python_pod(NAME, image, ["-m", "http.server", str(PORT), "--directory", FILES])
    pod["spec"]["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/", "port": PORT},
        "periodSeconds": 1,
    }
    kube.delete("pod", NAME)
    kube.apply(*with_files(pod, files), service())
    kube.wait(f"pod/{NAME}", "condition=Ready")
    return Store(kube.namespace)


def service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": PORT}]},
    }
