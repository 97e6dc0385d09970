"""What was measured: one sample for each contender, cell and round, and how rounds are put beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bench.serving.messages import Encoding

DISTURBED = 0.1
"""Share of a core. Where others use more, numbers tell of them as much as of the contenders."""

SESSION = "session.run"
"""The name under which the in-process session's own time stands beside the contenders."""


@dataclass(frozen=True, order=True)
class Cell:
    """One question: a model, how tensors travel, and how many connections (gRPC: streams) ask at once."""

    model: str
    encoding: Encoding
    connections: int

    def __str__(self) -> str:
        unit = "stream" if self.encoding is Encoding.GRPC else "connection"
        return f"{self.model}, {self.encoding.value}, {self.connections} {unit}{'s' * (self.connections > 1)}"


@dataclass(frozen=True)
class Sample:
    """One contender in one round of a cell.

    `rate` in answers a second, `p50` and `p99` in ms, `cpu_us` microseconds of the server's CPU an answer, `rss_mib`
    after the load. Shares of a core, 0 to 1: `server_share` of its own that the server used, `load_share` of the other
    that the load generator used, `foreign` of the more disturbed of the two that others used meanwhile. Where the
    load's share nears 1 and the server's does not, the load generator was the limit.
    """

    cell: Cell
    contender: str
    round: int
    rate: float
    p50: float
    p99: float
    cpu_us: float
    rss_mib: float
    server_share: float
    load_share: float
    foreign: float


@dataclass(frozen=True)
class Floor:
    """The in-process session in one round: milliseconds a run."""

    model: str
    round: int
    p50: float
    p99: float


@dataclass
class Results:
    """All samples of a run, and why what is missing is missing."""

    samples: list[Sample] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)
    absent: dict[tuple[str, Encoding, str], str] = field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """Every cell that has a sample, in order."""
        return sorted({sample.cell for sample in self.samples})

    def of(self, cell: Cell, contender: str) -> list[Sample]:
        """The samples of one contender in one cell, a round each."""
        return [sample for sample in self.samples if sample.cell == cell and sample.contender == contender]

    def rounds(self, cell: Cell, value: Callable[[Sample], float]) -> list[dict[str, float]]:
        """For each round, one value of every contender in a cell."""
        found: dict[int, dict[str, float]] = {}
        for sample in self.samples:
            if sample.cell == cell:
                found.setdefault(sample.round, {})[sample.contender] = value(sample)
        return list(found.values())

    def latencies(self, cell: Cell) -> list[dict[str, float]]:
        """For each round, the p50 in ms of every contender in a cell, with the session's own beside them."""
        found: dict[int, dict[str, float]] = {}
        for sample in self.samples:
            if sample.cell == cell:
                found.setdefault(sample.round, {})[sample.contender] = sample.p50
        for floor in self.floors:
            if floor.model == cell.model and floor.round in found:
                found[floor.round][SESSION] = floor.p50
        return list(found.values())

    def merge(self, others: Iterable[Results]) -> None:
        """Take over what other results hold."""
        for other in others:
            self.samples += other.samples
            self.floors += other.floors
            self.absent |= other.absent
