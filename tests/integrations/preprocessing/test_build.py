"""`sluice build` makes an image that serves a package's Python code, and none that would answer otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.preprocessing.building import Builder, builder_in, lock_of, removed, with_a_library
from localcluster import buildah
from runtime.skews import coded, state
from sluice.building import LABEL
from sluice.config import ENVIRONMENT_FILE
from sluice.failures import Failure, Reason
from sluice.package import open_package

IMAGE = "sluice.local/built-by-test:1"


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    with builder_in(tmp_path_factory.mktemp("builder")) as found:
        yield found


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
def test_the_image_serves_the_package_and_the_plain_one_does_not(builder: Builder, tmp_path: Path) -> None:
    package = with_a_library(tmp_path)
    declared = open_package(package).manifest.preprocessing
    assert declared is not None
    with removed(IMAGE):
        built = builder.build(package, IMAGE)
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
def test_no_image_is_made_in_which_the_package_answers_otherwise(builder: Builder, tmp_path: Path) -> None:
    skewed = coded(tmp_path, state() | {"mean": state()["mean"] * 1.01}, lock=lock_of("humanize==4.12.3", tmp_path))
    with removed(IMAGE):
        failed = builder.build(skewed, IMAGE)
        assert failed.returncode == 1
        assert "SampleMismatch" in failed.stdout + failed.stderr
        assert not buildah.has(IMAGE)


@pytest.mark.timeout(2400)
def test_no_image_is_made_whose_libraries_break_the_runtime(builder: Builder, tmp_path: Path) -> None:
    """The lock names a version that the runtime cannot use: pip says so, and nothing is left."""
    package = coded(tmp_path / "package", lock=lock_of("protobuf==4.25.8", tmp_path))
    with removed(IMAGE):
        failed = builder.build(package, IMAGE)
        assert failed.returncode == 1
        assert "protobuf" in failed.stdout + failed.stderr
        assert not buildah.has(IMAGE)
