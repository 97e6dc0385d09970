"""One question at a time for each thing that is to be known, however many wait for its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

V = TypeVar("V")


class Flights(Generic[V]):
    """Tasks under way, by what they find out."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    async def wait(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What the task finds out; it goes on for the others when this caller is gone."""
        return await asyncio.shield(self.join(key, start))

    def join(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Task[V]:
        """The task that finds this out, begun now if there is none."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(start())
            task.add_done_callback(lambda done: self._landed(key, done))
        return task

    def _landed(self, key: Hashable, task: asyncio.Task[V]) -> None:
        del self._tasks[key]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a question to the API server failed inside the authorizer", exc_info=error)
