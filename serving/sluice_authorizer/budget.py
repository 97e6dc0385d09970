"""How often others may make this process ask the API server. Pure: `now` is monotonic time in seconds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second in the long run, and so many at once."""

    per_second: float
    burst: int


class Bucket:
    """A token bucket, full at first."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._left = float(rate.burst)
        self._at = now

    def has(self, now: float) -> bool:
        """Whether one may be taken."""
        rate = self._rate
        self._left = min(float(rate.burst), self._left + max(0.0, now - self._at) * rate.per_second)
        self._at = max(now, self._at)
        return self._left >= 1.0

    def take(self) -> None:
        """Take one that is there."""
        self._left -= 1.0


class Budget:
    """A rate for each source, the `most` latest of them, and one for all together. A refused one costs nobody."""

    def __init__(self, each: Rate, together: Rate, most: int, now: float) -> None:
        self._each = each
        self._together = Bucket(together, now)
        self._most = most
        self._sources: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sources)

    def spend(self, source: str, now: float) -> bool:
        """Take one for a source; False where nothing is left."""
        bucket = self._sources.get(source)
        if bucket is None:
            bucket = self._sources[source] = Bucket(self._each, now)
            if len(self._sources) > self._most:
                self._sources.popitem(last=False)
        self._sources.move_to_end(source)
        if not (bucket.has(now) and self._together.has(now)):
            return False
        bucket.take()
        self._together.take()
        return True
