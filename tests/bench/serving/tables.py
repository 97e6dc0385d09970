"""The tables a person reads: a block for each cell, and beside each contender how the runtime compares with it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from rich.table import Table

from bench.serving.messages import Encoding
from bench.serving.samples import Cell, Results, Sample
from bench.serving.spread import ratio
from bench.serving.targets import SLUICE

HEAD = ("", "req/s", "p50 ms", "p99 ms", "CPU us/req", "RSS MiB", "Sluice : this, median [range]")


def cell_table(results: Results, cell: Cell, contenders: Sequence[str]) -> Table:
    """One cell: medians over the rounds, and the ratio of answers a second within rounds."""
    table = Table(*HEAD, title=str(cell), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    rates = results.rounds(cell, lambda sample: sample.rate)
    for name in contenders:
        samples = results.of(cell, name)
        if samples:
            compared = ratio(rates, SLUICE, name) if name != SLUICE else None
            table.add_row(name, *numbers(samples), str(compared) if compared else "")
        elif reason := why_absent(results, cell, name):
            table.add_row(name, *["-"] * 5, reason.splitlines()[0][:60], style="dim")
    return table


def numbers(samples: Iterable[Sample]) -> list[str]:
    """Medians over the rounds as text."""
    rows = list(samples)
    columns = (
        (f"{{:,.{digits}f}}", [getattr(sample, name) for sample in rows])
        for name, digits in (("rate", 0), ("p50", 2), ("p99", 2), ("cpu_us", 0), ("rss_mib", 0))
    )
    return [form.format(statistics.median(values)) for form, values in columns]


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
    """Median share of the server's core that others used during measurements."""
    return statistics.median([sample.foreign for sample in results.samples] or [0.0])


def asked_cells(models: Iterable[str], encodings: Iterable[Encoding], connections: Iterable[int]) -> list[Cell]:
    """Every combination."""
    sizes = tuple(connections)
    kinds = tuple(encodings)
    return [Cell(model, encoding, size) for model in models for encoding in kinds for size in sizes]
