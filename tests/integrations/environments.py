"""Python environments of their own for the parts that must not share the tests' one.

A client library or a framework's exporter pins protobuf, numpy and grpcio in ways that cannot live beside the runtime.
Each gets an environment in the cache, named by what it holds: built once, under one lock, and marked when complete. One
that cannot be built is an error, never a skip.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

UV_VERSION = "0.13.9"
"""As in the Makefile."""

BUILD_SECONDS = 1800
"""A large framework over a slow line."""


class EnvironmentBuildError(Exception):
    """An environment could not be built; the message holds the resolver's own words."""


def environment(name: str, requirements: Sequence[str]) -> Path:
    """The Python interpreter of a virtual environment that holds `requirements` (pinned: `package==1.2.3`).

    Environments are kept in `<cache>/envs/<name>-<hash>` and shared by every run that wants the same.

    Raises:
        EnvironmentBuildError: the packages cannot be installed.
    """
    folder = cache() / "envs" / f"{name}-{_hash(requirements)}"
    interpreter = folder / "bin" / "python"
    with _locked(cache() / "locks" / f"env-{folder.name}.lock"):
        if not (folder / _COMPLETE).exists():
            _build(folder, requirements)
    return interpreter


def cache() -> Path:
    """The folder outside the tree in which everything built is kept."""
    chosen = os.environ.get("SLUICE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base) / "sluice"


_COMPLETE = ".complete"
"""Written last. A virtual environment holds its own path, so it is built in place and not renamed."""


def _hash(requirements: Sequence[str]) -> str:
    wanted = "\n".join([f"{sys.version_info.major}.{sys.version_info.minor}", *sorted(requirements)])
    return hashlib.sha256(wanted.encode()).hexdigest()[:12]


def _build(folder: Path, requirements: Sequence[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what a killed build left
    tool = str(uv())
    python = folder / "bin" / "python"
    _run([tool, "venv", "-q", "--python", sys.executable, str(folder)])
    _run([tool, "pip", "install", "-q", "--python", str(python), *requirements])
    (folder / _COMPLETE).touch()


def uv() -> Path:
    """The program that installs; `make setup` brings it."""
    return cache() / f"uv-{UV_VERSION}" / "bin" / "uv"


def _run(command: list[str]) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentBuildError(f"{' '.join(command)}: {error}; `make setup` brings uv") from error
    if result.returncode != 0:
        raise EnvironmentBuildError(f"{' '.join(command)} exited {result.returncode}:\n{result.stderr}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """An exclusive file lock; the kernel lets go of it when the process dies, however it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
