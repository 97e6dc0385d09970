"""The authorizer as a process of its own, with the rights that the chart gives it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from localcluster.shell import tail
from support.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE = 60.0
PAUSE = 0.05


def question(namespace: str, name: str = "m", **changed: Any) -> str:
    """The header that the operator writes into routers."""
    asked = {"mode": "Kubernetes", "namespace": namespace, "name": name, "audiences": ["sluice.dev"], **changed}
    return base64.urlsafe_b64encode(json.dumps(asked, sort_keys=True).encode()).decode()


@dataclass
class Authorizer:
    """A running authorizer."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    client: httpx.Client = field(repr=False)

    def ask(
        self,
        question: str,
        token: str | None = None,
        *where: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """As a router asks. `where`: method and path, if it is no prediction."""
        method, path = where or ("POST", "/v2/models/m/infer")
        sent = {"x-sluice-authorize": question, "x-forwarded-for": "10.0.0.1", **(headers or {})}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        return self.client.request(method, f"/authorize{path}", headers=sent, content=content)

    def about(self, path: str) -> int:
        """The status of what it says about itself; 0 while it does not listen."""
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return 0

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric over the labels that are not named."""
        text = self.client.get("/metrics").text
        assert f"# TYPE {name} " in text, f"there is no metric {name}"
        lines = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.M)
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(value) for found, value in lines if all(one in found for one in wanted))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@contextmanager
def authorizer(kubeconfig: Path, log: Path, wait: bool = True) -> Iterator[Authorizer]:
    """Start `python -m sluice_authorizer`; it is killed on leaving where it still runs."""
    port = free_port()
    command = [sys.executable, "-m", "sluice_authorizer", "--host=127.0.0.1", f"--port={port}"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY / "serving"),
        "SLUICE_AUTHORIZER_KUBECONFIG": str(kubeconfig),
        # Whoever looks at the environment must not find a proxy there, to which tokens would go.
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False) as client,
    ):
        running = Authorizer(process, port, log, client)
        try:
            until(lambda: running.about("/readyz" if wait else "/livez") == 200, "the authorizer answers")
            yield running
        finally:
            process.kill()
            # Shown where the test has failed.
            print(tail(log.read_text()))


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something that must come about; how fast is no matter here."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(PAUSE)
