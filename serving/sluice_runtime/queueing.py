"""How long a request would wait: the bound of a queue that callers feel is seconds, not a count."""

from __future__ import annotations

import math

_SMOOTHING = 0.2
"""Weight of the latest run in the moving averages: four fast runs prove a new model, ten forget a hiccup."""


class Mean:
    """An exponentially weighted moving average."""

    def __init__(self, start: float) -> None:
        self.value = start

    def add(self, sample: float) -> None:
        """Take the latest sample in."""
        self.value += _SMOOTHING * (sample - self.value)


def expected_wait(queued_rows: int, max_rows: int, running: bool, run_seconds: float) -> float:
    """Seconds until the last of `queued_rows` has been run, when runs take `run_seconds` and hold `max_rows` at most.

    A run that is on counts in full. An idle queue promises no wait whatever earlier runs took, so a pod can always
    prove anew how fast it is.
    """
    return (math.ceil(queued_rows / max_rows) + running) * run_seconds
