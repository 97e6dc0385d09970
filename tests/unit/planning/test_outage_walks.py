"""Whole rollouts through outages of the store, second by second: who is blamed, over many of them."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice_operator.api.analysis import Analysis
from sluice_operator.planning.analysis import Judgement, Measured, judge
from sluice_operator.planning.observed import Window
from sluice_operator.planning.outages import LOOK_SECONDS, Calls, Outages

STABLE, CANARY = "stable", "canary"
INTERVAL = 15
RULES = Analysis.model_validate(
    {"interval": f"{INTERVAL}s", "checks": [{"metric": "errorRate", "max": 0.01, "maxTimesStable": 2}]}
)
NOTICED = 2
"""Seconds, at most, for which a pod does not notice that the store is back."""


@dataclass
class Version:
    """One version: `cached` is the share of its requests that need no store, `faulty` that of its calls which fail by
    its own fault, `errors` that of its answers which are errors of the model.
    """

    requests: int
    cached: float
    faulty: float = 0.0
    errors: float = 0.0
    blind_until: int = 0
    window: Counter[str] = field(default_factory=Counter)
    slice_: Counter[str] = field(default_factory=Counter)

    def second(self, at: int, away: bool, chance: random.Random) -> None:
        """What happens in it. A store that is away is called once or twice: more wait for no call."""
        if away:
            self.blind_until = at + chance.randint(0, NOTICED)
        blind = away or at < self.blind_until
        asking = sum(chance.random() >= self.cached for _ in range(self.requests))
        refused = asking if blind else sum(chance.random() < self.faulty for _ in range(asking))
        broken = sum(chance.random() < self.errors for _ in range(self.requests - refused))
        self.window.update(requests=self.requests, errors=refused + broken)
        lost = min(refused, 2) if blind else refused
        self.slice_.update(refused=refused, lost=lost, answered=0 if blind else asking - refused)


def rollout(
    stable: Version, canary: Version, outages: list[tuple[int, int]], seed: int, seconds: int
) -> list[Judgement]:
    """What each measurement came to; `outages` are from and to seconds."""
    chance, heard, found, windows = random.Random(seed), Outages(0.0), [], 1
    shift = chance.randint(0, INTERVAL - 1)
    for at in range(1, seconds):
        away = any(begin <= at - shift < end for begin, end in outages)
        for version in (stable, canary):
            version.second(at, away, chance)
        if at % LOOK_SECONDS:
            continue
        calls = {name: Calls(**version.slice_) for name, version in ((STABLE, stable), (CANARY, canary))}
        if heard.look(at, STABLE, calls):
            stable.slice_.clear()
            canary.slice_.clear()
        if at % INTERVAL:
            continue
        found.append(judge(RULES, measured(heard, stable, canary, windows)))
        if found[-1].renew:
            windows += 1
            heard.open_window()
            stable.window.clear()
            canary.window.clear()
    return found


def measured(heard: Outages, stable: Version, canary: Version, number: int) -> Measured:
    seen = {
        name: Window(version.window["requests"], version.window["errors"], excuse=heard.excuse(name))
        for name, version in ((STABLE, stable), (CANARY, canary))
    }
    return Measured(seen[CANARY], seen[STABLE], faulty=False, answers={}, number=number)


OUTAGES: dict[str, list[tuple[int, int]]] = {
    "a second": [(100, 101)],
    "some seconds": [(100, 104)],
    "half a minute": [(100, 130)],
    "minutes": [(100, 340)],
    "from the beginning": [(-20, 60)],
    "again and again": [(60, 63), (120, 150), (200, 202), (230, 260)],
}


@pytest.mark.parametrize("outages", OUTAGES.values(), ids=OUTAGES)
@pytest.mark.parametrize("cached", [0.0, 0.9])
def test_a_good_canary_is_never_blamed_for_an_outage_and_passes_after_it(outages: Any, cached: float) -> None:
    for seed in range(5):
        found = rollout(Version(40, cached), Version(5, 0.0), outages, seed, 600)
        assert "Fail" not in {one.verdict for one in found}
        assert found[-1].verdict == "Pass", found[-1].message


@pytest.mark.parametrize("outages", [[], *OUTAGES.values()], ids=["none", *OUTAGES])
@pytest.mark.parametrize(
    "canary", [{"faulty": 1.0}, {"faulty": 0.3}, {"errors": 0.3}], ids=["no lookup", "some lookups", "the model"]
)
def test_a_bad_canary_is_blamed_all_the_same(outages: Any, canary: dict[str, Any]) -> None:
    for seed in range(5):
        found = rollout(Version(40, 0.5), Version(5, 0.0, **canary), outages, seed, 600)
        assert [one.verdict for one in found].count("Fail") > RULES.failure_limit
        assert found[-1].verdict != "Pass"


def test_a_model_that_fails_is_blamed_while_the_store_is_away() -> None:
    found = rollout(Version(40, 0.5), Version(20, 0.5, errors=0.5), [(30, 1000)], 1, 300)
    assert found[-1].verdict == "Fail"


def test_where_stable_has_everything_in_its_cache_nobody_is_blamed_nor_acquitted() -> None:
    found = rollout(Version(40, 1.0), Version(5, 0.0), [(0, 1000)], 1, 300)
    assert {one.verdict for one in found} == {"Inconclusive"}
