"""Starts the runtime's real processes and talks to them."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
from onnx import ModelProto

from sluice.config import RuntimeConfig
from sluice.failures import Failure, Resolved, parse_termination
from sluice.package import write_package
from support.ports import free_port

SERVING = Path(__file__).resolve().parents[2] / "serving"
PATIENCE = 60.0
"""Seconds until a test gives up on a process; never a claim about its speed."""


def package_of(model: ModelProto, folder: Path, name: str = "shop", version: str = "3") -> Path:
    """Write a package folder for a graph."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    write_package(folder / "m.onnx", name, version, folder / "package")
    return folder / "package"


def config_for(package: Path, **changes: Any) -> RuntimeConfig:
    """Settings of a runtime that serves a local package folder."""
    settings = {
        "name": "shop",
        "uri": f"file://{package}",
        "package_dir": str(package),
        "host": "127.0.0.1",
        "port": free_port(),
        "grpc_port": free_port(),
        "termination_log": str(package.parent / "termination-log"),
        "drain_seconds": 5,
    }
    return RuntimeConfig.model_validate({**settings, **changes})


def start(module: str, config: RuntimeConfig, **more: str) -> subprocess.Popen[bytes]:
    """Start one of the runtime's modules with the environment of a model pod, and what is added to it."""
    # Nothing of the user's: no proxies, no `CI`, which some libraries take as a wish for privacy.
    home = Path(config.termination_log).parent / "home"
    home.mkdir(exist_ok=True)
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SERVING),
        "SLUICE_CONFIG": config.to_env_value(),
        "HOME": str(home),
        **more,
    }
    # Files, because a pipe that nobody reads stops the process once it is full.
    with open(home.parent / "stderr", "ab") as log, open(home.parent / "stdout", "ab") as out:
        return subprocess.Popen([sys.executable, "-m", module], env=environ, stdout=out, stderr=log)


def run(module: str, config: RuntimeConfig) -> tuple[int, Failure | Resolved | None]:
    """Run a module to its end: exit code and last word."""
    Path(config.termination_log).unlink(missing_ok=True)
    process = start(module, config)
    process.wait(PATIENCE)
    log = Path(config.termination_log)
    return process.returncode, parse_termination(log.read_text()) if log.exists() else None


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Running:
    """A runtime that serves."""

    def __init__(self, process: subprocess.Popen[bytes], config: RuntimeConfig) -> None:
        self.process = process
        self.config = config
        self.url = f"http://127.0.0.1:{config.port}"
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)

    def infer(self, *inputs: dict[str, Any], model: str = "shop", **more: Any) -> httpx.Response:
        """Send an inference request with these inputs."""
        return self.client.post(f"/v2/models/{model}/infer", json={"inputs": list(inputs), **more})

    def metrics(self) -> dict[str, float]:
        """All of the runtime's samples by name and labels."""
        lines = self.client.get("/metrics").text.splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line.startswith("sluice_"))
        return {name: float(value) for name, value in samples}

    def memory(self) -> int:
        """Resident bytes of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """What the process has spent, in user and in kernel mode."""
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    def ready(self) -> bool:
        """True when the readiness probe is answered with 200."""
        assert self.process.poll() is None, "the runtime ended"
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False


def turns_tensor(turns: int) -> dict[str, Any]:
    """Input of the model that is as slow as asked."""
    return {"name": "turns", "datatype": "INT64", "shape": [], "data": [turns]}


def hammer(running: Running, callers: int, turns: int) -> list[httpx.Response]:
    """Answers to as many slow requests at the same time."""
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        return list(pool.map(lambda _: running.infer(turns_tensor(turns)), range(callers)))


@contextlib.contextmanager
def serving(config: RuntimeConfig, **environ: str) -> Iterator[Running]:
    """A runtime that is ready, and gone afterwards."""
    process = start("sluice_runtime", config, **environ)
    running = Running(process, config)
    try:
        eventually(running.ready)
        yield running
    finally:
        running.client.close()
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
