"""Sums what counters grew by since a moment, over processes that come, go and restart.

A counter alone says nothing about a time: it starts at zero with its process, and the processes behind a revision
change while it is judged.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)


class Increments(Generic[Name]):
    """Growth since `opened_at` (Unix time), of sources that report all their counters at every look.

    A source that comes and started before `opened_at` counts from its first report.

    Counters come in groups that start at zero together, as those of an Envoy cluster do.
    """

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at
        self._last: dict[str, Mapping[str, Mapping[Name, float]]] = {}
        self._sums: dict[str, dict[Name, float]] = {}

    def reopen(self, opened_at: float) -> None:
        """Start again from what every source last reported."""
        self.opened_at = opened_at
        self.clear()

    def clear(self) -> None:
        """Count from what every source last reported; one that comes is as fresh as it was."""
        self._sums = {}

    def add(self, source: str, counters: Mapping[str, Mapping[Name, float]], started_at: float | None) -> None:
        """Take a source's report.

        A source seen for the first time counts from zero if its process started after the window opened, and
        otherwise from now: what it did before cannot be told from what belongs to the window.
        """
        fresh = started_at is not None and started_at >= self.opened_at
        last = self._last.get(source, {} if fresh else counters)
        for group in counters.keys() | last.keys():
            self._grow(group, last.get(group, {}), counters.get(group, {}))
        self._last[source] = counters

    def sums(self, group: str) -> dict[Name, float]:
        """Growth of each counter of a group."""
        return dict(self._sums.get(group, {}))

    def _grow(self, group: str, before: Mapping[Name, float], after: Mapping[Name, float]) -> None:
        restarted = any(value < before.get(name, 0.0) for name, value in after.items())
        sums = self._sums.setdefault(group, defaultdict(float))
        for name, value in after.items():
            sums[name] += value if restarted else value - before.get(name, 0.0)
