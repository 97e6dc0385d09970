"""How well the analysis judges: thousands of simulated rollouts by the operator's own rollout and analysis code.

Requests are drawn at random (binomial errors, log-normal latencies in the runtime's own buckets); everything that
decides is `planning.rollout.step`, driven measurement by measurement. What is reported for each cell of the grid: how
many rollouts were taken back, after how many canary requests, and how many were promoted.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import norm

from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.runtime import Runtime
from sluice_operator.api.scalars import seconds
from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning import rollout
from sluice_operator.planning.identity import Target
from sluice_operator.planning.observed import Observed, RevisionRecord, RouterPod, RouterState, Window, Workload
from sluice_operator.planning.situation import Situation
from sluice_runtime.metrics import REQUEST_BUCKETS
from support import samples
from support.report import Report

START = datetime(2026, 1, 1, tzinfo=UTC)
SEED = 20260101
ROLLOUTS = 200
"""Of each cell of the grid."""
CLAIMED = 1000
"""Of each cell that a claim rests on."""
MEDIAN = 0.02
"""Seconds. Stable's median latency; only its place among the buckets matters."""
STABLE, CANARY = "0123456789", "abcdef0123"


@dataclass(frozen=True)
class Cell:
    """One kind of canary: how it differs from stable, and how much traffic there is.

    `errors`: stable's error rate; `worse`: what the canary's is above it; `slower`: its latencies as a multiple of
    stable's; `spread`: standard deviation of the logarithm of latencies; `requests`: canary requests between two
    measurements of the first step.
    """

    errors: float = 0.002
    worse: float = 0.0
    slower: float = 1.0
    spread: float = 0.5
    requests: int = 25

    @property
    def bad(self) -> bool:
        """Whether it should be taken back."""
        return self.worse > 0 or self.slower > 1


@dataclass(frozen=True)
class Outcome:
    """How one rollout ended: with the canary's requests until then, and after how many measurements."""

    promoted: bool
    reason: str
    requests: int
    measurements: int


@dataclass
class Counted:
    """What one version answered since the window opened; `latency` by the runtime's buckets."""

    latency: Any
    requests: int = 0
    errors: int = 0


