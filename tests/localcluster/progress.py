"""Tells a waiting person what is going on: silence for minutes looks like a hang."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

INTERVAL = 15.0


def say(message: str) -> None:
    """Print one line of progress to stderr; stdout is kept for results such as JSON."""
    print(f"localcluster: {message}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str, interval: float = INTERVAL) -> Iterator[None]:
    """Announce `what`, repeat it with the elapsed time while it lasts, and say how long it took."""
    began, finished = time.monotonic(), threading.Event()

    def beat() -> None:
        while not finished.wait(interval):
            say(f"  ... {what}: {time.monotonic() - began:.0f} s")

    say(what)
    ticker = threading.Thread(target=beat, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        finished.set()
        ticker.join()
    say(f"  {what}: done in {time.monotonic() - began:.1f} s")
