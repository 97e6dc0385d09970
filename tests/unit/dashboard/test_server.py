"""The dashboard over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from sluice_operator.dashboard.sampler import Sampler
from sluice_operator.dashboard.series import Point, Sample, Series
from sluice_operator.dashboard.server import Dashboard, serve

from .source import CANARY, ROLLOUT, Fake, resource

KEY = ("team", "shop")


class Site:
    def __init__(self) -> None:
        self.source, self.series = Fake(), Series()
        self.sampler = Sampler(self.source, self.series)
        self.base = ""

    async def get(self, path: str) -> tuple[int, aiohttp.ClientResponse, str]:
        async with aiohttp.ClientSession() as http, http.get(self.base + path) as answer:
            return answer.status, answer, await answer.text()

    async def json(self, path: str) -> Any:
        async with aiohttp.ClientSession() as http, http.get(self.base + path) as answer:
            return await answer.json()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    found = Site()
    runner = await serve(Dashboard(found.source, found.series, found.sampler), "127.0.0.1", 0)
    found.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def test_the_list_names_every_model_in_order(site: Site):
    site.source.put(resource("b"), resource("a", canary=CANARY, rollout=ROLLOUT, step="1/2"))
    rows = await site.json("/api/models")
    assert [(row["name"], row["canary"], row["weight"], row["step"]) for row in rows] == [
        ("a", "bbbb", 25, "1/2"),
        ("b", None, None, ""),
    ]


async def test_a_changed_model_gets_a_new_row(site: Site):
    site.source.put(resource())
    await site.json("/api/models")
    site.source.put(replace(resource("shop", step="1/2"), resource_version="2"))
    assert (await site.json("/api/models"))[0]["step"] == "1/2"


async def test_a_row_says_how_the_model_fares_and_why(site: Site):
    taken_back = {
        "type": "Stalled",
        "status": "True",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "reason": "AnalysisFailed",
        "message": "3 checks failed",
    }
    site.source.put(resource(conditions=[taken_back], observedGeneration=1))
    (row,) = await site.json("/api/models")
    assert (row["health"], row["reason"], row["message"]) == ("Stalled", "AnalysisFailed", "3 checks failed")


async def test_one_model_comes_with_its_plots_as_columns(site: Site):
    site.source.put(resource())
    site.series.add(KEY, Sample(1.0, {"aaaa": Point(100)}))
    site.series.add(KEY, Sample(6.0, {"aaaa": Point(75, rate=2.0), "bbbb": Point(25)}))
    found = await site.json("/api/models/team/shop")
    assert found["series"]["time"] == [1.0, 6.0]
    assert found["series"]["weight"] == {"aaaa": [100, 75], "bbbb": [None, 25]}
    assert found["series"]["rate"] == {"aaaa": [None, 2.0], "bbbb": [None, None]}
    assert (await site.json("/api/models/team/shop?after=1"))["series"]["time"] == [6.0]


async def test_what_was_compared_is_said_in_the_words_of_the_terminal(site: Site):
    rollout = {"phase": "Mirroring", "startedAt": "2026-01-01T00:00:00Z"}
    site.source.put(resource(rollout=rollout))
    assert (await site.json("/api/models/team/shop"))["comparison"] is None
    compared = {"pairs": 8, "different": 2, "outputs": [{"name": "label", "different": 2}], "at": ""}
    site.source.put(resource(rollout={**rollout, "comparison": compared}))
    found = await site.json("/api/models/team/shop")
    assert found["comparison"] == "2 of 8 answers differ (25.0 %): label in 2"


async def test_who_asks_for_a_model_has_it_sampled(site: Site):
    site.source.put(resource())
    await site.json("/api/models/team/shop")
    await site.sampler.look()
    assert site.source.sampled == ["shop"]


@pytest.mark.parametrize(
    ("path", "status"), [("/api/models/team/none", 404), ("/api/models/team/shop?after=x", 400), ("/etc/passwd", 404)]
)
async def test_errors_are_said_in_json(site: Site, path: str, status: int):
    site.source.put(resource())
    found, answer, text = await site.get(path)
    assert (found, answer.content_type) == (status, "application/json")
    assert "error" in text


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/plot.js"])
async def test_the_page_needs_nothing_from_elsewhere(site: Site, path: str):
    status, answer, text = await site.get(path)
    assert status == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


async def test_nothing_can_be_changed(site: Site):
    async with aiohttp.ClientSession() as http, http.post(site.base + "/api/models") as answer:
        assert answer.status == 405
