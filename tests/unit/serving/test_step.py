"""What a step says when it fails in a way that nobody foresaw."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.config import CONFIG_ENV, RuntimeConfig
from sluice_runtime.step import run_step


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def send(_: RuntimeConfig) -> None:
    token = "-".join(["s3cret", "€"])
    try:
        token.encode("ascii")
    except UnicodeEncodeError as error:
        raise ValueError(f"Bearer {token}") from error


def test_an_unforeseen_failure_is_told_by_its_kind_and_place_and_never_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"name": "shop", "uri": "s3://models/k", "terminationLog": str(tmp_path / "term")}
    monkeypatch.setenv(CONFIG_ENV, json.dumps(settings))
    assert run_step(send) == 1
    word, log = (tmp_path / "term").read_text(), capsys.readouterr().err
    assert json.loads(word)["reason"] == "InternalError"
    assert "ValueError" in word
    assert "in send" in log
    assert "UnicodeEncodeError" in log
    assert "s3cret-" not in word + log
