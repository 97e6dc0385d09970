"""A short memory of an outage: while the store does not answer, no request waits to find that out once more."""

from __future__ import annotations

FAILURES_BEFORE_PAUSE = 3
"""In a row. A single slow answer says nothing about the next one."""

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0
"""So long, at most, a store that is back goes unnoticed."""


class Circuit:
    """Closed while the store answers. Open after some silence in a row; then one call at a time tries it, after pauses
    that grow. Pure: `now` is monotonic time in seconds.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    @property
    def closed(self) -> bool:
        """Whether the store answers, as far as is known."""
        return self._failures < FAILURES_BEFORE_PAUSE

    def allows(self, now: float, under_way: int) -> bool:
        """Whether the store may be asked, with so many calls under way."""
        return self.closed or (now >= self._until and under_way == 0)

    def failed(self, now: float) -> None:
        """A call got no answer."""
        self._failures += 1
        excess = min(self._failures - FAILURES_BEFORE_PAUSE, 8)
        if excess >= 0:
            self._until = now + min(FIRST_PAUSE_SECONDS * 2.0**excess, LONGEST_PAUSE_SECONDS)

    def answered(self) -> None:
        """A call got an answer, whatever it said."""
        self._failures = 0
