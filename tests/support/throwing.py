"""Throws hostile requests at a runtime and listens to what it says."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Iterator

CALLERS = 16
PATIENCE = 60.0
"""Seconds without any answer after which a request counts as stranded."""

HINT = 0.5
"""Seconds until a runtime that waits for the rest of a request is told that none will come."""

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


async def throw(port: int, requests: Iterable[bytes]) -> Counter[int]:
    """Send all requests; counts of their first answers' statuses, 0 for a connection closed without one.

    Raises:
        TimeoutError: a request was never answered.
    """
    statuses: Counter[int] = Counter()
    source = iter(requests)
    await asyncio.gather(*(_caller(port, source, statuses) for _ in range(CALLERS)))
    return statuses


async def _caller(port: int, source: Iterator[bytes], statuses: Counter[int]) -> None:
    for request in source:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(PATIENCE):
                statuses[await _ask(reader, writer, request)] += 1
        finally:
            writer.close()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    try:
        writer.write(request)
        first = asyncio.ensure_future(reader.readuntil(b"\r\n"))
        done, _ = await asyncio.wait([first], timeout=HINT)
        if not done:
            writer.write_eof()
        head = await first
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0
    found = _STATUS.match(head)
    return int(found[1]) if found else -1
