"""Whether the API server answers, told once when that changes, so that an outage is two log lines and not thousands."""

import asyncio
import logging

log = logging.getLogger(__name__)


class Circuit:
    """Open while the API server is away. `closed` can be awaited in tests and by the prober."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """True while the API server is away."""
        return self._opened.is_set()

    async def wait_open(self) -> None:
        """Return when the API server is away."""
        await self._opened.wait()

    def failed(self, error: Exception) -> None:
        """A request got no answer."""
        if not self.is_open:
            log.warning("the API server does not answer, will go on when it does: %s", error)
        self._opened.set()

    def succeeded(self) -> None:
        """A request got an answer, whatever it says."""
        if self.is_open:
            log.info("the API server answers again")
        self._opened.clear()
