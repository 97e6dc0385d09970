"""What the data contract adds to a request: one row of ten variables, in one process, taken in with and without it.

`python -m bench.contract`: ten inputs of one value each, one input of ten columns, and what a value of a long batch
costs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from rich.console import Console

from sluice.manifest import Datatype, Manifest, TensorSpec
from sluice_runtime.batching import Batcher
from sluice_runtime.intake.intake import intake_of
from sluice_runtime.metrics import Metrics
from sluice_runtime.plane import InferRequest, Model, Plane
from sluice_runtime.running import Work
from sluice_runtime.signature import Signature, Tensor
from support.report import Report
from support.stats import percentile

VARIABLES = 10
MOST_MICROSECONDS = 30
"""For a request of one row with ten variables: a tenth of what a small model's whole request takes."""

ROUNDS, REQUESTS = 40, 500
LONG_ROWS = 10_000


class Nobody:
    """Waits for no prediction."""

    def done(self) -> bool:
        return True

    def set_result(self, result: list[Tensor], /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None: ...


class Sink:
    """Takes works and runs none, so that what is measured is the way to the queue."""

    full = False

    def submit(self, work: Work) -> None: ...


def main(words: Sequence[str] | None = None) -> int:
    """Measure; 0 when every claim holds."""
    del words
    report = Report("bench/contract.json")
    for name, specs, columns in (
        ("ten inputs", [_spec(f"v{place}", 1) for place in range(VARIABLES)], None),
        ("ten columns of one input", [_spec("x", VARIABLES)], range(VARIABLES)),
    ):
        plain, checked = _model(specs, []), _model(specs, _variables(columns))
        without, within = in_turns(_asking(plain, specs, 1), _asking(checked, specs, 1))
        claim = f"{name}: what the contract adds to a row of {VARIABLES} variables"
        report.at_most(claim, MOST_MICROSECONDS, (within - without) * 1e6, "us")
        report.details[f"{name}: with and without, us"] = [round(seconds * 1e6, 1) for seconds in (within, without)]
        long = _asking(checked, specs, LONG_ROWS)
        nanoseconds = min(_timed(long, 1) for _ in range(ROUNDS)) / (LONG_ROWS * VARIABLES) * 1e9
        report.details[f"{name}: a value of {LONG_ROWS} rows, ns"] = round(nanoseconds, 2)
    return report.conclude(Console())


def in_turns(one: Callable[[], None], other: Callable[[], None]) -> tuple[float, float]:
    """Median seconds of each, in rounds that take turns, so that a busy moment of the machine meets both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for call, seconds in zip((one, other), times, strict=True):
            seconds.append(_timed(call, REQUESTS))
    return percentile(times[0], 50), percentile(times[1], 50)


def _timed(call: Callable[[], None], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - started) / times


def _spec(name: str, width: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=Datatype.FP32, shape=(-1, width))


def _variables(columns: range | None) -> list[dict[str, Any]]:
    limits = {"minimum": 0, "maximum": 100}
    if columns is None:
        return [{"name": f"v{place}", **limits} for place in range(VARIABLES)]
    return [{"name": f"v{place}", "input": "x", "column": place, **limits} for place in columns]


def _model(specs: list[TensorSpec], variables: list[dict[str, Any]]) -> tuple[Plane, Model]:
    fields = {"name": "bench", "version": "1", "inputs": specs, "outputs": specs, "variables": variables}
    manifest = Manifest.model_validate(fields)
    signature = Signature(tuple(specs), tuple(specs), batchable=True)
    intake = intake_of(manifest, signature, None, lambda *_: None)
    batcher: Batcher = Sink()  # type: ignore[assignment]  # the way to the queue ends here
    plane = Plane("bench", Metrics("bench", "", CollectorRegistry()))
    return plane, Model("bench", "1", signature, batcher, intake)


def _asking(found: tuple[Plane, Model], specs: list[TensorSpec], rows: int) -> Callable[[], None]:
    plane, model = found
    inputs = {spec.name: np.full((rows, spec.shape[1]), 5, np.float32) for spec in specs}
    receiver = Nobody()

    def ask() -> None:
        plane.submit(model, InferRequest(inputs), receiver)

    return ask


if __name__ == "__main__":
    sys.exit(main())
