"""The ceiling over gRPC: a bare `grpc.aio` server that sends constant bytes back, without parsing what came."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped,import-not-found,unused-ignore]
import uvloop

SERVICE = "inference.GRPCInferenceService"
LARGEST = 64 * 1024**2


async def serve(port: int, answer: bytes) -> None:
    """Answer every ModelInfer with the same bytes until the process is ended."""

    async def infer(_request: bytes, _context: Any) -> bytes:
        return answer

    methods: dict[str, Any] = {"ModelInfer": grpc.unary_unary_rpc_method_handler(infer)}
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", LARGEST)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(serve(int(sys.argv[1]), (Path(os.environ["BENCH_ANSWERS"]) / "grpc").read_bytes()))
