"""No option is ignored: one that needs another is refused without it, before anything is read."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pytest

from sluice_training import cli
from sluice_training.commands import add
from sluice_training.errors import TrainingError
from sluice_training.options import NEEDS, check, check_files, check_lock
from unit.training.shops import Coded, Revenue


def chosen(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    return parser.parse_args(["train", "model:Iris", *words])


def flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


@pytest.mark.parametrize("option", NEEDS)
def test_an_option_without_what_it_needs_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(chosen(flag(option), "x")) == 3
    assert capsys.readouterr().err == f"sluice: {flag(option)} is of no use without {flag(NEEDS[option])}\n"


@pytest.mark.parametrize("option", NEEDS)
def test_and_taken_beside_it(option: str) -> None:
    needed = flag(NEEDS[option])
    check(chosen(flag(option), "x", *((needed,) if needed == "--as-job" else (needed, "y"))))


def test_a_job_has_no_place_to_leave_a_file_in() -> None:
    with pytest.raises(TrainingError, match="--output is of no use with --as-job"):
        check(chosen("--as-job", "--output", "iris.tar.gz"))


@pytest.mark.parametrize("option", ["--features", "--previous", "--lock"])
def test_a_file_that_is_not_there_is_told_by_its_option(option: str) -> None:
    with pytest.raises(TrainingError, match=f"{option}: there is no absent"):
        check_files(chosen(option, "absent"))


def test_a_lock_is_there_where_python_is_served_and_only_there(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    with pytest.raises(TrainingError, match=r"Coded overrides preprocess or postprocess, .* give --lock FILE"):
        check_lock(Coded, None)
    with pytest.raises(TrainingError, match=r"requirements\.lock does not exist"):
        check_lock(Coded, lock)
    lock.touch()
    check_lock(Coded, lock)
    check_lock(Revenue, None)
    with pytest.raises(TrainingError, match="--lock is of no use: Revenue overrides neither"):
        check_lock(Revenue, lock)


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("Revenue", ["--seed=-1"], "seed is -1; it must be a whole number, and not negative"),
        ("Revenue", ["--test-share=5"], "the test share is 5.0; it must lie between 0 and 1"),
        ("Revenue", ["--search=-3"], "search is -3; it must be a whole number, and not negative"),
        ("Revenue", ["--image-folder=/app", "--seed=-1"], "seed is -1"),
        ("Revenue", ["--lock=/data/a.lock"], "--lock is of no use: Revenue overrides neither"),
        ("Good", ["--search=3"], "Good has no parameters to search"),
        ("Coded", ["--lock=absent.lock"], "absent.lock does not exist; it must be the lock of the class's libraries"),
        ("Coded", [], "Coded overrides preprocess or postprocess"),
    ],
)
def test_no_job_is_printed_that_can_only_fail(
    kind: str, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    given = chosen("--as-job", "--image=tools:1", "--push=s3://models", "--data=/data/shops.csv", *words)
    given.model = f"unit.training.shops:{kind}"
    assert cli.run(given) == 3
    told = capsys.readouterr()
    assert (told.out, told.err.startswith(f"sluice: {message}")) == ("", True), told.err


@pytest.mark.parametrize(("data", "message"), [([], "there is no data"), (["--data=a.xlsx"], "a.xlsx is neither .csv")])
def test_nor_one_without_data(data: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(chosen("--as-job", "--image=tools:1", "--image-folder=/app", "--push=s3://models", *data)) == 3
    assert capsys.readouterr().err.startswith(f"sluice: {message}")


def test_a_lock_in_a_claim_is_not_looked_for_here() -> None:
    check_lock(Coded, Path("/data/absent.lock"), here=False)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("models", "'models' names no class; write MODULE:CLASS"),
        ("models.py:Revenue", "'models.py:Revenue' names no class; write MODULE:CLASS"),
        ("./models:Revenue", "'./models:Revenue' names no class; write MODULE:CLASS"),
        ("absent_models:Revenue", "there is no absent_models.py in "),
        ("unit.training.shops:Revenu", "has no class Revenu that inherits .*; there is Revenue, Good, Coded, Aged"),
        ("unit.training.shops:pipeline", "has no class pipeline that"),
    ],
)
def test_a_class_that_is_not_found_is_told_by_what_there_is(
    named: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(cli.CHILD, "1")
    monkeypatch.setattr(sys, "path", [*sys.path])
    given = chosen()
    given.model = named
    assert cli.run(given) == 3
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("model.zip", "model.zip: write .tar.gz, .tgz or a folder"),
        ("there", "there exists; a package is never changed"),
        ("file/model.tar.gz", "cannot be written: .*file is no folder"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_told_before_training(
    output: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setenv(cli.CHILD, "1")
    monkeypatch.setattr(sys, "path", [*sys.path])
    given = chosen("--output", str(tmp_path / output), "--data", "absent.csv")
    given.model = "unit.training.shops:Revenue"
    assert cli.run(given) == 3
    assert re.search(message, capsys.readouterr().err)
