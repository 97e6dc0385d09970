"""buildah as `sluice build` uses it, on the storage that the local cluster's images are built in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from integrations.environments import uv
from localcluster import buildah, configs, images, layout
from runtime.skews import CODE, HELPERS, coded

CODE_WITH_A_LIBRARY = CODE.replace("import numpy as np", "import humanize\nimport numpy as np")


@dataclass(frozen=True)
class Builder:
    """buildah on the cache's storage, and the runtime's image in it."""

    base: str
    environ: dict[str, str]
    options: tuple[str, ...]

    def build(self, package: Path, image: str) -> subprocess.CompletedProcess[str]:
        """What a person would type."""
        words = ["build", str(package), "--image", image, "--base", self.base, "--builder", "buildah"]
        words += [f"--option={word}" for word in self.options]
        return subprocess.run(
            [sys.executable, "-m", "sluice", *words], env=self.environ, capture_output=True, text=True, check=False
        )

    def run(self, image: str, *command: str, package: Path) -> str:
        """The standard output of a command in an image that sees a package."""
        work = buildah.buildah("from", "--pull-never", image).strip()
        try:
            mount = f"--volume={package}:/mnt/package:ro"
            return buildah.buildah("run", "--isolation=chroot", mount, work, "--", *command)
        finally:
            buildah.buildah("rm", work)


@contextmanager
def builder_in(scratch: Path) -> Iterator[Builder]:
    """The builder; nobody else builds images meanwhile. Its settings lie in the folder given."""
    driver = "overlay" if configs.snapshotter() == "overlayfs" else "vfs"
    places = f'graphroot = "{layout.buildah_root()}"\nrunroot = "{layout.BUILDAH_RUN}"\n'
    (scratch / "storage.conf").write_text(f'[storage]\ndriver = "{driver}"\n{places}')
    environ = {**os.environ, "CONTAINERS_STORAGE_CONF": str(scratch / "storage.conf")}
    with images.images_lock(), buildah.session():
        runtime = images.recipe("runtime")
        images.ensure_built(runtime)
        loans = [f"--volume={source}:{target}" for source, target in buildah.loans(scratch)]
        options = ("--isolation=chroot", "--network=host", "--pull-never", "--format=oci", *loans)
        yield Builder(runtime.name, environ, options)


@contextmanager
def removed(image: str) -> Iterator[None]:
    """See to it that the image is gone afterwards."""
    try:
        yield
    finally:
        if buildah.has(image):
            buildah.buildah("rmi", image)


def lock_of(requirement: str, folder: Path) -> str:
    """A requirement and what it needs, pinned with hashes as a data scientist would."""
    (folder / "requirements.in").write_text(requirement + "\n")
    words = ["pip", "compile", "-q", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
    words += ["--python-version", "3.11", str(folder / "requirements.in"), "-o", str(folder / "requirements.lock")]
    subprocess.run([str(uv()), *words], check=True)
    return (folder / "requirements.lock").read_text()


def with_a_library(folder: Path) -> Path:
    """A package whose code imports a library that the runtime does not have."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"model.py": CODE_WITH_A_LIBRARY, "helpers.py": HELPERS}
    return coded(folder, files=files, lock=lock_of("humanize==4.12.3", folder))
