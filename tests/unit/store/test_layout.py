"""Where a package lies in what a registry holds."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sluice.archive import write_archive
from sluice.digest import package_files
from sluice.failures import PackageError, Reason
from sluice_store.layout import overlay, place, settle

MODEL = {"model.yaml": "m", "model.onnx": "o"}


def lay(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    folder.mkdir(exist_ok=True)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in package_files(folder)}


def below(name: str, files: Mapping[str, str] = MODEL) -> dict[str, str]:
    return {f"{name}/{file}": text for file, text in files.items()}


@pytest.mark.parametrize("around", [MODEL, below("package"), {**below("a/b"), "README": "r"}])
def test_the_package_is_at_the_root_or_the_one_folder_that_has_a_model_yaml(
    around: dict[str, str], tmp_path: Path
) -> None:
    folder = lay(tmp_path / "package", around)
    settle(folder, 1000, "there")
    assert content(folder) == MODEL


def test_a_package_at_the_root_keeps_all_that_is_beside_it(tmp_path: Path) -> None:
    folder = lay(tmp_path / "package", {**MODEL, **below("extra")})
    settle(folder, 1000, "there")
    assert content(folder) == {**MODEL, **below("extra")}


def test_the_one_archive_is_unpacked(tmp_path: Path) -> None:
    folder = lay(tmp_path / "package", {"notes": "n"})
    write_archive(lay(tmp_path / "source", MODEL), folder / "shop.tar.gz")
    settle(folder, 1000, "there")
    assert content(folder) == MODEL


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": "1"}, "no model.yaml"),
        ({**below("a"), **below("b")}, "more than one"),
        ({"a.tar": "", "b/c.tgz": ""}, "more"),
    ],
)
def test_none_or_two_packages_are_refused(files: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError) as caught:
        settle(lay(tmp_path / "package", files), 1000, "there")
    assert caught.value.reason is Reason.INVALID_PACKAGE
    assert words in caught.value.message


def test_a_file_is_placed_only_beneath_the_folder(tmp_path: Path) -> None:
    folder = lay(tmp_path / "package", {})
    for name in ("../up", "/root", "a/../b", "", ".", "a/", "a\x00"):
        with pytest.raises(PackageError) as caught:
            place(lay(tmp_path, {"blob": "x"}) / "blob", name, folder)
        assert caught.value.reason is Reason.UNSAFE_ARCHIVE
    place(tmp_path / "blob", "deep/er/file", folder)
    assert content(folder) == {"deep/er/file": "x"}


@pytest.mark.parametrize(("there", "name"), [("a", "a/b"), ("a/b", "a")])
def test_a_file_is_no_folder(there: str, name: str, tmp_path: Path) -> None:
    folder = lay(tmp_path / "package", {there: "1"})
    with pytest.raises(PackageError) as caught:
        place(lay(tmp_path, {"blob": "x"}) / "blob", name, folder)
    assert caught.value.reason is Reason.UNSAFE_ARCHIVE


@pytest.mark.parametrize(
    ("layer", "left"),
    [
        ({"a": "new"}, {"a": "new", "b/c": "2"}),
        ({"d": "3"}, {"a": "1", "b/c": "2", "d": "3"}),
        ({".wh.a": ""}, {"b/c": "2"}),
        ({".wh.b": ""}, {"a": "1"}),
        ({"b/.wh.c": "", "b/d": "3"}, {"a": "1", "b/d": "3"}),
        ({"b/.wh..wh..opq": "", "b/d": "3"}, {"a": "1", "b/d": "3"}),
        ({".wh..wh..opq": "", "d": "3"}, {"d": "3"}),
        ({".wh..wh..opq": ""}, {}),
        ({".wh.gone": ""}, {"a": "1", "b/c": "2"}),
    ],
)
def test_a_layer_lies_over_those_before_it(layer: dict[str, str], left: dict[str, str], tmp_path: Path) -> None:
    folder = lay(tmp_path / "package", {"a": "1", "b/c": "2"})
    overlay(lay(tmp_path / "layer", layer), folder)
    assert content(folder) == left


@pytest.mark.parametrize("name", [".wh..", ".wh...", ".wh."])
def test_a_whiteout_removes_nothing_outside(name: str, tmp_path: Path) -> None:
    folder = lay(tmp_path / "package", {"a": "1"})
    lay(tmp_path, {"beside": "b"})
    with pytest.raises(PackageError):
        overlay(lay(tmp_path / "layer", {name: ""}), folder)
    assert (tmp_path / "beside").exists()
    assert content(folder) == {"a": "1"}
