"""Serving a package on this machine: what `sluice run` asks of the runtime, and how its process is started.

The runtime is a process of its own here as in a pod, because this package must stay light enough to import anywhere.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Self

import httpx
from pydantic import BaseModel, ConfigDict, Field

from sluice.config import Provider
from sluice.failures import Failure, PackageError, Reason, parse_termination
from sluice.package import Package

LOCAL_ENV = "SLUICE_LOCAL"
MODULE = "sluice_runtime.local"
REPLAY_MODULE = "sluice_runtime.replaying"
READY_SECONDS = 600.0
STOP_SECONDS = 30.0


class LocalRun(BaseModel):
    """How to serve a package here. `source` is a folder, an archive or a URI as in spec.model.uri."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    grpc_port: int = Field(default=8081, ge=1, le=65535)
    threads: int | None = Field(default=None, ge=1)
    providers: tuple[Provider, ...] = ()
    # The feature store's; None: requests carry every input themselves.
    features_url: str | None = None
    verbose: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read what `environment` wrote."""
        return cls.model_validate_json(environ[LOCAL_ENV])

    def environment(self) -> dict[str, str]:
        """The environment of a runtime that serves this."""
        return {**os.environ, LOCAL_ENV: self.model_dump_json()}


class LocalRunError(Exception):
    """The runtime is not installed, or it ended before it was ready."""


def become(run: LocalRun) -> None:
    """Replace this process by the runtime, which then hears every signal itself. Never returns.

    Raises:
        LocalRunError: it is not installed.
    """
    os.execve(sys.executable, command(), run.environment())  # noqa: S606 no shell is wanted


@contextmanager
def served(run: LocalRun) -> Iterator[str]:
    """The URL of a runtime that serves for as long as the context lasts; what it prints goes to stderr.

    Raises:
        LocalRunError: it is not installed, or ended before it was ready, having said why.
    """
    process = subprocess.Popen(command(), env=run.environment(), stdout=subprocess.DEVNULL)
    url = f"http://{run.host}:{run.port}"
    try:
        _wait_until_ready(process, url)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def replay(package: Package) -> bool:
    """Replay a package's sample in a process of its own. False: the runtime is not installed here.

    Raises:
        PackageError: it does not answer as it did in training, or cannot be loaded.
    """
    if _absent():
        return False
    command = [sys.executable, "-m", REPLAY_MODULE, str(package.folder)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    word = parse_termination(process.stdout)
    if isinstance(word, Failure):
        raise PackageError(word.reason, word.message)
    if process.returncode:
        raise PackageError(Reason.INTERNAL, f"the replay of the sample ended with status {process.returncode}")
    return True


def command() -> list[str]:
    """The command of the runtime.

    Raises:
        LocalRunError: it is not installed.
    """
    if absent := _absent():
        raise LocalRunError(f"{', '.join(absent)} is not installed here; pip install 'sluice-serving[serving]'")
    return [sys.executable, "-m", MODULE]


def _absent() -> list[str]:
    wanted = ("sluice_runtime", "bentoml", "onnxruntime")
    return [name for name in wanted if importlib.util.find_spec(name) is None]


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    ends = monotonic() + READY_SECONDS
    with httpx.Client(base_url=url, trust_env=False) as client:
        while monotonic() < ends:
            if process.poll() is not None:
                raise LocalRunError("the model could not be served")
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            sleep(0.05)
    raise LocalRunError(f"the model was not ready within {READY_SECONDS:.0f} s")
