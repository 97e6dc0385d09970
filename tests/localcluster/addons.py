"""Registers the add-ons in the API: CoreDNS and metrics-server run beside the cluster and need no images."""

from __future__ import annotations

import string
from pathlib import Path

from localcluster import build, configs, layout
from localcluster.processes import wait
from localcluster.shell import run, succeeds

MANIFESTS = Path(__file__).parent / "manifests"
METRICS_API = "v1beta1.metrics.k8s.io"


def apply(name: str) -> None:
    """Apply the manifest of one add-on; doing so again changes nothing."""
    template = string.Template((MANIFESTS / f"{name}.yaml").read_text())
    text = template.substitute(gateway=layout.GATEWAY, port=layout.METRICS_SERVER_PORT, ca=configs.encoded("ca.crt"))
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)


def kubectl(*words: str, stdin: str | None = None, timeout: float = 60.0) -> str:
    """Ask the cluster as its administrator, with the kubectl of its own version."""
    program = build.binary("kubectl")
    return run(program, f"--kubeconfig={layout.KUBECONFIG}", *words, stdin=stdin, timeout=timeout)


def kubectl_succeeds(*words: str) -> bool:
    return succeeds(build.binary("kubectl"), f"--kubeconfig={layout.KUBECONFIG}", *words)


def node_ready() -> bool:
    return kubectl_succeeds("wait", "--for=condition=Ready", f"node/{layout.NODE}", "--timeout=1s")


def service_account_ready() -> bool:
    """Pods are refused until the default service account exists."""
    return kubectl_succeeds("get", "serviceaccount", "default", "--namespace=default")


def metrics_api_ready() -> bool:
    return kubectl_succeeds("wait", "--for=condition=Available", f"apiservice/{METRICS_API}", "--timeout=1s")


def wait_until_usable(with_metrics: bool) -> list[str]:
    """Wait for what a user needs first; return what is still missing after a minute."""
    wanted = {"the node": node_ready, "the default service account": service_account_ready}
    if with_metrics:
        wanted["the metrics API"] = metrics_api_ready
    return [name for name, ready in wanted.items() if not wait(ready, 60.0, pause=0.25)]
