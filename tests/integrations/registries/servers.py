"""Real registries on loopback: Debian's `docker-registry`, and MLflow's server in an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from integrations.environments import environment
from localcluster import packages
from support.ports import free_port

PATIENCE = 180.0
"""Seconds until a test gives up on a server; never a claim about its speed."""

MLFLOW = ("mlflow==3.16.0",)

USER, PASSWORD = "puller", "secret-word"
# htpasswd -Bbn puller secret-word
HTPASSWD = "puller:$2y$05$okGVjnBPLc2oARuj/WgXMOj7aOWPskz5RLEZLNYaKD7CBbymReB6W\n"


class Server:
    """A program that listens on a port of this machine, and may be killed and started again there."""

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.port = port
        self.url = f"http://{address}:{port}"
        self.host = f"{address}:{port}"
        self.folder = folder
        self._command, self._environ = (
            list(command),
            {"PATH": os.environ["PATH"], "HOME": str(folder), **(environ or {})},
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ready: str) -> None:
        """Start it, and wait until this path is answered."""
        with open(self.folder / "log", "ab") as log:
            # A group of its own, because a server may start workers.
            self._process = subprocess.Popen(
                self._command, env=self._environ, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        self._wait(lambda: httpx.get(self.url + ready, trust_env=False, timeout=10).status_code < 500)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
            self._process = None

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(httpx.TransportError):
                if condition():
                    return
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)


@contextlib.contextmanager
def oci_registry(folder: Path, auth: Mapping[str, Any] | None = None) -> Iterator[Server]:
    """A registry of the distribution project; `auth` is that section of its configuration."""
    packages.ensure(("docker-registry",))
    folder.mkdir(parents=True)
    port = free_port()
    settings = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of these tests"},
        **({"auth": auth} if auth else {}),
    }
    (folder / "config.json").write_text(json.dumps(settings))  # JSON is YAML
    server = Server(["docker-registry", "serve", str(folder / "config.json")], port, folder)
    try:
        server.start("/v2/")
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def mlflow_server(folder: Path, address: str = "127.0.0.1") -> Iterator[Server]:
    """A tracking server with a database in a file, which serves its artifacts itself."""
    python = environment("mlflow", MLFLOW)
    folder.mkdir(parents=True)
    port = free_port(address)
    command = [str(python), "-m", "mlflow", "server", "--host", address, "--port", str(port), "--workers", "1"]
    kept = ["--backend-store-uri", f"sqlite:///{folder}/db.sqlite", "--artifacts-destination", f"{folder}/artifacts"]
    # Its jobs are nobody's business here, and eight processes that each import all of MLflow.
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environ = {**quiet, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    server = Server([*command, *kept], port, folder, environ, address)
    try:
        server.start("/health")
        yield server
    finally:
        server.kill()
