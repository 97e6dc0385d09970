"""Pods as they answer over HTTP: one server on every address of this machine."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def answering(answer: Answer, *paths: str) -> AsyncIterator[int]:
    """Answer GET on these paths, on whichever port is free, which it gives."""
    app = web.Application()
    for path in paths:
        app.router.add_get(path, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
