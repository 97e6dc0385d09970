"""An open load on an HTTP server: requests leave at their times, whether or not earlier ones were answered.

A closed load slows down with the server it measures and so never overloads it. Latencies count from the time at which
a request should have left, so that a late caller does not hide a slow server (coordinated omission).
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Sent:
    """One request: when it left, how long until its answer, and the status; 0 stands for a broken connection."""

    at: float
    seconds: float
    status: int


class OpenLoad:
    """Sends one request again and again over as many connections as are needed, at most `connections`."""

    def __init__(self, port: int, data: bytes, connections: int) -> None:
        self.sent: list[Sent] = []
        self.starved = 0
        self._port = port
        self._data = data
        self._left = connections
        self._idle: list[_Caller] = []
        self._busy: set[asyncio.Future[None]] = set()

    async def run(self, rate: float, seconds: float) -> list[Sent]:
        """Offer `rate` requests a second; returns when all are answered."""
        began = time.perf_counter()
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._send(due)
        await asyncio.gather(*self._busy)
        return self.sent

    def close(self) -> None:
        """Hang up."""
        for caller in self._idle:
            caller.close()

    def _send(self, due: float) -> None:
        if not self._idle and not self._left:
            self.starved += 1
            return
        if not self._idle:
            self._left -= 1
        task = asyncio.ensure_future(self._ask(self._idle.pop() if self._idle else _Caller(), due))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _ask(self, caller: _Caller, due: float) -> None:
        try:
            if caller.transport is None:
                await asyncio.get_running_loop().create_connection(lambda: caller, "127.0.0.1", self._port)
            status = await caller.ask(self._data)
        except OSError:
            status = 0
        self.sent.append(Sent(due, time.perf_counter() - due, status))
        if status == 0 or caller.closed:
            self._left += 1
        else:
            self._idle.append(caller)


class _Caller(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self._answer: asyncio.Future[int] | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def ask(self, data: bytes) -> asyncio.Future[int]:
        assert self.transport is not None
        self._got = b""
        self._answer = asyncio.get_running_loop().create_future()
        if self.closed:
            self._answer.set_result(0)
        else:
            self.transport.write(data)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if found and length and len(body) >= int(length[1]) and self._answer and not self._answer.done():
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()
