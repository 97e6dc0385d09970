"""No option is ignored: one that needs another is refused without it, before anything is read."""

from __future__ import annotations

import argparse

import pytest

from sluice_training import cli
from sluice_training.commands import add
from sluice_training.errors import TrainingError
from sluice_training.options import NEEDS, check


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
