"""What commands say beside their answer: on stderr, each message in one line, so that a log keeps it whole."""

from __future__ import annotations

import sys


def warn(message: str) -> None:
    """Say it."""
    print(f"sluice: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201


def fault(message: str, status: int = 1) -> int:
    """Say what is at fault; the answer is the exit status that tells of it."""
    warn(message)
    return status
