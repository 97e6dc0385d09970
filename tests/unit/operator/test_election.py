"""Never two that act, whatever fails; and soon again one. Time is virtual, so that seconds can be claimed exactly."""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_operator.cluster.election import LEASE_SECONDS, LOOK_SECONDS, RENEW_SECONDS, Alone, Election
from sluice_operator.cluster.errors import Conflict, Gone, Refused, Unreachable
from sluice_operator.cluster.kinds import Kind
from unit.operator.virtual_time import run

GLANCE = 0.05


@dataclass
class Server:
    """Keeps one Lease as an API server does."""

    lease: dict[str, Any] | None = None
    version: int = 0

    def keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.lease = copy.deepcopy({**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}})
        return copy.deepcopy(self.lease)


@dataclass
class Line:
    """One operator's way to the server. `asking` and `answering` are the seconds that a request and its answer take;
    `error` is what every request gets instead.
    """

    server: Server
    asking: float = 0.01
    answering: float = 0.01
    error: Exception | None = None

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        return await self._exchange(self._read)

    async def create(self, kind: Kind, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._exchange(lambda: self._create(body))

    async def replace(self, kind: Kind, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._exchange(lambda: self._replace(body))

    async def _exchange(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        await asyncio.sleep(self.asking)
        if self.error:
            raise self.error
        answer = act()
        await asyncio.sleep(self.answering)
        return answer

    def _read(self) -> dict[str, Any]:
        if self.server.lease is None:
            raise Gone("none")
        return copy.deepcopy(self.server.lease)

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.server.lease is not None:
            raise Conflict("exists")
        return self.server.keep(body)

    def _replace(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.server.lease is None or body["metadata"]["resourceVersion"] != str(self.server.version):
            raise Conflict("changed")
        return self.server.keep(body)


@dataclass
class Peers:
    """Operators that stand for election."""

    server: Server = field(default_factory=Server)
    lines: list[Line] = field(default_factory=list)
    elections: list[Election] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> int:
        line = Line(self.server)
        clock = asyncio.get_running_loop().time
        election = Election(line, "ns", "sluice", f"operator-{len(self.lines)}", clock)
        self.lines.append(line)
        self.elections.append(election)
        self.tasks.append(asyncio.create_task(election.run()))
        return len(self.lines) - 1

    @property
    def leaders(self) -> list[int]:
        alive = [number for number, task in enumerate(self.tasks) if not task.done()]
        return [number for number in alive if self.elections[number].leads()]

    async def kill(self, number: int) -> None:
        self.tasks[number].cancel()
        with suppress(asyncio.CancelledError):
            await self.tasks[number]

    async def pass_time(self, seconds: float) -> None:
        """Look all the while that there are never two."""
        for _ in range(round(seconds / GLANCE)):
            assert len(self.leaders) <= 1, self.leaders
            await asyncio.sleep(GLANCE)

    async def seconds_to_a_leader(self) -> float:
        began = asyncio.get_running_loop().time()
        while not self.leaders:
            assert asyncio.get_running_loop().time() - began < 60, "nobody leads"
            await self.pass_time(GLANCE)
        return asyncio.get_running_loop().time() - began

    async def end(self) -> None:
        for number in range(len(self.tasks)):
            await self.kill(number)


def played(play: Callable[[Peers], Coroutine[Any, Any, None]]) -> None:
    """Two operators, the first of which leads."""

    async def game() -> None:
        peers = Peers()
        peers.start()
        await peers.seconds_to_a_leader()
        peers.start()
        await peers.pass_time(1)
        assert peers.leaders == [0]
        await play(peers)
        await peers.end()

    run(game)


def test_the_leader_leads_on_and_the_lease_says_so() -> None:
    async def play(peers: Peers) -> None:
        await peers.pass_time(300)
        assert peers.leaders == [0]
        assert peers.server.lease
        spec = peers.server.lease["spec"]
        assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("operator-0", 1)
        assert peers.server.version <= 300 / RENEW_SECONDS + 5

    played(play)


def test_a_killed_leader_is_followed_within_15_seconds() -> None:
    async def play(peers: Peers) -> None:
        await peers.kill(0)
        assert await peers.seconds_to_a_leader() < LEASE_SECONDS + 2 * LOOK_SECONDS + 0.5
        assert peers.leaders == [1]

    played(play)


def test_a_leader_that_leaves_is_followed_within_3_seconds() -> None:
    async def play(peers: Peers) -> None:
        await peers.kill(0)
        await peers.elections[0].release()
        assert await peers.seconds_to_a_leader() < 2 * LOOK_SECONDS
        assert peers.leaders == [1]

    played(play)


def test_who_does_not_lead_gives_nothing_back() -> None:
    async def play(peers: Peers) -> None:
        await peers.elections[1].release()
        assert peers.leaders == [0]
        assert peers.server.lease
        assert peers.server.lease["spec"]["holderIdentity"] == "operator-0"

    played(play)


def test_a_leader_cut_off_stops_before_another_begins() -> None:
    async def play(peers: Peers) -> None:
        lost = asyncio.create_task(peers.elections[0].lost())
        peers.lines[0].error = Unreachable("cut off")
        await peers.pass_time(7.5)
        assert peers.leaders == []
        assert lost.done()
        await peers.seconds_to_a_leader()
        assert peers.leaders == [1]
        peers.lines[0].error = None
        await peers.pass_time(60)
        assert peers.leaders == [1]

    played(play)


def test_while_nobody_answers_nobody_leads_and_then_somebody_does() -> None:
    async def play(peers: Peers) -> None:
        for line in peers.lines:
            line.answering = 1000.0
        await peers.pass_time(30)
        assert peers.leaders == []
        for line in peers.lines:
            line.answering = 0.01
        assert await peers.seconds_to_a_leader() < 15

    played(play)


def test_what_the_lease_says_of_the_time_is_not_believed() -> None:
    async def play(peers: Peers) -> None:
        assert peers.server.lease
        peers.server.lease["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"
        await peers.pass_time(9)
        assert peers.leaders == [0]

    played(play)


def test_a_right_that_is_missing_is_told_and_forgotten_once_it_is_there() -> None:
    async def play(peers: Peers) -> None:
        peers.lines[1].error = Refused("Lease", "sluice", "forbidden")
        await peers.pass_time(3)
        assert "forbidden" in peers.elections[1].problem()
        peers.lines[1].error = None
        await peers.pass_time(3)
        assert peers.elections[1].problem() == ""

    played(play)


def test_a_deleted_lease_is_made_again_by_its_holder() -> None:
    async def play(peers: Peers) -> None:
        peers.server.lease = None
        await peers.pass_time(9)
        assert peers.leaders == [0]
        assert peers.server.lease

    played(play)


FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["cut", "slow to ask", "slow to answer", "well", "kill", "release", "start"]),
        st.integers(0, 3),
        st.sampled_from([0.3, 1.0, 2.6, 4.0, 8.0, 11.0]),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(FAULTS)
def test_there_are_never_two_whatever_fails(faults: list[tuple[str, int, float]]) -> None:
    async def game() -> None:
        peers = Peers()
        for _ in range(3):
            peers.start()
        for fault, number, seconds in faults:
            await befall(peers, fault, number % len(peers.lines), seconds)
            await peers.pass_time(seconds)
        peers.start()
        for line in peers.lines:
            line.error, line.asking, line.answering = None, 0.01, 0.01
        assert await peers.seconds_to_a_leader() < 15
        await peers.end()

    run(game)


async def befall(peers: Peers, fault: str, number: int, seconds: float) -> None:
    line = peers.lines[number]
    match fault:
        case "cut":
            line.error = Unreachable("cut off")
        case "slow to ask":
            line.asking = seconds
        case "slow to answer":
            line.answering = seconds
        case "well":
            line.error, line.asking, line.answering = None, 0.01, 0.01
        case "kill":
            await peers.kill(number)
        case "release":
            await peers.kill(number)
            await peers.elections[number].release()
        case "start":
            peers.start()


async def test_alone_it_leads_from_the_beginning() -> None:
    alone = Alone()
    assert alone.leads()
    await alone.won()
    assert alone.problem() == ""


@pytest.mark.parametrize("wrong", ["sluice", "a/b/c"])
def test_a_lease_has_a_namespace_and_a_name(wrong: str) -> None:
    from sluice_operator.settings import parse

    images = {"SLUICE_RUNTIME_IMAGE": "run:1", "SLUICE_ROUTER_IMAGE": "route:1"}
    assert parse([], images).lease is None
    assert parse(["--lease=ns/sluice"], images).lease == ("ns", "sluice")
    with pytest.raises(SystemExit):
        parse([f"--lease={wrong}"], images)
