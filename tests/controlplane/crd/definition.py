"""Puts the CustomResourceDefinition before a real API server: only it can say what `kubectl apply` refuses."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from localcluster import build, cluster, layout
from sluice_operator.api import crd
from support.kube import Kube, KubectlError

# A chart that is installed later adopts a definition that bears these.
ADOPTABLE = {"meta.helm.sh/release-name": "sluice", "meta.helm.sh/release-namespace": "sluice-system"}


@dataclass(frozen=True)
class Answer:
    """What the API server said to a manifest."""

    accepted: bool
    text: str


def connect(purpose: str) -> Kube:
    """kubectl for a new namespace name, on the cluster of KUBECONFIG or else the local one, brought up if needed."""
    if "KUBECONFIG" not in os.environ:
        cluster.up()
    kubeconfig = os.environ.get("KUBECONFIG", str(layout.KUBECONFIG))
    return Kube(kubeconfig, f"sluice-{purpose}-{uuid4().hex[:6]}", str(build.ensure(["kubectl"])["kubectl"]))


def install(kube: Kube) -> None:
    """Install or refresh the definition and wait until it is served."""
    wanted = crd.definition()
    wanted["metadata"]["annotations"].update(ADOPTABLE)
    wanted["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"
    # As Helm, so that a later upgrade of the chart finds no conflict over fields that nobody else wants.
    words = ("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-")
    kube.run(*words, stdin=json.dumps(wanted))
    kube.wait(f"crd/{crd.CRD_NAME}", "condition=Established")


def apply(kube: Kube, manifest: Mapping[str, Any]) -> None:
    """A server-side apply."""
    kube.run("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))


def try_apply(kube: Kube, manifest: Mapping[str, Any] | str) -> Answer:
    """Ask for a server-side apply under strict validation, without keeping anything."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    try:
        return Answer(True, kube.run(*words, stdin=text))
    except KubectlError as refusal:
        return Answer(False, str(refusal))
