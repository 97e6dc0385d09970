"""The short way from a request to its answer."""

import asyncio
import gc
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from sluice.config import Limits
from sluice.manifest import Datatype
from sluice_runtime.batching import Batcher
from sluice_runtime.connection import Connection
from sluice_runtime.door import Door
from sluice_runtime.metrics import Metrics
from sluice_runtime.plane import Plane
from sluice_runtime.protocol.direct import Direct
from sluice_runtime.protocol.rest import Rest
from unit.serving.fakes import FakeRunner, model_of, spec, turns
from unit.serving.test_familiar import Caller, message

HEAD = b"POST /v2/models/shop/infer HTTP/1.1\r\nhost: m\r\ncontent-length: %d\r\n\r\n"
RIGHT = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.5,%d]}]}'
WRONG = b'{"inputs":[{"name":"y","shape":[1,2],"datatype":"FP32","data":[1.5,%d]}]}'


def connected(runner: FakeRunner) -> tuple[Connection, Caller]:
    plane = Plane("shop", Metrics("shop", "r", CollectorRegistry()))
    batcher = Batcher(runner, max_rows=4, max_queue=8, typical_seconds=0.0)
    plane.serve(model_of(spec("x", Datatype.FP32, -1, 2), batcher=batcher))
    rest = Rest(plane, Limits())
    direct = Direct(plane, rest)
    connection = Connection(Door(rest, Limits(), 75.0, take=direct.take, awaits=direct.awaits), {})
    caller = Caller()
    connection.connection_made(caller)
    return connection, caller


def circles(requests: Callable[[int], bytes], runner: FakeRunner) -> int:
    """How many objects a hundred requests leave to the garbage collector; the answers are said to be there."""

    async def ask() -> int:
        connection, caller = connected(runner)
        for number in range(10):
            connection.data_received(message(requests(number), HEAD))
            await turns()
        gc.collect()
        gc.disable()
        for number in range(100):
            connection.data_received(message(requests(number), HEAD))
            await turns()
        assert caller.told.count(b"HTTP/1.1 ") == 110
        return gc.collect()

    try:
        return asyncio.run(ask())
    finally:
        gc.enable()


def test_an_answered_request_is_gone_at_once() -> None:
    assert circles(lambda number: RIGHT % number, FakeRunner()) == 0


def test_a_refused_request_is_gone_at_once() -> None:
    assert circles(lambda number: WRONG % number, FakeRunner()) == 0
    assert circles(lambda number: RIGHT % number, FakeRunner(guilty=1.5)) == 0
