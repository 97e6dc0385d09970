"""Questions to services outside, against real HTTP servers: what an answer means, and that nobody waits for it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sluice_operator.cluster.errors import Refused
from sluice_operator.cluster.outside import Outside
from sluice_operator.planning.observed import Answer
from sluice_operator.planning.questions import Question

TOKEN = {"data": {"token": base64.b64encode(b"secret-1\n").decode()}}


@dataclass
class Service:
    """Answers what it is told to, and remembers what it was asked."""

    url: str = ""
    status: int = 200
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    silent: bool = False
    ends: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        token = request.headers.get("Authorization", "")
        self.asked.append({"path": request.path, "body": body, "token": token})
        if self.silent:
            await self.ends.wait()
        return web.Response(status=self.status, text=self.text, headers=self.headers)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield service
    service.ends.set()
    await runner.cleanup()


async def read_secret(namespace: str, name: str) -> Any:
    if name != "token":
        raise Refused("Secret", name, "forbidden")
    return TOKEN["data"]


@pytest.fixture
async def outside(service: Service) -> AsyncIterator[Outside]:
    async with aiohttp.ClientSession() as http:
        yield Outside(http, read_secret, f"{service.url}/default")


def webhook(service: Service, **more: Any) -> Question:
    return replace(Question("gate/board", "1", f"{service.url}/ask", 5.0, body='{"a": 1}'), **more)


def query(service: Service, **more: Any) -> Question:
    return replace(Question("check/x", "1", service.url, 5.0, query="up"), **more)


async def answered(outside: Outside, question: Question) -> Answer:
    """The answer, looked for again and again as passes would."""
    for _ in range(1000):
        if found := outside.answers("k", "shop", [question]):
            return found[question.id]
        await asyncio.sleep(0.01)
    raise AssertionError("no answer within ten seconds")


@pytest.mark.parametrize(
    ("status", "yes", "fault"),
    [
        (200, True, False),
        (403, False, False),
        (404, False, False),
        (500, False, True),
        (302, False, True),
        (201, False, True),
    ],
)
async def test_what_a_status_code_of_a_webhook_means(
    service: Service, outside: Outside, status: int, yes: bool, fault: bool
) -> None:
    service.status, service.headers = status, {"Location": "/elsewhere"}
    found = await answered(outside, webhook(service))
    assert (found.yes, found.fault) == (yes, fault)
    assert str(status) in found.message
    assert [asked["path"] for asked in service.asked] == ["/ask"], "no redirect is followed"
    assert json.loads(service.asked[0]["body"]) == {"a": 1}


def vector(*values: Any) -> str:
    samples = [{"metric": {}, "value": [1.0, str(value)]} for value in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": samples}})


ANSWERS = {
    "one sample": (200, vector(1.5), Answer(value=1.5)),
    "no sample": (200, vector(), Answer()),
    "a scalar": (
        200,
        json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [1.0, "2"]}}),
        Answer(value=2.0),
    ),
    "several samples": (200, vector(1, 2), "2 samples"),
    "a matrix": (200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}), "matrix"),
    "a bad query": (
        400,
        json.dumps({"status": "error", "errorType": "bad_data", "error": "parse error"}),
        "parse error",
    ),
    "a page": (200, "<html></html>", "no answer of a Prometheus"),
    "another JSON": (200, "[]", "no answer of a Prometheus"),
    "nothing": (503, "", "HTTP 503"),
}


@pytest.mark.parametrize(("status", "text", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_what_a_prometheus_answers(
    service: Service, outside: Outside, status: int, text: str, expected: Answer | str
) -> None:
    service.status, service.text = status, text
    found = await answered(outside, query(service))
    if isinstance(expected, Answer):
        assert found == expected
    else:
        assert found.fault
        assert expected in found.message
    assert service.asked[0] == {"path": "/api/v1/query", "body": "query=up", "token": ""}


async def test_the_operators_own_prometheus_is_asked_where_the_spec_names_none(
    service: Service, outside: Outside
) -> None:
    service.text = vector(1)
    await answered(outside, query(service, url=""))
    assert service.asked[0]["path"] == "/default/api/v1/query"


async def test_without_any_prometheus_the_answer_says_what_to_set(service: Service) -> None:
    async with aiohttp.ClientSession() as http:
        found = await answered(Outside(http, read_secret), query(service, url=""))
    assert found.fault
    assert "prometheus.url" in found.message


async def test_a_token_is_read_from_its_secret(service: Service, outside: Outside) -> None:
    service.text = vector(1)
    await answered(outside, query(service, secret="token"))
    assert service.asked[0]["token"] == "Bearer secret-1"
    refused = await answered(outside, query(service, secret="other", moment="2"))
    assert refused.fault
    assert "forbidden" in refused.message
    assert len(service.asked) == 1


async def test_nobody_waits_for_an_answer_and_each_question_is_asked_once(service: Service, outside: Outside) -> None:
    service.silent = True
    for _ in range(5):
        assert outside.answers("k", "shop", [webhook(service)]) == {}
        await asyncio.sleep(0.02)
    assert len(service.asked) == 1
    found = await answered(outside, webhook(service, moment="2", timeout=0.05))
    assert found.fault
    assert "within" in found.message


async def test_another_moment_is_another_question_and_a_gate_is_asked_again(service: Service, outside: Outside) -> None:
    service.status = 403
    assert not (await answered(outside, webhook(service, again=0.05))).yes
    service.status = 200
    for _ in range(1000):
        if (await answered(outside, webhook(service, again=0.05))).yes:
            break
        await asyncio.sleep(0.01)
    assert outside.answers("k", "shop", [webhook(service, moment="2")]) == {}


async def test_what_is_not_due_any_more_is_dropped(service: Service, outside: Outside) -> None:
    await answered(outside, webhook(service))
    assert outside.answers("k", "shop", []) == {}
    assert outside.answers("k", "shop", [webhook(service)]) == {}
    assert outside.answers("other", "shop", []) == {}


@pytest.mark.parametrize("url", ["ftp://store/x", "file:///etc/passwd", "http://127.0.0.1:1/x", "nonsense"])
async def test_an_address_that_leads_nowhere_is_a_fault(service: Service, outside: Outside, url: str) -> None:
    assert (await answered(outside, webhook(service, url=url))).fault


async def test_an_endless_answer_is_not_read_to_its_end(service: Service, outside: Outside) -> None:
    service.text = "x" * 2_000_000
    found = await answered(outside, webhook(service))
    assert found.fault
    assert "bytes" in found.message
