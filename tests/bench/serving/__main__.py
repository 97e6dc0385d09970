"""`python -m bench.serving`: the runtime beside its ceilings and its peers, in one run on one machine.

Prints a table for each cell and the claims, and writes build/bench/serving.json. Exits with 1 if a claim is broken.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.serving import cores, load, models
from bench.serving.contenders import CONTENDERS, offers_grpc
from bench.serving.messages import Encoding
from bench.serving.rounds import Plan, measure_case
from bench.serving.samples import Results
from bench.serving.startup import Start, measure_starts
from bench.serving.tables import asked_cells, cell_rows, cell_table, floor_table, foreign_share
from bench.serving.targets import judge
from localcluster.progress import say
from support.report import Report

REPORT = "bench/serving.json"
FULL = (1, 16, 64)


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parse(arguments)
    names = [contender.name for contender in CONTENDERS if _wanted(contender.name, chosen.only)]
    contenders = [contender for contender in CONTENDERS if contender.name in names]
    plan = Plan(
        rounds=chosen.rounds,
        seconds=chosen.seconds,
        warm_up=chosen.warm_up,
        repeats=chosen.repeats,
        connections=tuple(chosen.connections),
        encodings=tuple(chosen.encodings),
    )
    load.ensure_wrk()
    results, machine = Results(), cores.choose()
    starts: list[Start] | None = None
    loads = [os.getloadavg()]
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as scratch:
        for model in chosen.models:
            case = models.build(model, Path(scratch) / model / "made")
            if model == "tabular" and not chosen.only:
                starts = measure_starts(case, chosen.rounds, machine, Path(scratch) / "starts")
            results.merge([measure_case(case, contenders, plan, machine, Path(scratch) / model / "servers")])
    loads.append(os.getloadavg())
    return conclude(results, starts, names, chosen, describe(loads))


def conclude(
    results: Results, starts: list[Start] | None, names: list[str], chosen: argparse.Namespace, machine: dict[str, Any]
) -> int:
    """Print and write everything; the exit code."""
    console = Console() if sys.stdout.isatty() else Console(width=140)
    asked = asked_cells(chosen.models, chosen.encodings, chosen.connections)
    for cell in asked:
        console.print(cell_table(results, cell, names))
    console.print(floor_table(results))
    report = Report(REPORT)
    notes = judge(report, results, asked, starts)
    report.details = {
        "machine": machine,
        "plan": dict(vars(chosen)),
        "foreign_share": foreign_share(results),
        "notes": notes,
        "table": [asdict(row) for cell in asked for row in cell_rows(results, cell, names)],
        "absent": [
            {"where": where, "encoding": encoding, "contender": name, "reason": reason}
            for (where, encoding, name), reason in results.absent.items()
        ],
        "starts": [asdict(start) for start in starts or ()],
        "session_run": [asdict(floor) for floor in results.floors],
        "samples": [asdict(sample) for sample in results.samples],
    }
    console.print(
        f"Load average {machine['load_average']}; others used {foreign_share(results):.0%} of a core (median)."
    )
    code = report.conclude(console)
    for claim, note in notes.items():
        console.print(f"{claim}: {note}")
    return code


def describe(loads: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    """The machine and the engine, and its load averages before and after."""
    names = ("onnxruntime", "uvicorn", "httptools", "uvloop", "bentoml", "numpy")
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in names},
        "grpc": offers_grpc(),
        "load_average": [round(minute, 2) for minute, _, _ in loads],
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; `--quick` changes defaults only."""
    parser = argparse.ArgumentParser("bench.serving", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds of 1 s at 1 and 16 connections: a look, no proof"
    )
    parser.add_argument("--rounds", type=int, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=float, help="of load for each measurement, whole ones (2)")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds of load before a contender's first round")
    parser.add_argument("--repeats", type=int, help="of a measurement that others on the machine disturb (2)")
    parser.add_argument("--connections", type=int, nargs="+", help="1 16 64")
    parser.add_argument("--models", nargs="+", choices=list(models.MODELS), default=list(models.MODELS))
    parser.add_argument("--encodings", nargs="+", type=Encoding, choices=list(Encoding), default=list(Encoding))
    parser.add_argument(
        "--only", nargs="+", default=[], help="contenders by a part of their names, such as echo sluice"
    )
    chosen = parser.parse_args(arguments)
    quick = chosen.quick
    chosen.rounds = chosen.rounds or (2 if quick else 5)
    chosen.seconds = chosen.seconds or (1.0 if quick else 2.0)
    chosen.repeats = (0 if quick else 2) if chosen.repeats is None else chosen.repeats
    chosen.connections = chosen.connections or ([1, 16] if quick else list(FULL))
    return chosen


def _wanted(name: str, only: Sequence[str]) -> bool:
    return not only or any(part.lower() in name.lower() for part in only)


if __name__ == "__main__":
    say("measuring the runtime")
    sys.exit(main())
