"""The package digest is the one that coreutils print."""

import os
import subprocess
from pathlib import Path

import pytest

from sluice.digest import package_digest
from sluice.failures import PackageError, Reason

COREUTILS = r"find . -type f | sed 's|^\./||' | LC_ALL=C sort | xargs -r -d '\n' sha256sum | sha256sum"


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_the_digest_is_the_one_that_coreutils_print(tmp_path: Path) -> None:
    # Names that sort differently by locale, by path part and by byte.
    names = ["model.yaml", "Model.onnx", "a b", "a/b", "a.b", "a-b/c", "a/b-c", "ä", "z", "é/ü", "_x", "'q'"]
    fill(tmp_path, {name if name != "a/b" else "a/bb": name.encode() for name in names})
    printed = subprocess.run(COREUTILS, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert package_digest(tmp_path) == "sha256:" + printed.stdout.split()[0]


def test_the_digest_does_not_depend_on_times_modes_or_empty_folders(tmp_path: Path) -> None:
    one = fill(tmp_path / "one", {"x": b"1", "d/y": b"2"})
    other = fill(tmp_path / "other", {"d/y": b"2", "x": b"1"})
    (other / "empty").mkdir()
    os.utime(other / "x", (1, 1))
    (other / "x").chmod(0o600)
    assert package_digest(one) == package_digest(other)


@pytest.mark.parametrize(("name", "content"), [("x", b"2"), ("y", b"1")])
def test_a_changed_byte_or_name_changes_the_digest(name: str, content: bytes, tmp_path: Path) -> None:
    one = fill(tmp_path / "one", {"x": b"1"})
    assert package_digest(one) != package_digest(fill(tmp_path / "other", {name: content}))


@pytest.mark.parametrize("name", ["a\\b", "a\nb", "a\tb", "a\x7fb"])
def test_names_that_coreutils_would_escape_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError) as caught:
        package_digest(fill(tmp_path, {name: b""}))
    assert caught.value.reason is Reason.UNSAFE_ARCHIVE


def test_a_folder_that_is_too_deep_to_walk_is_refused(tmp_path: Path) -> None:
    (tmp_path / ("a/" * 33)).mkdir(parents=True)
    with pytest.raises(PackageError) as caught:
        package_digest(tmp_path)
    assert caught.value.reason is Reason.UNSAFE_ARCHIVE


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"x": b""})
    for name, make in (("link", lambda p: p.symlink_to("x")), ("pipe", os.mkfifo)):
        make(tmp_path / name)
        with pytest.raises(PackageError, match="plain files"):
            package_digest(tmp_path)
        (tmp_path / name).unlink()
