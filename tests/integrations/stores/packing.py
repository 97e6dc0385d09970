"""Packages in a store, and the step that fetches them from there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import obstore

from integrations.stores.servers import BUCKET, KINDS, PATIENCE, Server, make_container
from runtime.harness import SERVING
from runtime.models import fails_beyond_the_table
from sluice.config import Fetching, RuntimeConfig
from sluice.failures import Failure, Resolved, parse_termination
from sluice.package import write_package
from sluice.uri import parse_uri
from sluice_store.object_clients import ObjectClient, object_client
from sluice_store.secret import Secret

STEP_SECONDS = 300.0
# Runs the step as the pod does, and at its end leaves what the kernel says of the process.
WATCHED = """
import atexit, pathlib, runpy, sys
atexit.register(lambda: pathlib.Path(sys.argv[1]).write_text(pathlib.Path("/proc/self/status").read_text()))
runpy.run_module(sys.argv[2], run_name="__main__")
"""


@dataclass(frozen=True)
class Outcome:
    """How a step ended. `peak`: the most bytes that were resident at any time."""

    code: int
    word: Failure | Resolved | None
    peak: int
    log: str


@dataclass(frozen=True)
class Shelf:
    """A running store with one package in it, as a folder and as an archive."""

    server: Server
    folder: Path
    digest: str

    def client(self) -> ObjectClient:
        """Someone who may write."""
        secret = self.secret(self.server.secret, "writer")
        return object_client(parse_uri(self.uri("x")), self.server.endpoint, Secret(secret), Fetching())

    def put(self, key: str, path: Path) -> None:
        """Upload a file. The stand-in for Google knows the JSON API's uploads alone."""
        if self.server.scheme != "gs":
            obstore.put(self.client(), key, path)
            return
        url = f"{self.server.endpoint}/upload/storage/v1/b/{BUCKET}/o"
        with path.open("rb") as file:
            answer = httpx.post(
                url, params={"uploadType": "media", "name": key}, content=file, trust_env=False, timeout=PATIENCE
            )
        assert answer.status_code == 200, answer.text

    def uri(self, key: str) -> str:
        """The URI of a key."""
        return f"{self.server.scheme}://{BUCKET}/{key}"

    def secret(self, keys: dict[str, str], name: str) -> Path:
        """A mounted Secret."""
        folder = self.folder / "secrets" / name
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in keys.items():
            (folder / key).write_text(value)
        return folder

    def config(self, key: str, tmp_path: Path, **changes: Any) -> RuntimeConfig:
        """Settings of a step that fetches a key."""
        settings: dict[str, Any] = {
            "name": "shop",
            "uri": self.uri(key),
            "package_dir": str(tmp_path / "models/package"),
            "credentials_dir": str(self.secret(self.server.secret, "reader")),
            "termination_log": str(tmp_path / "log"),
            "store": {"endpoint": self.server.endpoint},
        }
        return RuntimeConfig.model_validate({**settings, **changes})


@contextlib.contextmanager
def shelf(kind: str, folder: Path) -> Iterator[Shelf]:
    """A store with a package under shop/3 and shop/3.tar.gz, gone afterwards."""
    (folder / "store").mkdir()
    server = KINDS[kind](folder / "store")
    server.start()
    try:
        if kind == "az":
            make_container(server)
        (folder / "m.onnx").write_bytes(fails_beyond_the_table().SerializeToString())
        digest = write_package(folder / "m.onnx", "shop", "3", folder / "shop")
        write_package(folder / "m.onnx", "shop", "3", folder / "shop.tar.gz")
        found = Shelf(server, folder, digest)
        for path in (folder / "shop").iterdir():
            found.put(f"shop/3/{path.name}", path)
        found.put("shop/3.tar.gz", folder / "shop.tar.gz")
        yield found
    finally:
        server.kill()


def run_step(config: RuntimeConfig, module: str = "sluice_runtime.fetch") -> Outcome:
    """Run a step in a process of its own, with the environment of a pod."""
    here = Path(config.termination_log).parent
    Path(config.termination_log).unlink(missing_ok=True)
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SERVING),
        "SLUICE_CONFIG": config.to_env_value(),
        "HOME": str(here),
    }
    argv = [sys.executable, "-c", WATCHED, str(here / "status"), module]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=STEP_SECONDS)
    log = Path(config.termination_log)
    word = parse_termination(log.read_text()) if log.exists() else None
    return Outcome(done.returncode, word, _peak(here / "status"), done.stderr)


def _peak(status: Path) -> int:
    lines = status.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
