"""A feature server that speaks as Feast's does and misbehaves as it is told to, over real sockets on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NO_TIME = "1970-01-01T00:00:00Z"
TIME = "2026-11-22T10:00:00Z"
"""When the features of `Store.rows` are from, unless they say otherwise."""


@dataclass
class Call:
    """One question, on its way to be answered."""

    keys: list[Any]
    headers: Mapping[str, str]
    writer: asyncio.StreamWriter
    connection: int

    async def send(self, body: bytes, status: str = "200 OK", headers: str = "", length: int | None = None) -> None:
        """Answer, as if the body had another length where one is given."""
        size = len(body) if length is None else length
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {size}\r\n\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()


@dataclass
class Store:
    """Features by key; `rows[key][feature]` is a value, or a value and its time. `manner` is how calls are met."""

    entity: str = "store_id"
    features: Sequence[str] = ("size", "staff", "city")
    rows: dict[Any, dict[str, Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    manner: Callable[[Call], Awaitable[None]] | None = None
    url: str = ""
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def asked(self) -> list[list[Any]]:
        """The keys of each call."""
        return [call.keys for call in self.calls]

    async def start(self, trust: ssl.SSLContext | None = None) -> None:
        """Listen, where it listened before if it did."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=trust)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if trust else 'http'}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Be gone, connections and all, as a process that is killed."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        self._open.clear()
        await asyncio.sleep(0)

    def body(self, keys: Sequence[Any]) -> bytes:
        """What Feast answers about these keys."""
        names = [self.entity, *self.features]
        results = [_result([(key, NO_TIME, "PRESENT") for key in keys])]
        results += [_result([self._cell(key, name) for key in keys]) for name in self.features]
        return json.dumps({"results": results, "metadata": {"feature_names": names}}).encode()

    async def answer(self, call: Call) -> None:
        """As Feast does."""
        await call.send(self.body(call.keys))

    def _cell(self, key: Any, name: str) -> tuple[Any, str, str]:
        row = self.rows.get(key)
        if row is None:
            return None, NO_TIME, "NOT_FOUND"
        value = row.get(name)
        return (*value, "PRESENT") if isinstance(value, tuple) else (value, TIME, "PRESENT")

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        self._open.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
                question = json.loads(await reader.readexactly(int(headers["content-length"])))
                call = Call(question["entities"][self.entity], headers, writer, connection)
                self.calls.append(call)
                await (self.manner or self.answer)(call)
        self._open.discard(writer)
        writer.close()


def _result(cells: Sequence[tuple[Any, str, str]]) -> dict[str, Any]:
    values, times, statuses = zip(*cells, strict=True)
    return {"values": list(values), "statuses": list(statuses), "event_timestamps": list(times)}


@contextlib.asynccontextmanager
async def feature_store(**settings: Any) -> AsyncIterator[Store]:
    """A store on the running event loop, gone afterwards."""
    store = Store(**settings)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@contextlib.contextmanager
def feature_store_aside(**settings: Any) -> Iterator[Store]:
    """A store on an event loop of its own, for whoever has none."""
    loop = asyncio.new_event_loop()
    store = Store(**settings)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(store.start(), loop).result(30)
        yield store
    finally:
        asyncio.run_coroutine_threadsafe(store.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
