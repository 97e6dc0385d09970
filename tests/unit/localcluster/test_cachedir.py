"""What is in the cache is whole: a build that was killed leaves nothing that could be taken for a result."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster import build, cachedir


def test_a_result_is_built_once(tmp_path: Path) -> None:
    built: list[Path] = []

    def fill(folder: Path) -> None:
        built.append(folder)
        (folder / "program").write_text("x")

    for _ in range(2):
        assert (cachedir.ensure(tmp_path / "bin" / "p-1", fill) / "program").read_text() == "x"
    assert len(built) == 1


def test_a_failed_build_leaves_no_result_and_the_next_clears_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_CACHE", str(tmp_path))
    target = tmp_path / "bin" / "p-1"

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cachedir.ensure(target, fail)
    assert not target.exists()

    cachedir.ensure(target, lambda folder: None)
    assert [entry.name for entry in target.parent.iterdir()] == ["p-1"]
    assert list(target.iterdir()) == []


def test_parts_do_not_run_into_each_other() -> None:
    assert cachedir.digest(["ab", "c"]) != cachedir.digest(["a", "bc"])


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    cachedir.write_atomically(tmp_path / "a" / "f", "1", 0o600)
    cachedir.write_atomically(tmp_path / "a" / "f", "2", 0o600)

    assert (tmp_path / "a" / "f").read_text() == "2"
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["f"]


def test_every_program_has_a_module_and_a_hash_of_its_own() -> None:
    hashes = {name: build.content_hash(program) for name, program in build.PROGRAMS.items()}

    assert len(set(hashes.values())) == len(build.PROGRAMS)
