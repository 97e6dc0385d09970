"""Several writes under way at once, since most of a write's time is the store's.

No two of them hold the same key with different values, so that their order decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

_Batch = TypeVar("_Batch")


def send(
    batches: Iterable[_Batch],
    write: Callable[[_Batch], None],
    ended: Callable[[_Batch, BaseException | None], None],
    most: int,
) -> None:
    """Write batches, at most `most` of them at once. `ended` hears of each in the caller's thread, with what went wrong
    or None. After the first that fails no more are begun; those under way end first, and are told, too.

    Raises:
        Exception: what the first that failed raised.
    """
    under_way: dict[Future[None], _Batch] = {}
    failures: list[BaseException] = []

    def settle(done: Iterable[Future[None]]) -> None:
        for future in done:
            error = future.exception()
            ended(under_way.pop(future), error)
            failures.extend([error] if error else [])

    with ThreadPoolExecutor(most, "sluice-write") as pool:
        for batch in batches:
            under_way[pool.submit(write, batch)] = batch
            if len(under_way) == most:
                settle(wait(under_way, return_when=FIRST_COMPLETED).done)
            if failures:
                break
        settle(wait(under_way).done)
    if failures:
        raise failures[0]
