"""How far a download is, in the step's log: a package of gigabytes that says nothing looks like one that hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0

_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(slots=True)
class Progress:
    """Speaks every few seconds while bytes arrive. `clock` counts seconds."""

    name: str
    clock: Callable[[], float] = time.monotonic
    _since: float | None = field(default=None, init=False)
    _spoken: tuple[float, int] = field(default=(0.0, 0), init=False)

    def at(self, received: int, total: int | None) -> None:
        """Say how many bytes of `total` are here, and how fast they came since the last word."""
        now = self.clock()
        if self._since is None:
            self._since, self._spoken = now, (now, received)
        seconds = now - self._spoken[0]
        if seconds >= INTERVAL_SECONDS:
            rate = max(0, received - self._spoken[1]) / seconds
            log.info("%s: %s, %s/s", self.name, share(received, total), size(rate))
            self._spoken = (now, received)

    def done(self, received: int) -> None:
        """Say that all of it is here."""
        seconds = 0.0 if self._since is None else self.clock() - self._since
        log.info("%s: all %s are here after %.1f s", self.name, size(received), seconds)


def share(received: int, total: int | None) -> str:
    """`12.5 MB of 1.0 GB (1 %)`, or only the first of it where nobody said how much there is."""
    if not total:
        return size(received)
    return f"{size(received)} of {size(total)} ({100 * received // total} %)"


def size(count: float) -> str:
    """Bytes as people read them, in powers of 1000."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"