@dataclass
class Simulation:
    """One rollout. Counts since the window opened are the only thing it remembers beside status."""

    cell: Cell
    spec: ModelDeploymentSpec
    random: np.random.Generator
    now: datetime = START
    requests: int = 0

    def run(self) -> Outcome:
        """Until the rollout is over."""
        status = self.settled(self.begun())
        measurements = 0
        while status.rollout is not None:
            self.wait(status)
            before = status.rollout.analysis
            status = self.settled(status)
            measurements += (
                status.rollout is None or status.rollout.analysis.last_measured_at != before.last_measured_at
            )
        reason = status.blocked.reason if status.blocked else ""
        return Outcome(not reason, reason, self.requests, measurements)

    def begun(self) -> ModelDeploymentStatus:
        """A rollout that starts, with a stable version."""
        live = {"revision": STABLE, "specHash": "stable", "uri": "file:///stable"}
        self.empty()
        return ModelDeploymentStatus.model_validate({"stable": live})

    def empty(self) -> None:
        """Open a window."""
        self.counted = {name: Counted(np.zeros(len(REQUEST_BUCKETS) + 1)) for name in (STABLE, CANARY)}

    def settled(self, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
        """Passes at one moment until nothing is left to decide; each opened window is emptied, as the observer does."""
        while True:
            after = rollout.step(self.situation(status))
            was, now = status.rollout, after.rollout
            if now and now.analysis.windows > (was.analysis.windows if was else 0):
                self.empty()
            if after == status:
                return after
            status = after
            if was and now is None:
                return after

    def situation(self, status: ModelDeploymentStatus) -> Situation:
        """What the operator sees."""
        resource = ModelDeployment("shop", "m", "uid", 1, "1", status, self.spec)
        return Situation(resource, TARGET, replace(OBSERVED, windows=self.windows()), True, self.now)

    def windows(self) -> dict[str, Window]:
        bounds = (*REQUEST_BUCKETS, math.inf)
        return {
            name: Window(one.requests, one.errors, dict(zip(bounds, np.cumsum(one.latency).tolist(), strict=True)))
            for name, one in self.counted.items()
        }

    def wait(self, status: ModelDeploymentStatus) -> None:
        """One interval with its traffic: the total is constant, and the weight splits it."""
        assert status.rollout is not None
        analysis = self.spec.rollout.analysis
        assert analysis is not None
        self.now += timedelta(seconds=seconds(analysis.interval) + 0.001)
        first = self.spec.rollout.steps[0].weight
        total = round(self.cell.requests * 100 / first)
        canary = int(self.random.binomial(total, status.rollout.weight / 100))
        self.requests += canary
        cell = self.cell
        self.answer(CANARY, canary, cell.errors + cell.worse, cell.slower)
        self.answer(STABLE, total - canary, cell.errors, 1.0)

    def answer(self, name: str, requests: int, errors: float, slower: float) -> None:
        counted = self.counted[name]
        counted.requests += requests
        counted.errors += int(self.random.binomial(requests, errors))
        counted.latency += self.random.multinomial(requests, shares(slower, self.cell.spread))


_SHARES: dict[tuple[float, float], Any] = {}


def shares(slower: float, spread: float) -> Any:
    """The probability of each of the runtime's buckets."""
    if (slower, spread) not in _SHARES:
        below = norm.cdf(np.log(np.array(REQUEST_BUCKETS) / (MEDIAN * slower)) / spread)
        _SHARES[slower, spread] = np.diff(np.concatenate([[0.0], below, [1.0]]))
    return _SHARES[slower, spread]


PODS = {name: Workload(wanted=1, ready=1, available=1) for name in (STABLE, CANARY)}
OBSERVED = Observed(
    workloads=PODS,
    router=RouterState(wanted=1, pods=(RouterPod("r", True, "v", {STABLE: 1, CANARY: 1}),)),
)
RECORD = RevisionRecord(CANARY, "canary", "file:///canary", "", "", Runtime())
TARGET = Target("canary", RECORD)
BASE = Cell()
GRID: dict[str, list[Cell]] = {
    "equal to stable": [
        replace(BASE, errors=rate, requests=many) for rate in (0.0, 0.002, 0.01) for many in (10, 25, 50)
    ],
    "more errors": [
        replace(BASE, errors=rate, worse=worse) for rate in (0.0, 0.002, 0.01) for worse in (0.01, 0.02, 0.05, 0.1, 0.2)
    ],
    "slower": [
        replace(BASE, slower=times, spread=spread) for spread in (0.3, 0.5, 0.8) for times in (1.25, 1.5, 2.0, 3.0)
    ],
}


def main(words: Sequence[str] | None = None) -> int:
    """Simulate everything; 0 when every claim holds."""
    console, report = Console(), Report("bench/analysis.json")
    spec = ModelDeploymentSpec.model_validate(samples.model_deployment("canary.yaml", "file:///m")["spec"])
    random = np.random.default_rng(SEED)
    claims(report, spec, random)
    cells = [{"kind": kind, **row} for kind, group in GRID.items() for row in rows(group, ROLLOUTS, spec, random)]
    report.details |= {
        "rollouts": sum(row["rollouts"] for row in cells) + 3 * CLAIMED,
        "seed": SEED,
        "rollout": spec.rollout.to_json(),
        "grid": cells,
    }
    console.print(table(cells))
    return report.conclude(console)


def claims(report: Report, spec: ModelDeploymentSpec, random: np.random.Generator) -> None:
    """What is promised for the sample as it is."""
    equal = outcomes(BASE, CLAIMED, spec, random)
    errors = outcomes(replace(BASE, worse=0.05), CLAIMED, spec, random)
    slow = outcomes(replace(BASE, slower=2.0), CLAIMED, spec, random)
    report.at_least("canaries equal to stable that are promoted", 0.99, share(one.promoted for one in equal))
    report.at_least(
        "canaries with 5 points more errors taken back within 400 canary requests",
        0.95,
        share(not one.promoted and one.requests <= 400 for one in errors),
    )
    report.at_least(
        "canaries with a doubled p99 taken back within 1,000 canary requests",
        0.95,
        share(not one.promoted and one.requests <= 1000 for one in slow),
    )


def share(hits: Iterator[bool] | Any) -> float:
    return statistics.fmean(map(float, hits))


def outcomes(cell: Cell, many: int, spec: ModelDeploymentSpec, random: np.random.Generator) -> list[Outcome]:
    return [Simulation(cell, spec, random).run() for _ in range(many)]


def rows(
    cells: Sequence[Cell], many: int, spec: ModelDeploymentSpec, random: np.random.Generator
) -> Iterator[dict[str, Any]]:
    for cell in cells:
        found = outcomes(cell, many, spec, random)
        back = sorted(one.requests for one in found if not one.promoted)
        yield {
            **vars(cell),
            "rollouts": many,
            "promoted": share(one.promoted for one in found),
            "false_alarms" if not cell.bad else "misses": share(one.promoted is cell.bad for one in found),
            "reasons": {reason: sum(one.reason == reason for one in found) for reason in {one.reason for one in found}},
            "requests_until_taken_back": {"p50": back[len(back) // 2], "p95": back[int(len(back) * 0.95)]}
            if back
            else None,
        }


def table(cells: Sequence[dict[str, Any]]) -> Table:
    shown = Table(title="Simulated rollouts", title_justify="left")
    names = ("canary", "stable's errors", "worse by", "slower", "spread", "requests / interval")
    for name in (*names, "promoted", "taken back after: p50", "p95"):
        shown.add_column(name, justify="right")
    for row in cells:
        until = row["requests_until_taken_back"] or {"p50": "", "p95": ""}
        values = (row["errors"], row["worse"], row["slower"], row["spread"], row["requests"])
        shown.add_row(row["kind"], *map(str, values), f"{row['promoted']:.1%}", str(until["p50"]), str(until["p95"]))
    return shown


if __name__ == "__main__":
    sys.exit(main())
