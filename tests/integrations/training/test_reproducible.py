"""Two clean checkouts, on desks that have nothing in common, give the same package."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from integrations.training.desks import desk, trained
from sluice.package import opened

WORDS = ("model:Revenue", "--data", "shops.csv", "--key", "shop", "--seed", "7", "--search", "3", "--output")


def test_two_checkouts_give_the_same_package(tmp_path: Path) -> None:
    one, two = desk(tmp_path / "one"), desk(tmp_path / "a folder/of another depth")
    os.utime(two / "shops.csv", (0, 0))
    (two / "notes.txt").write_text("of nobody's interest")
    here = {
        "PYTHONHASHSEED": "1",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
    }
    there = {"PYTHONHASHSEED": "4711", "TZ": "America/New_York", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    digests = [
        trained(one, *WORDS, "package.tar.gz", environ=here),
        trained(two, *WORDS, "package.tar.gz", environ=there),
        trained(two, *WORDS, tmp_path / "folder", environ=here),
    ]
    assert len(set(digests)) == 1
    assert (one / "package.tar.gz").read_bytes() == (two / "package.tar.gz").read_bytes()


def test_whatever_takes_part_is_in_the_digest(tmp_path: Path) -> None:
    usual = desk(tmp_path / "usual")
    first = trained(usual, *WORDS, "package.tar.gz")
    for place, (file, old, new) in enumerate(
        [
            ("shops.csv", "Zwolle", "Meppel"),
            ("helpers.py", "abc", "abd"),
            ("model.py", "n_estimators=20", "n_estimators=21"),
        ]
    ):
        other = tmp_path / f"other {place}"
        shutil.copytree(usual, other, ignore=shutil.ignore_patterns("package.tar.gz", "__pycache__"))
        (other / file).write_text((other / file).read_text().replace(old, new))
        assert trained(other, *WORDS, "package.tar.gz") != first
    assert trained(usual, *WORDS[:-1], "--test-share", "0.3", "--output", "other.tar.gz") != first


def test_python_that_is_served_is_reproducible_too(tmp_path: Path) -> None:
    words = ("coded:Coded", "--data", "shops.csv", "--lock", "requirements.lock", "--output", "package.tar.gz")
    one, two = desk(tmp_path / "one"), desk(tmp_path / "elsewhere/two")
    assert trained(one, *words, environ={"PYTHONHASHSEED": "1"}) == trained(two, *words, environ={"TZ": "Asia/Tokyo"})
    with opened(one / "package.tar.gz") as package:
        assert package.manifest.preprocessing is not None
        assert package.manifest.preprocessing.entrypoint == "coded:Coded"
        assert {path.name for path in (package.folder / "code").iterdir()} >= {"coded.py", "state.json"}
