"""Only our own processes are ever ended: a recycled pid, another boot or a torn record is nobody of ours."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import layout, processes


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(layout, "RECORDS", tmp_path / "processes")
    yield tmp_path / "sleeper.log"
    processes.stop("sleeper", grace=1.0)


def test_a_name_may_hold_spaces_and_parentheses() -> None:
    line = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1000 10"

    assert processes.parse_stat(line) == processes.Stat(pid=42, state="S", start=777)


def test_a_started_process_is_known_and_ends(log: Path) -> None:
    processes.start("sleeper", ["sleep", "60"], log)
    found = processes.recorded("sleeper")
    assert found is not None
    assert found.alive
    assert found.rss > 0
    assert Path(f"/proc/{found.pid}/cmdline").read_text().startswith("sleep")

    processes.stop("sleeper", grace=5.0)

    assert not found.alive
    assert processes.all_recorded() == {}


def test_a_paused_process_is_seen_and_can_still_be_stopped(log: Path) -> None:
    processes.start("sleeper", ["sleep", "60"], log)
    found = processes.recorded("sleeper")
    assert found is not None

    found.signal(signal.SIGSTOP)
    assert processes.wait(lambda: found.paused, 5.0)
    processes.stop("sleeper", grace=5.0)

    assert not found.alive


def test_a_recycled_pid_is_not_ours(log: Path) -> None:
    own = processes.stat_of(os.getpid())
    assert own is not None
    recycled = processes.Process(own.pid, own.start - 1)

    recycled.end(grace=0.1)  # would end this test run

    assert not recycled.alive


@pytest.mark.parametrize("text", ["", "only-one-line\n", "another-boot\n1 (init) S 0\n"])
def test_a_torn_or_foreign_record_is_nobody(log: Path, text: str) -> None:
    layout.RECORDS.mkdir()
    (layout.RECORDS / "sleeper").write_text(text)

    assert processes.recorded("sleeper") is None


def test_output_goes_to_the_log(log: Path) -> None:
    processes.start("sleeper", ["sh", "-c", "echo started; exec sleep 60"], log)

    assert processes.wait(lambda: log.read_text() == "started\n", 5.0)
