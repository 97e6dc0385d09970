"""The reader of answers against HTTP servers that tell what runtimes tell."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from sluice_operator.cluster.answers import WAIT_AT_MOST, AnswerObserver
from sluice_operator.planning.comparison import Comparison, Tolerance
from support.answering import answering

V1, V2 = "0123456789", "abcdef0123"
STABLE_1, STABLE_2, CANARY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
ONE_EACH = {V1: [STABLE_1], V2: [CANARY]}
TOLERANCE = Tolerance(1e-4, 1e-6)


@dataclass
class Pods:
    """What was answered on each address, one after the other; no list: 404."""

    kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    def say(self, ip: str, mark: str, *values: Any, **more: Any) -> None:
        kept = self.kept.setdefault(ip, [])
        output = {"datatype": "FP32", "shape": [len(values)], "values": values}
        kept.append({"number": 1000 + len(kept), "id": mark, **(more or {"outputs": {"y": output}})})

    async def answer(self, request: web.Request) -> web.Response:
        host, after = str(request.url.host), request.query["after"]
        self.asked.append((host, after))
        if host in self.bodies:
            return web.Response(body=self.bodies[host])
        if host not in self.kept:
            return web.Response(status=404)
        return web.Response(body=orjson.dumps({"answers": [a for a in self.kept[host] if a["number"] > int(after)]}))


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    pods = Pods({ip: [] for ip in (STABLE_1, STABLE_2, CANARY)})
    async with answering(pods.answer, "/answers") as pods.port:
        yield pods


@pytest.fixture
async def observer(pods: Pods) -> AsyncIterator[AnswerObserver]:
    async with aiohttp.ClientSession() as http:
        yield AnswerObserver(http, pods.port)


async def look(observer: AnswerObserver, ips: dict[str, list[str]] | None = None) -> Comparison:
    return await observer.comparison("k", (V1, V2), ips or ONE_EACH, TOLERANCE)


def counts(comparison: Comparison) -> tuple[int, int]:
    return comparison.total.pairs, comparison.total.different


async def test_answers_to_the_same_request_are_compared_once(pods: Pods, observer: AnswerObserver) -> None:
    assert counts(await look(observer)) == (0, 0)
    pods.say(STABLE_1, "a", 1.0)
    pods.say(STABLE_1, "b", 2.0)
    pods.say(CANARY, "b", 2.5)
    pods.say(CANARY, "a", 1.0)
    pods.say(CANARY, "nobody-elses", 1.0)
    for _ in range(3):
        found = await look(observer)
        assert (counts(found), found.complete) == ((2, 1), True)
        assert found.total.outputs["y"].largest == 0.5
    assert pods.asked[-2:] == [(STABLE_1, "1001"), (CANARY, "1002")], "nothing is read twice"


async def test_an_answer_waits_for_its_counterpart(pods: Pods, observer: AnswerObserver) -> None:
    await look(observer)
    pods.say(CANARY, "a", 1.0)
    assert counts(await look(observer)) == (0, 0)
    pods.say(STABLE_1, "a", 1.0)
    assert counts(await look(observer)) == (1, 0)


async def test_all_pods_of_a_version_speak_for_it(pods: Pods, observer: AnswerObserver) -> None:
    both = {V1: [STABLE_1, STABLE_2], V2: [CANARY]}
    await look(observer, both)
    for mark, ip in (("a", STABLE_1), ("b", STABLE_2)):
        pods.say(ip, mark, 1.0)
        pods.say(CANARY, mark, 1.0)
    assert counts(await look(observer, both)) == (2, 0)


async def test_what_was_answered_before_the_first_look_counts_for_nothing(pods: Pods, observer: AnswerObserver) -> None:
    pods.say(STABLE_1, "a", 1.0)
    pods.say(CANARY, "a", 2.0)
    await look(observer)
    assert counts(await look(observer)) == (0, 0)


async def test_errors_are_compared(pods: Pods, observer: AnswerObserver) -> None:
    await look(observer)
    for mark, stable, canary in (("a", 400, 400), ("b", 400, 500)):
        pods.say(STABLE_1, mark, error=stable)
        pods.say(CANARY, mark, error=canary)
    pods.say(STABLE_1, "c", 1.0)
    pods.say(CANARY, "c", error=500)
    found = await look(observer)
    assert counts(found) == (3, 2)
    assert found.total.errors == 2


async def test_numbers_come_as_they_are(pods: Pods, observer: AnswerObserver) -> None:
    await look(observer)
    for ip, label in ((STABLE_1, 2**63 - 1), (CANARY, 2**63 - 2)):
        pods.say(ip, "labels", outputs={"y": {"datatype": "INT64", "shape": [], "values": [label]}})
        pods.say(ip, "infinite", "nan", "inf", "-inf")
    assert counts(await look(observer)) == (2, 1)


BROKEN = {
    "an old runtime": None,
    "no JSON": b"{",
    "another JSON": b'{"answers": [{"id": 1}]}',
    "too much": b" " * 8_000_001,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_a_pod_that_does_not_tell_makes_it_incomplete(
    body: bytes | None, pods: Pods, observer: AnswerObserver
) -> None:
    await look(observer)
    pods.say(STABLE_1, "a", 1.0)
    told = pods.kept.pop(CANARY)
    if body is not None:
        pods.bodies[CANARY] = body
    found = await look(observer)
    assert (counts(found), found.complete) == ((0, 0), False)
    pods.bodies.clear()
    pods.kept[CANARY] = told
    pods.say(CANARY, "a", 1.0)
    found = await look(observer)
    assert (counts(found), found.complete) == ((1, 0), True), "nothing is lost by it"


async def test_a_version_without_pods_makes_it_incomplete(pods: Pods, observer: AnswerObserver) -> None:
    assert not (await look(observer, {V1: [STABLE_1]})).complete
    assert not (await look(observer, {V1: [STABLE_1], V2: []})).complete


async def test_a_window_counts_from_where_it_opened(pods: Pods, observer: AnswerObserver) -> None:
    observer.open_window("never-seen")
    await look(observer)
    for mark in ("a", "b"):
        pods.say(STABLE_1, mark, 1.0)
        pods.say(CANARY, mark, 2.0)
        found = await look(observer)
        assert (found.pairs, found.different) == (1, 1)
        observer.open_window("k")
    assert counts(found) == (2, 2)
    found = await look(observer)
    assert (found.pairs, found.different) == (0, 0)


async def test_another_canary_is_another_comparison_and_forget_forgets(pods: Pods, observer: AnswerObserver) -> None:
    await look(observer)
    pods.say(STABLE_1, "a", 1.0)
    pods.say(CANARY, "a", 1.0)
    assert counts(await look(observer)) == (1, 0)
    third = "1111111111"
    other = await observer.comparison("k", (V1, third), {V1: [STABLE_1], third: [CANARY]}, TOLERANCE)
    assert counts(other) == (0, 0)
    await look(observer)
    observer.forget("k")
    assert counts(await look(observer)) == (0, 0)


async def test_answers_without_a_counterpart_are_not_kept_for_ever(pods: Pods, observer: AnswerObserver) -> None:
    await look(observer)
    pods.say(STABLE_1, "first", 1.0)
    for number in range(WAIT_AT_MOST):
        pods.say(STABLE_1, str(number), 1.0)
    await look(observer)
    pods.say(CANARY, "first", 1.0)
    pods.say(CANARY, "5", 1.0)
    assert counts(await look(observer)) == (1, 0)
