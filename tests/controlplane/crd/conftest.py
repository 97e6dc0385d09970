"""A real API server that knows the CustomResourceDefinition: only it can say what `kubectl apply` refuses."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from localcluster import build, cluster, layout
from sluice_operator.api import crd

# A chart installed later adopts a definition that bears these.
ADOPTABLE = {"meta.helm.sh/release-name": "sluice", "meta.helm.sh/release-namespace": "sluice-system"}


@dataclass(frozen=True)
class Answer:
    """What kubectl said."""

    accepted: bool
    text: str


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace."""

    binary: Path
    kubeconfig: Path
    namespace: str

    def ask(self, *words: str, stdin: str | None = None) -> Answer:
        done = subprocess.run(
            [self.binary, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *words],
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
            timeout=120,
        )
        return Answer(done.returncode == 0, done.stdout + done.stderr)

    def must(self, *words: str, stdin: str | None = None) -> str:
        answer = self.ask(*words, stdin=stdin)
        assert answer.accepted, answer.text
        return answer.text

    def try_apply(self, manifest: dict[str, Any] | str) -> Answer:
        """Ask for a server-side apply under strict validation, without keeping anything."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self.ask("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)

    def apply(self, manifest: dict[str, Any]) -> None:
        self.must("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))

    def get(self, *words: str) -> Any:
        return json.loads(self.must("get", *words, "--output=json"))


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The cluster that KUBECONFIG names, or else the local one, brought up where it is not."""
    if "KUBECONFIG" in os.environ:
        return Path(os.environ["KUBECONFIG"])
    cluster.up()
    return layout.KUBECONFIG


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own, on a cluster with the definition installed."""
    tool = Kubectl(build.ensure(["kubectl"])["kubectl"], kubeconfig, f"sluice-crd-{uuid4().hex[:6]}")
    definition = crd.definition()
    definition["metadata"]["annotations"].update(ADOPTABLE)
    definition["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"
    tool.must("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(definition))
    tool.must("wait", "--for=condition=Established", f"crd/{crd.CRD_NAME}", "--timeout=60s")
    tool.must("create", "namespace", tool.namespace)
    yield tool
    tool.must("delete", "namespace", tool.namespace, "--wait=false")
