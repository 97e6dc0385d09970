"""Runs other programs so that a failure shows their own last words instead of a bare exit code."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster.errors import ClusterError

TAIL_LINES = 25


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The last lines of a program's output."""
    return "\n".join(text.strip().splitlines()[-lines:])


def run(
    *argv: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program and return its stdout; raise ClusterError with its last lines if it fails."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as missing:
        raise ClusterError(f"the program {words[0]!r} is not installed") from missing
    except subprocess.TimeoutExpired as late:
        raise ClusterError(f"{command_line(words)}: no answer within {timeout} s") from late
    if done.returncode != 0:
        last = tail(done.stderr or done.stdout)
        raise ClusterError(f"{command_line(words)}: exit {done.returncode}\n{last}")
    return done.stdout


def succeeds(*argv: str | Path, timeout: float = 30.0) -> bool:
    """Whether a program runs and exits with 0."""
    try:
        run(*argv, timeout=timeout)
    except ClusterError:
        return False
    return True


def command_line(words: Sequence[str]) -> str:
    """The first words of a command, enough to recognise it."""
    text = " ".join(words)
    return text if len(text) < 160 else text[:157] + "..."
