"""gRPC beside HTTP in one process: it starts first and ends last, so that neither outlives the data plane."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sluice_runtime.runtime import Runtime


@asynccontextmanager
async def grpc_beside(runtime: Runtime) -> AsyncIterator[None]:
    """Serve gRPC while the block runs, where the settings name a port for it.

    Raises:
        RuntimeError: the port is taken.
    """
    if runtime.config.grpc_port is None:
        yield
        return
    # Imported here because the library costs 20 MB, which a pod without gRPC keeps.
    from sluice_runtime.protocol.grpc import GrpcServer  # noqa: PLC0415

    server = GrpcServer(runtime.plane, runtime.config)
    await server.start()
    try:
        yield
    finally:
        await server.stop(runtime.config.limits.deadline_seconds)
