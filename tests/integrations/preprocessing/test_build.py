"""`sluice build` makes an image that serves a package's Python code, and none that would answer otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from integrations.environments import uv
from localcluster import buildah, configs, images, layout
from runtime.skews import CODE, HELPERS, coded, state
from sluice.building import LABEL
from sluice.config import ENVIRONMENT_FILE
from sluice.failures import Failure, Reason
from sluice.package import open_package

IMAGE = "sluice.local/built-by-test:1"
CODE_WITH_A_LIBRARY = CODE.replace("import numpy as np", "import humanize\nimport numpy as np")


@dataclass(frozen=True)
class Builder:
    """buildah on the cache's storage, and the runtime's image in it."""

    base: str
    environ: dict[str, str]
    options: tuple[str, ...]

    def build(self, package: Path) -> subprocess.CompletedProcess[str]:
        """What a person would type."""
        words = ["build", str(package), "--image", IMAGE, "--base", self.base, "--builder", "buildah"]
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


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    scratch = tmp_path_factory.mktemp("builder")
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
def removed() -> Iterator[None]:
    try:
        yield
    finally:
        if buildah.has(IMAGE):
            buildah.buildah("rmi", IMAGE)


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that the runtime does not have, pinned as a data scientist would."""
    folder = tmp_path_factory.mktemp("lock")
    (folder / "requirements.in").write_text("humanize==4.12.3\n")
    words = ["pip", "compile", "-q", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
    words += ["--python-version", "3.11", str(folder / "requirements.in"), "-o", str(folder / "requirements.lock")]
    subprocess.run([str(uv()), *words], check=True)
    return (folder / "requirements.lock").read_text()


LOAD = """
import sys
from sluice.config import RuntimeConfig
from sluice.failures import Failure, PackageError
from sluice_runtime.runtime import load
try:
    load(RuntimeConfig(name="shop", uri="file:///mnt/package", package_dir="/mnt/package"))
    print("{}")
except PackageError as error:
    print(Failure(reason=error.reason, message=error.message).model_dump_json())
"""


@pytest.mark.timeout(2400)
def test_the_image_serves_the_package_and_the_plain_one_does_not(builder: Builder, lock: str, tmp_path: Path) -> None:
    package = coded(tmp_path, files={"model.py": CODE_WITH_A_LIBRARY, "helpers.py": HELPERS}, lock=lock)
    declared = open_package(package).manifest.preprocessing
    assert declared is not None
    with removed():
        built = builder.build(package)
        assert built.returncode == 0, built.stderr
        assert built.stdout.splitlines()[-1] == f"{IMAGE} {declared.environment}"
        described = json.loads(buildah.buildah("inspect", "--type", "image", IMAGE))
        assert described["OCIv1"]["config"]["Labels"][LABEL] == declared.environment
        assert builder.run(IMAGE, "cat", ENVIRONMENT_FILE, package=package).strip() == declared.environment
        assert builder.run(IMAGE, "id", "-u", package=package).strip() == "65532"
        assert builder.run(IMAGE, "python", "-c", LOAD, package=package).splitlines()[-1] == "{}"
        word = Failure.model_validate_json(
            builder.run(builder.base, "python", "-c", LOAD, package=package).splitlines()[-1]
        )
    assert word.reason is Reason.ENVIRONMENT_MISMATCH
    assert "sluice build" in word.message


@pytest.mark.timeout(2400)
def test_no_image_is_made_in_which_the_package_answers_otherwise(builder: Builder, lock: str, tmp_path: Path) -> None:
    skewed = coded(tmp_path, state() | {"mean": state()["mean"] * 1.01}, lock=lock)
    with removed():
        failed = builder.build(skewed)
        assert failed.returncode == 1
        assert "SampleMismatch" in failed.stdout + failed.stderr
        assert not buildah.has(IMAGE)


@pytest.mark.timeout(2400)
def test_no_image_is_made_whose_libraries_break_the_runtime(builder: Builder, tmp_path: Path) -> None:
    """The lock names a version that the runtime cannot use: pip says so, and nothing is left."""
    (tmp_path / "in").write_text("protobuf==4.25.8\n")
    words = ["pip", "compile", "-q", "--generate-hashes", "--no-emit-index-url", "--python-version", "3.11"]
    subprocess.run([str(uv()), *words, str(tmp_path / "in"), "-o", str(tmp_path / "out")], check=True)
    package = coded(tmp_path / "package", lock=(tmp_path / "out").read_text())
    with removed():
        failed = builder.build(package)
        assert failed.returncode == 1
        assert "protobuf" in failed.stdout + failed.stderr
        assert not buildah.has(IMAGE)
