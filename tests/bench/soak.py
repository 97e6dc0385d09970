"""Ten minutes of callers that behave and callers that do not: no leak, no stranded request. `python -m bench.soak`.

Beside steady ones there are callers that leave before their answer, callers that trickle, and requests of every shape
and many batch sizes. What is held at the end of the first fifth is compared with what is held at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtime.harness import Running, config_for, package_of, serving
from runtime.models import trained
from support.process import open_files, rss_bytes, threads
from support.report import Report

PATH = "/v2/models/shop/infer"
STEADY, LEAVING, TRICKLING, MIXED = 12, 6, 6, 8
STRANDED_SECONDS = 60.0
MOST_GROWTH_MIB = 5.0
SAMPLES = 300
LIMITS = {"headSeconds": 2, "deadlineSeconds": 5}


@dataclass
class Seen:
    """What the callers got, and what the process held meanwhile."""

    statuses: Counter[int] = field(default_factory=Counter)
    left: int = 0
    stranded: int = 0
    rss: list[tuple[float, int]] = field(default_factory=list)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to soak")
    seconds: float = parser.parse_args(words).seconds
    with tempfile.TemporaryDirectory() as folder:
        config = config_for(package_of(trained(), Path(folder)), limits=LIMITS)
        with serving(config) as running:
            running.client.close()
            return soak(running, seconds).conclude()


def soak(running: Running, seconds: float) -> Report:
    """Run all callers, then look at what is left."""
    pid = running.process.pid
    seen = Seen()
    asyncio.run(callers(running, seconds, seen))
    rest = asyncio.run(metrics(running.config.port))
    report = Report("bench/soak.json")
    report.equal("requests without an answer", 0, seen.stranded)
    report.equal("answers other than predictions, refusals of the slow and of the malformed", [], strange(seen))
    report.equal("requests left in flight", 0.0, rest['sluice_requests_in_flight{model="shop",revision=""}'])
    report.at_most("resident memory grows by", MOST_GROWTH_MIB, growth_mib(seen, seconds), "MiB")
    report.at_most("connections left open", 1, rest['sluice_connections{model="shop",revision=""}'])
    report.details = {
        "seconds": seconds,
        "statuses": dict(seen.statuses),
        "left_early": seen.left,
        "slope_mib_per_hour": slope_mib_per_hour(seen, seconds),
        "rss_mib": [round(rss / 2**20, 1) for _, rss in seen.rss[:: max(1, len(seen.rss) // 20)]],
        "open_files": open_files(pid),
        "threads": len(threads(pid)),
    }
    return report


async def callers(running: Running, seconds: float, seen: Seen) -> None:
    """All callers at once, until the time is over."""
    ends = time.monotonic() + seconds
    port, chance = running.config.port, random.Random(1)
    kinds: list[tuple[int, Callable[[int, random.Random, Seen], Awaitable[None]]]]
    kinds = [(STEADY, steady), (LEAVING, leaving), (TRICKLING, trickling), (MIXED, mixed)]
    tasks = [again(kind, ends, port, chance, seen) for count, kind in kinds for _ in range(count)]
    await asyncio.gather(*tasks, watch(running.process.pid, seconds, ends, seen))


async def again(
    kind: Callable[[int, random.Random, Seen], Awaitable[None]],
    ends: float,
    port: int,
    chance: random.Random,
    seen: Seen,
) -> None:
    """One caller: the same again until the end; whatever hangs is stranded."""
    while time.monotonic() < ends:
        try:
            async with asyncio.timeout(STRANDED_SECONDS):
                await kind(port, chance, seen)
        except TimeoutError:
            seen.stranded += 1
        except (OSError, asyncio.IncompleteReadError):
            seen.statuses[0] += 1


async def steady(port: int, chance: random.Random, seen: Seen) -> None:
    """A hundred good requests on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(100):
        writer.write(request(1))
        seen.statuses[await status_of(reader)] += 1
        await asyncio.sleep(0.002)
    await hang_up(writer)


async def mixed(port: int, chance: random.Random, seen: Seen) -> None:
    """Good requests of many sizes, and some that do not fit the model."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(20):
        rows = chance.choice((0, 1, 2, 7, 64, 65, 300))
        writer.write(request(rows, columns=chance.choice((30, 30, 30, 29))))
        seen.statuses[await status_of(reader)] += 1
        await asyncio.sleep(0.01)
    await hang_up(writer)


async def leaving(port: int, chance: random.Random, seen: Seen) -> None:
    """Asks, and is gone before the answer: after all of the request, or in its middle."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    data = request(chance.choice((1, 64)))
    writer.write(data[: chance.choice((len(data), chance.randrange(len(data))))])
    await asyncio.sleep(chance.random() * 0.01)
    writer.transport.abort()
    seen.left += 1


async def trickling(port: int, chance: random.Random, seen: Seen) -> None:
    """A request a byte at a time, too slow to be waited for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.ensure_future(status_of(reader))
    for byte in request(1):
        if answer.done():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
    seen.statuses[await answer] += 1
    await hang_up(writer)


async def watch(pid: int, seconds: float, ends: float, seen: Seen) -> None:
    """Note resident memory from time to time."""
    began = ends - seconds
    while time.monotonic() < ends:
        seen.rss.append((time.monotonic() - began, rss_bytes(pid)))
        await asyncio.sleep(seconds / SAMPLES)


def request(rows: int, columns: int = 30) -> bytes:
    """HTTP for so many rows."""
    tensor = {"name": "X", "datatype": "FP32", "shape": [rows, columns], "data": [0.5] * rows * columns}
    body = json.dumps({"inputs": [tensor]}).encode()
    return b"POST %b HTTP/1.1\r\nhost: shop\r\ncontent-length: %d\r\n\r\n%b" % (PATH.encode(), len(body), body)


async def status_of(reader: asyncio.StreamReader) -> int:
    """Read one answer; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
    return int(head[9:12])


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def metrics(port: int) -> dict[str, float]:
    """The runtime's samples, a few seconds after the last caller: what trickled in may take that long to be refused."""
    await asyncio.sleep(sum(LIMITS.values()))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    samples = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("sluice_"))
    return {name: float(value) for name, value in samples}


def strange(seen: Seen) -> list[int]:
    """Statuses that no caller should have got."""
    return sorted(set(seen.statuses) - {200, 400, 408})


def growth_mib(seen: Seen, seconds: float) -> float:
    """Median of the last fifth less that of the second fifth: by then every kind of request has come many times."""
    early = [rss for at, rss in seen.rss if seconds / 5 <= at < 2 * seconds / 5]
    late = [rss for at, rss in seen.rss if at >= 4 * seconds / 5]
    return (statistics.median(late) - statistics.median(early)) / 2**20


def slope_mib_per_hour(seen: Seen, seconds: float) -> float:
    """Least-squares slope of resident memory after the first fifth."""
    points = [(at, rss) for at, rss in seen.rss if at >= seconds / 5]
    slope, _ = statistics.linear_regression([at for at, _ in points], [rss for _, rss in points])
    return round(slope * 3600 / 2**20, 2)


if __name__ == "__main__":
    sys.exit(main())
