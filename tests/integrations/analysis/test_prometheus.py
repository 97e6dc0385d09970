"""Checks with a query against a real Prometheus: what it answers is what a verdict rests on.

Debian's package is unpacked into the cache, never installed: no service, no user, no file outside of it.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from integrations.environments import cache
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import ModelDeploymentStatus, Phase
from sluice_operator.cluster.outside import Outside
from sluice_operator.planning import questions
from sluice_operator.planning.analysis import Measured, judge
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.observed import Answer, Window
from support.ports import free_port

CANARY, STABLE = "abcdef0123", "0123456789"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 60.0
METRICS = f"""\
# TYPE revenue gauge
revenue{{namespace="shop",revision="{CANARY}",pod="a"}} 10
revenue{{namespace="shop",revision="{CANARY}",pod="b"}} 20
revenue{{namespace="shop",revision="{STABLE}",pod="c"}} 12
revenue{{namespace="other",revision="{CANARY}",pod="d"}} 1000
"""
CONFIG = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: models, static_configs: [{{targets: ["{target}"]}}]}}]
"""


@pytest.fixture(scope="session")
def program() -> Path:
    """Debian's binary."""
    folder = cache() / "prometheus"
    found = folder / "usr" / "bin" / "prometheus"
    if not found.exists():
        unpacked = folder.with_suffix(".new")
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir(parents=True)
        subprocess.run(["apt-get", "download", "prometheus"], cwd=unpacked, check=True, capture_output=True)
        (package,) = unpacked.glob("prometheus_*.deb")
        subprocess.run(["dpkg", "--extract", package, unpacked], check=True)
        package.unlink()
        unpacked.rename(folder)
    return found


@pytest.fixture
async def target() -> AsyncIterator[str]:
    """What the Prometheus scrapes."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=METRICS)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def prometheus(program: Path, target: str, tmp_path: Path) -> Iterator[str]:
    """Its address."""
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(target=target))
    address = f"127.0.0.1:{free_port()}"
    words = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen([program, *words, f"--web.listen-address={address}"], stderr=log)
        yield f"http://{address}"
        running.terminate()
        running.wait(timeout=30)


def resource(query: str, prometheus: str) -> ModelDeployment:
    """A rollout whose measurement is due."""
    check = {"name": "x", "prometheus": {"query": query}, "max": 15}
    analysis = {"interval": "5s", "prometheus": {"url": prometheus}, "checks": [check]}
    spec = {"model": {"uri": "file:///m"}, "rollout": {"steps": [{"weight": 10}], "analysis": analysis}}
    live = {name: {"revision": name, "specHash": name, "uri": "file:///m"} for name in (CANARY, STABLE)}
    held = stamp(NOW - timedelta(seconds=6))
    rollout = {
        "phase": Phase.stepping,
        "startedAt": held,
        "holdStartedAt": held,
        "weight": 10,
        "analysis": {"windowSince": held, "windows": 1},
    }
    status = {"stable": live[STABLE], "canary": live[CANARY], "rollout": rollout}
    parsed = ModelDeploymentStatus.model_validate(status)
    return ModelDeployment("shop", "m", "uid", 1, "1", parsed, ModelDeploymentSpec.model_validate(spec))


async def no_secret(namespace: str, name: str) -> Any:
    raise AssertionError("no Secret is named")


async def ask(query: str, prometheus: str) -> Answer:
    """What the operator is told: by its own questions, over its own connection."""
    (question,) = questions.due(resource(query, prometheus), NOW)
    async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE):
        outside = Outside(http, no_secret)
        while not (found := outside.answers("k", "shop", [question])):  # noqa: ASYNC110 - as passes do
            await asyncio.sleep(0.05)
    return found[question.id]


async def scraped(prometheus: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await ask('count(revenue{namespace="$namespace"})', prometheus)).value != 3:  # noqa: ASYNC110
            await asyncio.sleep(0.2)


def verdict(query: str, prometheus: str, answer: Answer) -> str:
    rules = resource(query, prometheus).spec.rollout.analysis
    assert rules is not None
    seen = Measured(Window(100), None, faulty=False, answers={"check/x": answer}, number=1)
    return judge(rules, seen).verdict


QUERIES = {
    "a mean of the canary within its limit": (
        'avg(revenue{namespace="$namespace", revision="$canary"})',
        Answer(value=15.0),
        "Pass",
    ),
    "compared with stable": (
        'avg(revenue{namespace="$namespace", revision="$canary"}) / on() revenue{revision="$stable"} * 100',
        Answer(value=125.0),
        "Fail",
    ),
    "over the interval": ('max(max_over_time(revenue{pod="b"}[$interval]))', Answer(value=20.0), "Fail"),
    "a regular expression with its own dollar": ('sum(revenue{revision=~"^$stable$"})', Answer(value=12.0), "Pass"),
    "a scalar": ('scalar(revenue{pod="a"})', Answer(value=10.0), "Pass"),
    "nothing of that name": ("avg(no_such_metric)", Answer(), "Inconclusive"),
}


async def test_answers_of_a_real_prometheus(prometheus: str) -> None:
    await scraped(prometheus)
    for case, (query, expected, wanted) in QUERIES.items():
        answer = await ask(query, prometheus)
        assert answer == expected, case
        assert verdict(query, prometheus, answer) == wanted, case
    nan = await ask('scalar(revenue{pod="none"})', prometheus)
    assert verdict("x", prometheus, nan) == "Inconclusive"
    assert nan.value != nan.value
    for query, told in (("avg(", "parse error"), ("revenue", "4 samples"), ('revenue{pod="a"}[1m]', "matrix")):
        answer = await ask(query, prometheus)
        assert told in answer.message, query
        assert verdict(query, prometheus, answer) == "Error"


async def test_a_prometheus_that_is_away_is_an_error(program: Path) -> None:
    answer = await ask("up", f"http://127.0.0.1:{free_port()}")
    assert answer.fault
    assert verdict("up", "http://x", answer) == "Error"
