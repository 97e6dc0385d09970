"""Keep-alive load on a router: every answer is written down."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from router.harness import Router
from sluice_operator.routing.envoy_routes import REVISION_HEADER


@dataclass
class Answers:
    """Answers by (status, revision)."""

    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, status: int, revision: str) -> None:
        self.counts[status, revision] += 1
        self.changed.set()

    @property
    def total(self) -> int:
        return self.counts.total()

    def of(self, revision: str) -> int:
        return sum(count for (_, found), count in self.counts.items() if found == revision)

    def failed(self) -> dict[tuple[int, str], int]:
        return {answer: count for answer, count in self.counts.items() if answer[0] != 200}


async def send(router: Router, requests: int) -> Answers:
    """Send requests one after the other on one connection."""
    answers = Answers()
    async with _one_connection() as http:
        for _ in range(requests):
            await _request(router, http, answers)
    return answers


@asynccontextmanager
async def steady(
    router: Router, connections: int = 8, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Answers]:
    """Load on several keep-alive connections for as long as the context lasts."""
    answers, stop = Answers(), asyncio.Event()

    async def client() -> None:
        async with _one_connection() as http:
            while not stop.is_set():
                await _request(router, http, answers, headers)

    clients = [asyncio.create_task(client()) for _ in range(connections)]
    try:
        yield answers
    finally:
        stop.set()
        await asyncio.gather(*clients)


async def until(answers: Answers, more: int) -> None:
    """Wait until so many more requests were answered."""
    goal = answers.total + more
    while answers.total < goal:
        answers.changed.clear()
        await answers.changed.wait()


def _one_connection() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))


async def _request(
    router: Router, http: aiohttp.ClientSession, answers: Answers, headers: Mapping[str, str] | None = None
) -> None:
    """One POST; a broken connection is status 0 and ends no load. aiohttp never sends a POST again."""
    try:
        async with http.post(router.url(), data=b"{}", headers=headers) as response:
            await response.read()
            answers.add(response.status, response.headers.get(REVISION_HEADER, ""))
    except aiohttp.ClientError:
        answers.add(0, "")
