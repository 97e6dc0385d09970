"""The ceiling over HTTP: the runtime's own HTTP server with nothing behind it.

Reads a body to its end and sends back constant bytes, as many as the real answer has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

Message = dict[str, Any]


def echo(answers: Path) -> Callable[..., Awaitable[None]]:
    """An ASGI application that answers `/<name>` with the file of that name."""
    constants = {f"/{path.name}": path.read_bytes() for path in answers.iterdir()}

    async def app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        while (await receive()).get("more_body"):
            pass
        body = constants.get(scope["path"], b"")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    uvicorn.run(
        echo(Path(os.environ["BENCH_ANSWERS"])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
