"""A training that is stopped, by a person or by whoever runs it, is over, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from integrations.training.desks import PATIENCE, desk

SLOW = """
from pathlib import Path
from time import sleep
from sluice import Model

class Slow(Model):
    name, target, inputs = "slow", "revenue", ("size",)

    def train(self, data, target, *, seed, previous=None):
        Path("begun").touch()
        sleep(600)
"""


IN_THE_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
"""How a shell without a terminal begins what ends in `&`: what it begins ignores SIGINT."""


@pytest.mark.parametrize(
    ("word", "before"), [(signal.SIGTERM, ()), (signal.SIGINT, ()), (signal.SIGTERM, IN_THE_BACKGROUND)]
)
def test_it_ends_and_nothing_is_left(word: signal.Signals, before: tuple[str, ...], tmp_path: Path) -> None:
    place = desk(tmp_path / "desk")
    (place / "slow.py").write_text(SLOW)
    (tmp_path / "tmp").mkdir()
    argv = [sys.executable, "-m", "sluice", "train", "slow:Slow", "--data", "shops.csv", "--output", "slow.tar.gz"]
    known = {"PATH": os.environ["PATH"], "HOME": str(place), "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(
        [*before, *argv], cwd=place, env=known, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        until = time.monotonic() + PATIENCE
        while not (place / "begun").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        # A terminal tells all that run in it of Ctrl-C; others tell the one that they began.
        (os.killpg if word is signal.SIGINT else os.kill)(running.pid, word)
        _, told = running.communicate(timeout=PATIENCE)
    assert (running.returncode, told) == (130, "")
    assert not any(path.name.startswith((".sluice", "slow.tar")) for path in place.iterdir())
    assert not any(path.name.startswith("sluice-") for path in (tmp_path / "tmp").iterdir())
