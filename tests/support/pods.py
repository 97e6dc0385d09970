"""Pods that only need Python: the load client, the package store. They satisfy the restricted pod security standard."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
FILES = "/files"


def python_pod(name: str, image: str, arguments: list[str]) -> dict[str, Any]:
    """A pod that runs Python once, in a given image that has it."""
    container = {
        "name": "python",
        "image": image,
        "command": ["python3", *arguments],
        "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": RESTRICTED,
    }
    spec = {
        "automountServiceAccountToken": False,
        "containers": [container],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def with_files(pod: dict[str, Any], files: Mapping[str, str | bytes]) -> list[dict[str, Any]]:
    """The pod with files under /files, and the ConfigMap that carries them (1 MiB at most)."""
    name = f"{pod['metadata']['name']}-files"
    pod["spec"]["volumes"] = [{"name": "files", "configMap": {"name": name}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "files", "mountPath": FILES, "readOnly": True}]
    return [config_map(name, files), pod]


def config_map(name: str, files: Mapping[str, str | bytes]) -> dict[str, Any]:
    """A ConfigMap of text and binary files."""
    text = {key: value for key, value in files.items() if isinstance(value, str)}
    binary = {key: base64.b64encode(value).decode() for key, value in files.items() if isinstance(value, bytes)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": text,
        "binaryData": binary,
    }
