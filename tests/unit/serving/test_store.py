"""A package appears whole and verified, or not at all."""

import os
import subprocess
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from sluice.config import Limits, RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.package import write_package
from sluice_store.fetching import fetch_package
from sluice_store.volume import copy_file


@pytest.fixture
def source(tmp_path: Path) -> Path:
    node = helper.make_node("Identity", ["x"], ["y"])
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 3)) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph([node], "g", tensors[:1], tensors[1:]))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "volume").mkdir()
    write_package(tmp_path / "m.onnx", "shop", "3", tmp_path / "volume" / "shop")
    write_package(tmp_path / "m.onnx", "shop", "3", tmp_path / "volume" / "shop.tar.gz")
    return tmp_path / "volume"


def config_for(source: Path, uri: str, **changes: object) -> RuntimeConfig:
    target = source.parent / "models" / "package"
    return RuntimeConfig.model_validate(
        {"name": "shop", "uri": uri, "package_dir": str(target), "volume_dir": str(source), **changes}
    )


def reason_of(config: RuntimeConfig) -> Reason:
    with pytest.raises(PackageError) as caught:
        fetch_package(config)
    folder = Path(config.package_dir)
    assert not folder.exists()
    assert not folder.parent.exists() or os.listdir(folder.parent) == []
    return caught.value.reason


@pytest.mark.parametrize("uri", ["pvc://claim/shop", "pvc://claim/shop.tar.gz", "file://{source}/shop"])
def test_a_folder_and_an_archive_give_the_same_package(uri: str, source: Path) -> None:
    config = config_for(source, uri.format(source=source))
    package = fetch_package(config)
    assert package.folder == Path(config.package_dir)
    assert sorted(os.listdir(package.folder)) == ["model.onnx", "model.yaml"]
    assert fetch_package(config.model_copy(update={"digest": package.digest})) == package


def test_a_package_that_is_there_is_not_fetched_again(source: Path) -> None:
    config = config_for(source, "pvc://claim/shop")
    inode = fetch_package(config).model_path.stat().st_ino
    assert fetch_package(config).model_path.stat().st_ino == inode


def test_a_damaged_package_that_is_there_is_fetched_again(source: Path) -> None:
    config = config_for(source, "pvc://claim/shop")
    package = fetch_package(config)
    package.model_path.write_bytes(b"damaged")
    assert fetch_package(config.model_copy(update={"digest": package.digest})).digest == package.digest


def test_leftovers_of_a_killed_step_are_cleared(source: Path) -> None:
    config = config_for(source, "pvc://claim/shop")
    leftover = Path(config.package_dir).parent / ".incoming-old"
    leftover.mkdir(parents=True)
    fetch_package(config)
    assert os.listdir(leftover.parent) == ["package"]


def test_a_leftover_that_cannot_be_cleared_stops_no_attempt(source: Path) -> None:
    config = config_for(source, "pvc://claim/shop")
    models = Path(config.package_dir).parent
    deep = models / ".incoming-deep"
    try:
        models.mkdir()
        for depth in range(1500):
            (deep / ("a/" * depth)).mkdir()
        (models / ".incoming-file").touch()
        assert fetch_package(config).manifest.name == "shop"
        assert sorted(set(os.listdir(models)) - {deep.name}) == ["package"]
    finally:
        subprocess.run(["rm", "-rf", str(deep)], check=True)  # which shutil cannot, nor pytest


def test_a_wrong_digest_leaves_nothing_behind(source: Path) -> None:
    config = config_for(source, "pvc://claim/shop", digest="sha256:" + "0" * 64)
    assert reason_of(config) is Reason.DIGEST_MISMATCH


def test_a_missing_path_is_not_found(source: Path) -> None:
    assert reason_of(config_for(source, "pvc://claim/other")) is Reason.SOURCE_NOT_FOUND


def test_a_link_out_of_the_volume_is_refused(source: Path) -> None:
    (source / "link").symlink_to(source.parent)
    assert reason_of(config_for(source, "pvc://claim/link/m.onnx")) is Reason.UNSAFE_ARCHIVE


def test_a_folder_with_links_is_refused(source: Path) -> None:
    (source / "shop" / "passwd").symlink_to("/etc/passwd")
    assert reason_of(config_for(source, "pvc://claim/shop")) is Reason.UNSAFE_ARCHIVE


def test_a_pipe_with_an_archives_name_is_refused(source: Path) -> None:
    os.mkfifo(source / "pipe.tar.gz")
    end = os.open(source / "pipe.tar.gz", os.O_RDWR)  # or an opener that waits for a writer would wait forever
    try:
        os.write(end, bytes(1024))
        assert reason_of(config_for(source, "pvc://claim/pipe.tar.gz")) is Reason.UNSAFE_ARCHIVE
    finally:
        os.close(end)


def test_a_link_that_took_a_files_place_is_not_followed(source: Path) -> None:
    (source / "link").symlink_to("/etc/passwd")
    with pytest.raises(PackageError) as caught:
        copy_file(source / "link", source / "copy", 1024**2)
    assert caught.value.reason is Reason.UNSAFE_ARCHIVE
    assert not (source / "copy").exists()


def test_a_file_is_copied_to_the_limit_whatever_its_size_was_said_to_be(source: Path) -> None:
    said_to_be_empty = Path("/proc/cpuinfo")
    assert said_to_be_empty.stat().st_size == 0
    with pytest.raises(PackageError) as caught:
        copy_file(said_to_be_empty, source / "copy", 10)
    assert caught.value.reason is Reason.PACKAGE_TOO_LARGE
    assert (source / "copy").stat().st_size <= 10


@pytest.mark.parametrize("name", ["shop", "shop.tar.gz"])
def test_a_package_beyond_the_limit_is_refused(name: str, source: Path) -> None:
    (source / "shop" / "big").write_bytes(bytes(32 * 1024**2))
    os.system(f"tar -C {source}/shop -czf {source}/shop.tar.gz .")
    config = config_for(source, f"pvc://claim/{name}", limits=Limits(max_package_bytes=1024**2))
    assert reason_of(config) is Reason.PACKAGE_TOO_LARGE


def test_an_archive_made_by_the_tar_command_is_read(source: Path) -> None:
    os.system(f"tar -C {source}/shop -czf {source}/made.tgz .")
    assert fetch_package(config_for(source, "pvc://claim/made.tgz")).manifest.name == "shop"


def test_a_file_that_is_no_archive_is_an_invalid_package(source: Path) -> None:
    assert reason_of(config_for(source, "pvc://claim/shop/model.yaml")) is Reason.INVALID_PACKAGE
