"""The tables a person reads: a block for each cell, and beside each contender how the runtime compares with it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from bench.serving.messages import Encoding
from bench.serving.samples import Cell, Results
from bench.serving.spread import Spread, ratio
from bench.serving.targets import SLUICE

HEAD = ("", "req/s", "p50 ms", "p99 ms", "CPU us", "cores s/l", "RSS MiB", "Sluice : this", "by CPU")
NUMBERS = ("rate", "p50", "p99", "cpu_us", "server_share", "load_share", "rss_mib")
TICK_US = 0.1
"""Less CPU than this for an answer is below what the kernel counts."""


@dataclass(frozen=True)
class Row:
    """One contender in one cell: medians over the rounds (empty when it was not measured), and how often the runtime's
    answers a second, and its answers a second of CPU time, contain its own.
    """

    cell: str
    contender: str
    median: Mapping[str, float]
    by_rate: Spread | None
    by_cpu: Spread | None


def cell_table(results: Results, cell: Cell, contenders: Sequence[str]) -> Table:
    """One cell: medians over the rounds, and the runtime's ratio to each contender within rounds, median [range].

    "cores s/l" is how much of their cores server and load generator used; where the load is near 100 % and the server
    is not, the load was the limit. "by CPU" compares answers a second of the server's own CPU time: what others on the
    machine cannot change.
    """
    table = Table(*HEAD, title=str(cell), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in cell_rows(results, cell, contenders):
        if row.median:
            table.add_row(row.contender, *numbers(row.median), str(row.by_rate or ""), str(row.by_cpu or ""))
        elif reason := why_absent(results, cell, row.contender):
            table.add_row(row.contender, *["-"] * 6, reason.splitlines()[0][:60], style="dim")
    return table


def cell_rows(results: Results, cell: Cell, contenders: Sequence[str]) -> list[Row]:
    """The rows of a cell's table, one for each contender, measured or not."""
    rates = results.rounds(cell, lambda sample: sample.rate)
    efficiencies = results.rounds(cell, lambda sample: 1 / max(sample.cpu_us, TICK_US))
    rows = []
    for name in contenders:
        samples = results.of(cell, name)
        middle = {key: statistics.median(getattr(sample, key) for sample in samples) for key in NUMBERS if samples}
        compared = [ratio(values, SLUICE, name) if name != SLUICE else None for values in (rates, efficiencies)]
        rows.append(Row(str(cell), name, middle, *compared))
    return rows


def numbers(median: Mapping[str, float]) -> list[str]:
    """The medians of a row as text, in the order of the table's columns."""
    return [
        f"{median['rate']:,.0f}",
        f"{median['p50']:.2f}",
        f"{median['p99']:.2f}",
        f"{median['cpu_us']:,.0f}",
        f"{median['server_share']:.0%} {median['load_share']:.0%}",
        f"{median['rss_mib']:.0f}",
    ]


def why_absent(results: Results, cell: Cell, name: str) -> str | None:
    """Why a contender has no numbers in a cell; None where the protocol leaves nothing to offer."""
    keys = ((str(cell), cell.encoding, name), (cell.model, cell.encoding, name))
    reason = next((results.absent[key] for key in keys if key in results.absent), None)
    return None if reason in ("HTTP only", "gRPC only") else reason


def floor_table(results: Results) -> Table:
    """The in-process session's own time for each model."""
    table = Table("model", "session.run p50 ms", title="In-process, one row, one thread", title_justify="left")
    for model in dict.fromkeys(floor.model for floor in results.floors):
        times = [floor.p50 for floor in results.floors if floor.model == model]
        table.add_row(model, f"{statistics.median(times):.3f}")
    return table


def foreign_share(results: Results) -> float:
    """Median over the measurements of what others used of the more disturbed core."""
    return statistics.median([sample.foreign for sample in results.samples] or [0.0])


def asked_cells(models: Iterable[str], encodings: Iterable[Encoding], connections: Iterable[int]) -> list[Cell]:
    """Every combination."""
    sizes = tuple(connections)
    kinds = tuple(encodings)
    return [Cell(model, encoding, size) for model in models for encoding in kinds for size in sizes]
