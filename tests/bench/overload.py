"""What overload does to a pod: ten times what it can answer, for a minute. `python -m bench.overload`.

The model takes more than 10 ms a run and is not batched, so that its capacity is known: one over its run time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.harness import Running, config_for, package_of, serving, turns_tensor
from runtime.models import as_slow_as_asked
from support.openloop import OpenLoad, Sent
from support.process import pin, rss_bytes
from support.report import Report
from support.stats import percentile

QUEUE_SECONDS = 0.25
TIMES_CAPACITY = 10
LEAST_RUN_SECONDS = 0.010
CALM_REQUESTS = 300
CONNECTIONS = 200
RECOVERY_SECONDS = 5.0
PATH = "/v2/models/shop/infer"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the overload lasts")
    seconds: float = parser.parse_args(words).seconds
    limits = {"maxWaitSeconds": QUEUE_SECONDS, "maxConnections": 2 * CONNECTIONS}
    with tempfile.TemporaryDirectory() as folder:
        config = config_for(package_of(as_slow_as_asked(), Path(folder)), threads=1, limits=limits)
        with serving(config) as running:
            pin(running.process.pid, 0)
            return measure(running, seconds).conclude()


def measure(running: Running, seconds: float) -> Report:
    """Calm, storm, calm."""
    turns, data = slow_request(running)
    calm = asyncio.run(calm_load(running, data))
    run_seconds = percentile([sent.seconds for sent in calm], 50)
    before = rss_bytes(running.process.pid)
    with peak_rss(running.process.pid) as peak:
        storm, starved = asyncio.run(storm_load(running, data, TIMES_CAPACITY / run_seconds, seconds))
    after = asyncio.run(calm_load(running, data, RECOVERY_SECONDS))
    report = Report("bench/overload.json")
    judge(report, calm, storm, after)
    growth = max(peak) / before - 1
    report.at_most("resident memory grows under the load by at most a fifth", 0.20, growth)
    report.equal("requests that got neither a prediction nor a refusal", 0, strangers(storm) + starved)
    report.equal("requests left in flight afterwards", 0.0, in_flight(running))
    report.details = {
        "turns": turns,
        "statuses": dict(Counter(one.status for one in storm)),
        "calm_p50_ms": 1000 * run_seconds,
        "offered_per_second": TIMES_CAPACITY / run_seconds,
        "seconds": seconds,
        "requests": len(storm),
        "rss_mib": [round(value / 2**20, 1) for value in (before, max(peak), rss_bytes(running.process.pid))],
        "refusal_ms": [round(1000 * percentile(times(storm, 503), p), 2) for p in (50, 99, 99.9, 100)],
        "accepted_ms": [round(1000 * percentile(times(storm, 200), p), 2) for p in (50, 99, 99.9, 100)],
    }
    return report


def judge(report: Report, calm: list[Sent], storm: list[Sent], after: list[Sent]) -> None:
    """The claims about time."""
    calm_p99 = percentile(times(calm, 200), 99)
    bound = 2 * calm_p99 + QUEUE_SECONDS
    accepted, refused = times(storm, 200), times(storm, 503)
    report.at_least("the model takes at least 10 ms", 1000 * LEAST_RUN_SECONDS, 1000 * min(times(calm, 200)), "ms")
    report.at_most(
        "accepted: p99 within twice the calm p99 and the queue's bound", bound, percentile(accepted, 99), "s"
    )
    report.at_most("refused: p99 within 50 ms", 50, 1000 * percentile(refused, 99), "ms")
    offered = len(storm) / TIMES_CAPACITY
    report.at_least("accepted: at least 70 % of what the model can do alone", 0.7, len(accepted) / offered)
    report.at_most(
        "after: p99 back to twice the calm p99 at most", 2 * calm_p99, percentile(times(after, 200), 99), "s"
    )
    report.equal("after: refusals", 0, len(times(after, 503)))


def slow_request(running: Running) -> tuple[int, bytes]:
    """A request that takes the model a little longer than 10 ms, and its number of turns."""
    turns = 16
    while True:
        data = request(turns)
        calm = asyncio.run(calm_load(running, data, requests=20))
        if min(times(calm, 200)) > 1.2 * LEAST_RUN_SECONDS:
            return turns, data
        turns = turns * 5 // 4


def request(turns: int) -> bytes:
    """HTTP for so many turns."""
    body = json.dumps({"inputs": [turns_tensor(turns)]}).encode()
    return b"POST %b HTTP/1.1\r\nhost: shop\r\ncontent-length: %d\r\n\r\n%b" % (PATH.encode(), len(body), body)


async def calm_load(running: Running, data: bytes, pause: float = 0.0, requests: int = CALM_REQUESTS) -> list[Sent]:
    """One request after the other, after a pause."""
    await asyncio.sleep(pause)
    load = OpenLoad(running.config.port, data, 1)
    for _ in range(requests):
        await load.run(1.0, 1.0)
    load.close()
    return load.sent


async def storm_load(running: Running, data: bytes, rate: float, seconds: float) -> tuple[list[Sent], int]:
    """More than can be answered; also how many requests found no connection left."""
    load = OpenLoad(running.config.port, data, CONNECTIONS)
    sent = await load.run(rate, seconds)
    load.close()
    return sent, load.starved


def times(sent: list[Sent], status: int) -> list[float]:
    """Seconds of the answers with that status."""
    return [one.seconds for one in sent if one.status == status]


def strangers(sent: list[Sent]) -> int:
    """Requests with any other end."""
    return sum(one.status not in (200, 503) for one in sent)


def in_flight(running: Running) -> float:
    """The runtime's own count."""
    return running.metrics()['sluice_requests_in_flight{model="shop",revision=""}']


@contextmanager
def peak_rss(pid: int) -> Iterator[list[int]]:
    """Collects resident memory ten times a second."""
    seen, over = [rss_bytes(pid)], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            seen.append(rss_bytes(pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


if __name__ == "__main__":
    sys.exit(main())
