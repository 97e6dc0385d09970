"""Whole rollouts through outages of the store, second by second: who is blamed, over many of them."""

import math
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
    its own fault, `errors` that of its answers which are errors of the model, and `slow` that of its late ones. With
    `defaults` it answers without the store, late where a call was lost.
    """

    requests: float
    cached: float
    faulty: float = 0.0
    errors: float = 0.0
    slow: float = 0.0
    defaults: bool = False
    blind_until: int = 0
    window: Counter[str] = field(default_factory=Counter)
    slice_: Counter[str] = field(default_factory=Counter)

    def second(self, at: int, away: bool, chance: random.Random, loss: float = 0.0) -> None:
        """What happens in it. A store that is away is called once or twice: more wait for no call. `loss`: the share of
        calls that are lost while it is there.
        """
        if away:
            self.blind_until = at + chance.randint(0, NOTICED)
        blind = away or at < self.blind_until
        requests = int(self.requests) + (chance.random() < self.requests % 1)
        asking = sum(chance.random() >= self.cached for _ in range(requests))
        missed = asking if blind else sum(chance.random() < self.faulty + loss for _ in range(asking))
        refused = 0 if self.defaults else missed
        lost = min(missed, 2) if blind else missed
        broken = sum(chance.random() < self.errors for _ in range(requests - refused))
        late = lost + sum(chance.random() < self.slow for _ in range(requests - lost))
        self.window.update(requests=requests, errors=refused + broken, late=late)
        self.slice_.update(
            refused=refused, lost=lost, answered=0 if blind else asking - missed, filled=missed - refused
        )


def rollout(
    stable: Version,
    canary: Version,
    outages: list[tuple[int, int]],
    seed: int,
    seconds: int,
    *,
    rules: Analysis = RULES,
    loss: float = 0.0,
    witness: bool = True,
) -> list[Judgement]:
    """What each measurement came to; `outages` are from and to seconds. Without a `witness` nobody is excused."""
    chance, heard, found, windows = random.Random(seed), Outages(0.0), [], 1
    shift = chance.randint(0, INTERVAL - 1) if outages else 0
    for at in range(1, seconds):
        away = any(begin <= at - shift < end for begin, end in outages)
        for version in (stable, canary):
            version.second(at, away, chance, loss)
        if at % LOOK_SECONDS:
            continue
        calls = {name: Calls(**version.slice_) for name, version in ((STABLE, stable), (CANARY, canary))}
        if witness and heard.look(at, STABLE, calls):
            stable.slice_.clear()
            canary.slice_.clear()
        if at % INTERVAL:
            continue
        found.append(judge(rules, measured(heard, stable, canary, windows)))
        if found[-1].renew:
            windows += 1
            heard.open_window()
            stable.window.clear()
            canary.window.clear()
    return found


def measured(heard: Outages, stable: Version, canary: Version, number: int) -> Measured:
    seen = {
        name: Window(
            version.window["requests"], version.window["errors"], latency(version.window), excuse=heard.excuse(name)
        )
        for name, version in ((STABLE, stable), (CANARY, canary))
    }
    return Measured(seen[CANARY], seen[STABLE], faulty=False, answers={}, number=number)


def latency(counts: Counter[str]) -> dict[float, float]:
    requests = float(counts["requests"])
    return {0.01: requests - counts["late"], 0.1: requests, math.inf: requests}


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


P95 = Analysis.model_validate({"interval": f"{INTERVAL}s", "checks": [{"metric": "latencyP95", "maxTimesStable": 1.5}]})
LOSSES = [0.001, 0.003, 0.01]
VERSIONS = {
    "a call every other second": (40, 0.4, RULES),
    "some calls a second": (40, 2, RULES),
    "late by a few calls": (40, 2, P95),
    "late by more": (100, 20, P95),
}


def measurements_to_pass(found: list[Judgement]) -> int:
    """How many it took; more than there were where none passed."""
    return next((number for number, one in enumerate(found, 1) if one.verdict == "Pass"), len(found) + 1)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("of_stable", "of_canary", "rules"), VERSIONS.values(), ids=VERSIONS)
def test_a_store_that_loses_a_call_now_and_then_holds_nobody_up(
    of_stable: int, of_canary: float, rules: Analysis, loss: float
) -> None:
    for seed in range(4):
        took, without = (
            rollout(
                Version(of_stable, 0.0, defaults=rules is P95),
                Version(of_canary, 0.0, defaults=True),
                [],
                seed,
                360,
                rules=rules,
                loss=loss,
                witness=witness,
            )
            for witness in (True, False)
        )
        assert measurements_to_pass(took) <= measurements_to_pass(without)
        assert "Fail" not in {one.verdict for one in took}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("canary", "rules"),
    [({"faulty": 1.0}, RULES), ({"faulty": 0.3}, RULES), ({"errors": 0.3}, RULES), ({"slow": 0.4}, P95)],
    ids=["no lookup", "some lookups", "the model", "late"],
)
def test_nor_does_it_save_a_bad_canary(canary: dict[str, Any], rules: Analysis, loss: float) -> None:
    for seed in range(2):
        found = rollout(Version(40, 0.0), Version(5, 0.0, **canary), [], seed, 300, rules=rules, loss=loss)
        assert [one.verdict for one in found].count("Fail") > rules.failure_limit
        assert "Pass" not in {one.verdict for one in found}


@pytest.mark.parametrize("loss", [0.05, 0.1, 0.3])
def test_a_store_that_loses_many_calls_holds_a_version_with_defaults_up_for_minutes_at_most(loss: float) -> None:
    for seed in range(2):
        good = rollout(
            Version(40, 0.0, defaults=True), Version(5, 0.0, defaults=True), [], seed, 600, rules=P95, loss=loss
        )
        assert good[-1].verdict == "Pass"


@pytest.mark.parametrize("outages", OUTAGES.values(), ids=OUTAGES)
def test_versions_that_answer_by_their_defaults_pass_through_an_outage(outages: Any) -> None:
    for seed in range(2):
        found = rollout(Version(40, 0.5, defaults=True), Version(5, 0.0, defaults=True), outages, seed, 600, rules=P95)
        assert "Fail" not in {one.verdict for one in found}
        assert found[-1].verdict == "Pass"


@pytest.mark.parametrize("outages", OUTAGES.values(), ids=OUTAGES)
def test_a_stable_that_answers_by_its_defaults_is_a_witness_all_the_same(outages: Any) -> None:
    for seed in range(2):
        found = rollout(Version(200, 0.0, defaults=True), Version(5, 0.0), outages, seed, 600)
        assert "Fail" not in {one.verdict for one in found}
        assert found[-1].verdict == "Pass"
