"""What looking features up adds to a prediction, beside what the store itself takes, and how many calls it sees.

`python -m bench.features`: a real `feast serve` over SQLite, a runtime, and one caller, in turns within one run: the
store is asked directly, the model with all of its inputs, and the model with a key alone.

The turns are single requests, so that all three meet the same pace. In rows of one kind the requests without a lookup
follow one another at once and those with one every few milliseconds, and what the processor and its caches forget
meanwhile, which is 0.2 ms of any request here, would be taken for the lookup's. The details tell those rows, too.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnx import ModelProto, TensorProto, helper
from rich.console import Console

from runtime.harness import Running, config_for, serving
from sluice.contract import Entity, Feature, FeatureReferences
from sluice.package import write_package
from sluice.parts import Parts
from support.feast import SERVICE, Feast, feast_server, minimal_repository
from support.report import Report
from support.stats import percentile

ADDED_SECONDS = 0.0005
TURNS = 2400
WARM_UP = 200
ROWS = 8
REQUESTS = 200
"""Of one kind in a row; rows take turns, so that a busy moment of the machine meets all alike."""

STORES = 400
CONNECTIONS = 16
SHARED_SECONDS = 8.0
INPUTS = ("size", "margin")

CALLS = "sluice_feature_store_calls_total"


def main(words: Sequence[str] | None = None) -> int:
    """Measure; 0 when every claim holds."""
    del words
    report = Report("bench/features.json")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with feast_server(minimal_repository(folder / "feast")) as store:
            fill(store)
            package = package_with_features(folder)
            lookup = {"url": store.url, "timeoutSeconds": 1.0}
            with serving(config_for(package, features=lookup)) as running:
                alone(report, store, running)
                shared(report, running)
            with serving(config_for(package, features={**lookup, "cacheSeconds": 60})) as running:
                report.details["with every row in the cache, ms"] = milliseconds(cached(running))
    return report.conclude(Console())


def fill(store: Feast) -> None:
    """Features for every entity, all of now."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    keys = range(STORES)
    store.write(
        {
            "store_id": keys,
            "event_timestamp": [moment] * STORES,
            "size": [100.0 + key for key in keys],
            "staff": list(keys),
            "city": [f"city {key}" for key in keys],
            "is_open": [True] * STORES,
            "margin": [key / 7 for key in keys],
        }
    )


def package_with_features(folder: Path) -> Path:
    """A model whose two inputs are features of a store, which requests may carry instead."""
    features = tuple(Feature(name=name, request_wins=True) for name in INPUTS)
    references = FeatureReferences(service=SERVICE, entities=(Entity(name="store_id"),), features=features)
    (folder / "model.onnx").write_bytes(graph().SerializeToString())
    write_package(folder / "model.onnx", "shop", "1", folder / "package", parts=Parts(features=references))
    return folder / "package"


def graph() -> ModelProto:
    """The sum of its inputs."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 1)) for name in INPUTS]
    output = helper.make_tensor_value_info("revenue", TensorProto.FLOAT, ("N", 1))
    made = helper.make_graph([helper.make_node("Add", list(INPUTS), ["revenue"])], "shop", inputs, [output])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def alone(report: Report, store: Feast, running: Running) -> None:
    """One caller at a time."""
    of_model = Caller(running.config.port)
    callers = {"store": Caller(store.port), "without": of_model, "with": of_model}
    chosen = random.Random(7)

    def timed(kind: str, count: int) -> list[float]:
        return [callers[kind].timed(message(kind, chosen.randrange(STORES))) for _ in range(count)]

    turns = [{kind: timed(kind, 1)[0] for kind in callers} for _ in range(WARM_UP + TURNS)][WARM_UP:]
    p50 = {kind: percentile([turn[kind] for turn in turns], 50) for kind in callers}
    report.at_most(
        "a lookup adds at most the store's own p50 and 0.5 ms",
        milliseconds(p50["store"] + ADDED_SECONDS),
        milliseconds(p50["with"] - p50["without"]),
        "ms",
    )
    report.details["p50, ms"] = {kind: milliseconds(value) for kind, value in p50.items()}
    report.details["p99, ms"] = {kind: milliseconds(percentile([turn[kind] for turn in turns], 99)) for kind in callers}
    in_rows: dict[str, list[float]] = {kind: [] for kind in callers}
    spent = dict.fromkeys(callers, 0.0)
    for _ in range(ROWS):
        for kind, measured in in_rows.items():
            before = running.cpu_seconds()
            measured.extend(timed(kind, REQUESTS))
            spent[kind] += (running.cpu_seconds() - before) / (ROWS * REQUESTS)
    report.details["p50 in rows of one kind, ms"] = {
        kind: milliseconds(percentile(measured, 50)) for kind, measured in in_rows.items()
    }
    report.details["the pod's CPU for a lookup, ms"] = milliseconds(spent["with"] - spent["without"])


def shared(report: Report, running: Running) -> None:
    """Many callers at once, each with a key of its own."""
    before = calls(running)
    answered = asyncio.run(load(running.config.port))
    asked = calls(running) - before
    report.at_most(f"calls of the store for a prediction, with {CONNECTIONS} callers", 0.5, asked / answered)
    report.details[f"predictions a second with {CONNECTIONS} callers"] = answered / SHARED_SECONDS


def cached(running: Running) -> float:
    """The median once every row is in the cache."""
    caller = Caller(running.config.port)
    for key in range(STORES):
        caller.timed(message("with", key))
    return percentile([caller.timed(message("with", key)) for key in range(STORES)], 50)


async def load(port: int) -> int:
    """Answers to all callers together."""
    until = time.perf_counter() + SHARED_SECONDS
    return sum(await asyncio.gather(*(keep_asking(port, number, until) for number in range(CONNECTIONS))))


async def keep_asking(port: int, number: int, until: float) -> int:
    chosen, answered = random.Random(number), 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        writer.write(message("with", chosen.randrange(STORES)))
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(length_of(head))
        assert head.startswith(b"HTTP/1.1 200"), head + body
        answered += 1
    writer.close()
    return answered


class Caller:
    """A caller that costs next to nothing itself."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def timed(self, sent: bytes) -> float:
        """Seconds until the whole answer is here."""
        began = time.perf_counter()
        self._socket.sendall(sent)
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0 or len(got) < end + 4 + length_of(got[: end + 4]):
            part = self._socket.recv(65536)
            assert part, "the server hung up"
            got += part
        seconds = time.perf_counter() - began
        assert got.startswith(b"HTTP/1.1 200"), got
        return seconds


def message(kind: str, key: int) -> bytes:
    """A request: of the store itself, of the model with all of its inputs, or with a key."""
    if kind == "store":
        return http("/get-online-features", {"feature_service": SERVICE, "entities": {"store_id": [key]}})
    if kind == "with":
        return infer(tensor("store_id", "INT64", [1], key))
    return infer(*(tensor(name, "FP32", [1, 1], key + 0.5) for name in INPUTS))


def infer(*inputs: dict[str, Any]) -> bytes:
    return http("/v2/models/shop/infer", {"inputs": inputs})


def tensor(name: str, datatype: str, shape: list[int], value: float) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": [value]}


def http(path: str, content: object) -> bytes:
    body = json.dumps(content).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def length_of(head: bytes) -> int:
    """The length that a head promises for its body."""
    lines = head.lower().split(b"\r\n")
    return next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))


def calls(running: Running) -> float:
    return sum(value for name, value in running.metrics().items() if name.startswith(CALLS))


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


if __name__ == "__main__":
    sys.exit(main())
