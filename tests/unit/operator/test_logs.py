"""A line is one JSON object and says what it is about."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from sluice_operator import logs

Setup = Callable[[str, logs.Format], None]


@pytest.fixture
def setup() -> Iterator[Setup]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield logs.setup
    root.handlers[:], root.level = before[0], before[1]


def test_a_line_carries_the_resource_it_is_about(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    setup("info", "json")
    with logs.context(namespace="shop", name="one"), logs.context(revision="abc"):
        logging.getLogger("sluice_operator.x").info("applied %s", "y")
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time")
    assert line == {
        "message": "applied y",
        "level": "info",
        "logger": "sluice_operator.x",
        "namespace": "shop",
        "name": "one",
        "revision": "abc",
    }


def test_fields_end_with_their_context(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    setup("info", "text")
    with logs.context(name="one"):
        pass
    logging.getLogger("x").info("later")
    assert "name=one" not in capsys.readouterr().err


def test_the_frameworks_retries_are_silent_its_errors_are_not(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    setup("info", "json")
    kopf = logging.getLogger("kopf._cogs.clients.watching")
    kopf.error("Request attempt #1/9 failed; will retry: GET x")
    kopf.error("something else")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["something else"]
