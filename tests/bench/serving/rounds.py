"""Interleaved rounds: in each one every contender has its turn in every cell, in an order that moves on.

A disturbance so meets everybody, and nobody always runs after the same neighbour.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.serving.contenders import TESTS, Contender, image_environment
from bench.serving.cores import Cores
from bench.serving.errors import BenchError
from bench.serving.messages import Encoding
from bench.serving.models import Case
from bench.serving.samples import DISTURBED, Cell, Floor, Results, Sample
from bench.serving.stage import Stage, staged
from localcluster.progress import say
from localcluster.shell import tail

T = TypeVar("T")
FLOOR_WARM_UP = 0.3


@dataclass(frozen=True)
class Plan:
    """What a run measures: how often, how long, and what."""

    rounds: int
    seconds: float
    warm_up: float
    repeats: int
    connections: tuple[int, ...]
    encodings: tuple[Encoding, ...]


def measure_case(case: Case, contenders: Sequence[Contender], plan: Plan, cores: Cores, folder: Path) -> Results:
    """All cells of one model. A contender that fails is named with its reason, and the others go on."""
    results = Results()
    with contextlib.ExitStack() as stack:
        stages = _start(case, contenders, cores, folder, stack=stack, results=results)
        entries = _agree(stages, plan, results)
        for number in range(plan.rounds):
            results.floors.append(measure_floor(case, number, plan.seconds, cores))
            for encoding in plan.encodings:
                say(f"{case.name}, {encoding.value}: round {number + 1} of {plan.rounds}")
                for connections in plan.connections:
                    _turn(Cell(case.name, encoding, connections), entries[encoding], number, plan, results)
    return results


def measure_floor(case: Case, number: int, seconds: float, cores: Cores) -> Floor:
    """Time the in-process session on the server's core."""
    (tensor,) = case.inputs.values()
    path = case.onnx.with_name("input.npy")
    np.save(path, tensor)
    argv = [sys.executable, "-m", "bench.serving.peers.session_run", str(path), str(FLOOR_WARM_UP), str(seconds)]
    done = subprocess.run(
        cores.serving(argv),
        env={
            **image_environment(),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(TESTS),
            "BENCH_MODEL": str(case.onnx),
        },
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"session.run in-process failed:\n{tail(done.stderr)}")
    seen = json.loads(done.stdout)
    return Floor(case.name, number, seen["p50_us"] / 1000, seen["p99_us"] / 1000)


def calmest(measure: Callable[[], Sample], repeats: int) -> Sample:
    """Measure, and again while others disturb it, at most `repeats` times; the least disturbed sample counts.

    The choice never looks at the result.
    """
    best = measure()
    while best.foreign > DISTURBED and repeats > 0:
        best, repeats = min(best, measure(), key=lambda sample: sample.foreign), repeats - 1
    return best


def turn_order(items: Sequence[T], number: int) -> list[T]:
    """The items, beginning one further each round."""
    start = number % len(items) if items else 0
    return [*items[start:], *items[:start]]


def _start(
    case: Case,
    contenders: Sequence[Contender],
    cores: Cores,
    folder: Path,
    *,
    stack: contextlib.ExitStack,
    results: Results,
) -> list[Stage]:
    """Start all contenders one after the other, each paused once it is ready."""
    stages = []
    for contender in contenders:
        try:
            stage = stack.enter_context(staged(contender, case, cores, folder / contender.name.replace(" ", "-")))
        except Exception as error:  # its environment, its start: whatever keeps it out is said in the table
            _keep_out(results, case.name, contender.name, tuple(Encoding), error)
        else:
            stages.append(stage)
            stage.server.pause()
    return stages


def _agree(stages: Sequence[Stage], plan: Plan, results: Results) -> dict[Encoding, list[Stage]]:
    """Who takes part in which encoding: those who offer it and answer rightly."""
    entries: dict[Encoding, list[Stage]] = {encoding: [] for encoding in plan.encodings}
    for stage in stages:
        with stage.server.awake():
            extensions = stage.extensions()
            for encoding in plan.encodings:
                key = (stage.case.name, encoding, stage.contender.name)
                if reason := stage.contender.absent(encoding, extensions):
                    results.absent[key] = reason
                    continue
                try:
                    stage.check(encoding)
                except BenchError as error:
                    _keep_out(results, stage.case.name, stage.contender.name, (encoding,), error)
                else:
                    entries[encoding].append(stage)
    return entries


def _turn(cell: Cell, stages: Sequence[Stage], number: int, plan: Plan, results: Results) -> None:
    for stage in turn_order(stages, number):
        try:
            if number == 0:
                stage.warm_up(cell, plan.warm_up)
            results.samples.append(calmest(partial(stage.measure, cell, number, plan.seconds), plan.repeats))
        except BenchError as error:
            _keep_out(results, str(cell), stage.contender.name, (cell.encoding,), error)


def _keep_out(results: Results, where: str, name: str, encodings: Sequence[Encoding], error: Exception) -> None:
    say(f"{where}: {name} FAILED: {error}")
    for encoding in encodings:
        results.absent[where, encoding, name] = f"failed: {error}"
