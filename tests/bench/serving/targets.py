"""What must hold, as ratios within one run. A target whose cell was not asked for is not claimed; one that could not be
measured is broken.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.serving.messages import Encoding
from bench.serving.samples import DISTURBED, SESSION, Cell, Results
from bench.serving.spread import Spread, per_round, ratio, spread
from bench.serving.startup import Start
from support.report import Report

ECHO, GRPC_ECHO, SLUICE = "ASGI echo", "grpc.aio echo", "Sluice"
JSON_16 = Cell("tabular", Encoding.JSON, 16)
JSON_1 = Cell("tabular", Encoding.JSON, 1)
BINARY_16 = Cell("tabular", Encoding.BINARY, 16)
GRPC_16 = Cell("tabular", Encoding.GRPC, 16)
IMAGE_1 = Cell("image", Encoding.BINARY, 1)
RSS_MIB, START_SECONDS = 140.0, 1.5


@dataclass(frozen=True)
class Target:
    """A bound on a spread of per-round values. `reference` is whom the runtime is compared with, if one contender."""

    key: str
    claim: str
    cell: Cell
    bound: float
    at_least: bool
    value: Callable[[Results, Cell], Spread | None]
    reference: str | None = None


def _faster(key: str, cell: Cell, reference: str, bound: float) -> Target:
    """At least so many answers a second for each one of another contender."""
    claim = f"{cell}: answers/s over those of {reference}"
    return Target(key, claim, cell, bound, at_least=True, value=_times(reference), reference=reference)


def _times(other: str) -> Callable[[Results, Cell], Spread | None]:
    """Answers a second over those of another contender."""
    return lambda results, cell: ratio(results.rounds(cell, lambda sample: sample.rate), SLUICE, other)


def _by_cpu(results: Results, target: Target) -> str:
    """The same ratio for answers a second of CPU time, as text: where it differs, cores were not the server's alone."""
    if target.reference is None:
        return ""
    costs = results.rounds(target.cell, lambda sample: sample.cpu_us)
    found = ratio(costs, target.reference, SLUICE) if all(cost.get(SLUICE, 1) > 0 for cost in costs) else None
    return f"; by CPU {found.median:.2f}" if found else ""


def _added(results: Results, cell: Cell) -> Spread | None:
    """Milliseconds of p50 beyond the echo's and the session's own."""
    return per_round(results.latencies(cell), lambda own, echo, run: own - echo - run, SLUICE, ECHO, SESSION)


def _beyond_session(results: Results, cell: Cell) -> Spread | None:
    """p50 over the session's own."""
    return ratio(results.latencies(cell), SLUICE, SESSION)


TARGETS = (
    _faster("json-echo", JSON_16, ECHO, 0.65),
    _faster("json-mlserver", JSON_16, "MLServer", 8),
    _faster("json-kserve", JSON_16, "KServe", 11),
    _faster("json-bentoml", JSON_16, "BentoML IO", 18),
    _faster("binary-echo", BINARY_16, ECHO, 0.75),
    _faster("grpc-echo", GRPC_16, GRPC_ECHO, 0.70),
    Target("latency", f"{JSON_1}: ms of p50 beyond echo + session", JSON_1, 0.35, False, _added),
    Target("image-session", f"{IMAGE_1}: p50 over session.run", IMAGE_1, 1.10, False, _beyond_session),
)

NOTES: dict[str, str] = {
    "image-session": (
        "A core that has rested for as little as 50 us runs this graph in 7.8 ms, not in the 6.8 ms of the loop that "
        "measures session.run (in-process, without any server), and with one connection the core rests between an "
        "answer and the next request: 1.15 times already. The way of the bytes through the kernel (0.7 ms in the echo) "
        "comes on top. The runtime copies nothing: two reads into the tensor's own memory, one write."
    ),
}
"""Why a target is not reached, by its key, from a profile: shown beside the claim while it is broken."""


def judge(report: Report, results: Results, asked: Sequence[Cell], starts: Sequence[Start] | None) -> dict[str, str]:
    """Put a claim into the report for every target in the cells that were asked for; the notes of the broken ones.

    `starts` is None where starts were not asked for, and empty where they failed.
    """
    notes = {}
    for target in TARGETS:
        if target.cell in asked:
            found = target.value(results, target.cell)
            claim = report.at_least if target.at_least else report.at_most
            by_cpu = _by_cpu(results, target)
            claim(target.claim + _range(found) + by_cpu, target.bound, found.median if found else None)
            if not report.claims[-1].holds and target.key in NOTES:
                notes[target.claim] = NOTES[target.key]
    _judge_process(report, results, asked, starts)
    _judge_calm(report, results)
    return notes


def _judge_calm(report: Report, results: Results) -> None:
    """A run that was disturbed proves nothing, whatever its other claims say."""
    if results.samples:
        claim = "others' share of the measured cores, median (more: measure again on a calm machine)"
        report.at_most(claim, DISTURBED, statistics.median(sample.foreign for sample in results.samples))


def _judge_process(report: Report, results: Results, asked: Sequence[Cell], starts: Sequence[Start] | None) -> None:
    if starts is not None:
        walls, cpus = spread(start.wall for start in starts), spread(start.cpu for start in starts)
        claim = f"start to ready, CPU {cpus} s, time{_range(walls)}"
        report.at_most(claim, START_SECONDS, walls.median if walls else None, "s")
    if any(cell.model == "tabular" for cell in asked):
        held = [
            sample.rss_mib
            for sample in results.samples
            if sample.contender == SLUICE and sample.cell.model == "tabular"
        ]
        report.at_most("RSS with the small model, largest after any load", RSS_MIB, max(held, default=None), "MiB")


def _range(found: Spread | None) -> str:
    return f" [{found.low:.2f} .. {found.high:.2f}]" if found else ""
