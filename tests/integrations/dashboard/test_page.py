"""The dashboard in a real browser: what a person reads there is what status and samples say."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from integrations.environments import environment
from localcluster import packages
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.dashboard.sampler import Sampler
from sluice_operator.dashboard.series import Point, Sample, Series
from sluice_operator.dashboard.server import Dashboard, serve
from unit.dashboard.source import CANARY, Fake, resource

BROWSE = Path(__file__).with_name("browse.py")
SCREENSHOTS = Path(__file__).parents[3] / "build"
AT = "2026-01-01T10:00:00Z"
STATUS = {
    "canary": CANARY,
    "observedGeneration": 1,
    "url": "http://shop.team.svc",
    "reason": "Stepping",
    "step": "2/2",
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": AT},
        {
            "type": "Reconciling",
            "status": "True",
            "reason": "Stepping",
            "message": "bbbb at 50 %, <b>step</b> 2/2",
            "lastTransitionTime": AT,
        },
    ],
    "rollout": {
        "phase": "Stepping",
        "startedAt": AT,
        "step": 1,
        "verifiedWeight": 50,
        "comparison": {"pairs": 400, "different": 3, "errors": 3, "at": AT},
        "analysis": {
            "measurements": [{"time": AT, "verdict": "Pass", "requests": 120, "message": "errorRate 0.002 <= 0.01"}]
        },
    },
    "history": [
        {
            "revision": "cccc",
            "specHash": "s0",
            "uri": "http://store/0.tar.gz",
            "outcome": "RolledBack",
            "reason": "AnalysisFailed",
            "finishedAt": AT,
        }
    ],
}


def rolling_out() -> ModelDeployment:
    steps = [{"weight": 10, "hold": "1m"}, {"weight": 50, "hold": "2m"}]
    spec = ModelDeploymentSpec.model_validate({"model": {"uri": "http://store/2.tar.gz"}, "rollout": {"steps": steps}})
    told = resource("shop", **STATUS)
    return ModelDeployment(**{**vars(told), "spec": spec})


def half_an_hour() -> Series:
    """A canary at 10 %, then at 50 %, slower than stable and with a few errors."""
    series = Series()
    for number in range(360):
        share = 10 if number < 120 else 50
        stable = Point(100 - share, rate=100.0 - share, error_rate=0.001, p50=0.002, p99=0.004)
        canary = Point(share, rate=float(share), error_rate=0.01, p50=0.003, p99=0.009)
        series.add(("team", "shop"), Sample(1_767_261_600 + 5 * number, {"aaaa": stable, "bbbb": canary}))
    return series


async def look() -> Any:
    source, series = Fake(), half_an_hour()
    source.put(rolling_out(), resource("quiet"))
    runner = await serve(Dashboard(source, series, Sampler(source, series)), "127.0.0.1", 0)
    try:
        SCREENSHOTS.mkdir(exist_ok=True)
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        python = await asyncio.to_thread(environment, "browser", ["selenium==4.51.0"])
        process = await asyncio.create_subprocess_exec(
            str(python), str(BROWSE), url, str(SCREENSHOTS), stdout=asyncio.subprocess.PIPE
        )
        told, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(told)
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def seen() -> Any:
    packages.ensure(("chromium", "chromium-driver", "fonts-dejavu-core"))
    return asyncio.run(look())


def test_the_list_tells_where_each_model_stands(seen: Any) -> None:
    assert [row[:6] for row in seen["list"]] == [
        ["team/quiet", "Unknown", "aaaa", "\u2013", "", ""],
        ["team/shop", "Progressing", "aaaa", "bbbb", "50 %", "2/2"],
    ]


def test_a_rollout_shows_its_steps_and_where_it_is(seen: Any) -> None:
    assert seen["badge"] == "Progressing"
    assert seen["steps"] == [["10 % · 1m", "done"], ["50 % · 2m", "now"], ["100 %", ""]]


def test_the_plots_draw_each_revision_over_time(seen: Any) -> None:
    plots = seen["plots"]
    assert list(plots) == ["Weight", "Requests", "Errors (5xx)", "Latency"]
    assert plots["Weight"]["legend"] == ["aaaa 50 %", "bbbb 50 %"]
    assert plots["Errors (5xx)"]["legend"] == ["aaaa 0.1 %", "bbbb 1 %"]
    assert plots["Latency"]["legend"] == ["aaaa p99 4 ms", "bbbb p99 9 ms", "aaaa p50 2 ms", "bbbb p50 3 ms"]
    assert all(len(trace) > 1000 for trace in plots["Requests"]["traces"])


def test_the_pointer_reads_one_moment(seen: Any) -> None:
    assert "aaaa" in seen["at the pointer"]
    assert ":" in seen["at the pointer"]


def test_tables_tell_verdicts_and_the_past(seen: Any) -> None:
    tables = seen["tables"]
    assert tables["Analysis"][0][1:] == ["Pass", "120", "errorRate 0.002 <= 0.01"]
    assert tables["History"][0][1:] == ["cccc", "RolledBack", "http://store/0.tar.gz", "AnalysisFailed"]
    assert [row[0] for row in tables["Revisions"]] == ["stable", "canary"]


def test_what_was_compared_on_copies_is_told(seen: Any) -> None:
    assert seen["copies"] == "3 of 400 answers differ (0.8 %): 3 by an error"


def test_what_people_write_is_never_read_as_html(seen: Any) -> None:
    assert seen["says"] == "bbbb at 50 %, <b>step</b> 2/2"
    assert seen["injected"] == 0


def test_the_browser_has_nothing_to_complain_about(seen: Any) -> None:
    assert seen["complaints"] == []


def test_screenshots_are_kept(seen: Any) -> None:
    for name in ("dashboard-list.png", "dashboard-rollout.png"):
        assert (SCREENSHOTS / name).stat().st_size > 10_000
