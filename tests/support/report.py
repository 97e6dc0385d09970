"""Reports under build/: claims that a number proves or disproves, with the details beside them.

One form for every report, so that a person and a pipeline read all of them alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

BUILD = Path(__file__).resolve().parents[2] / "build"


@dataclass(frozen=True)
class Claim:
    """One statement, what it wants, what was measured, and whether it holds. Values are JSON or text."""

    claim: str
    wanted: Any
    measured: Any
    holds: bool


@dataclass
class Report:
    """Claims and details of one run; `path` is below build/."""

    path: str
    claims: list[Claim] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def at_most(self, claim: str, limit: float, measured: float | None, unit: str = "") -> None:
        """Claim that a number does not exceed a limit; a number that could not be measured disproves it."""
        self._compare(claim, f"<= {limit:g}", measured, unit, measured is not None and measured <= limit)

    def at_least(self, claim: str, limit: float, measured: float | None, unit: str = "") -> None:
        """Claim that a number reaches a limit."""
        self._compare(claim, f">= {limit:g}", measured, unit, measured is not None and measured >= limit)

    def equal(self, claim: str, wanted: object, measured: object) -> None:
        """Claim that two values are the same."""
        self.claims.append(Claim(claim, wanted, measured, wanted == measured))

    def within(self, claim: str, low: float, high: float, measured: float) -> None:
        """Claim that a number lies in a closed interval."""
        wanted = f"{low:.4g} .. {high:.4g}"
        self.claims.append(Claim(claim, wanted, round(measured, 4), low <= measured <= high))

    def _compare(self, claim: str, wanted: str, measured: float | None, unit: str, holds: bool) -> None:
        value = None if measured is None else round(measured, 4)
        self.claims.append(Claim(claim, f"{wanted} {unit}".strip(), value, holds))

    @property
    def broken(self) -> list[Claim]:
        """Claims that do not hold."""
        return [claim for claim in self.claims if not claim.holds]

    def write(self) -> Path:
        """Write the report as JSON and return where it lies."""
        target = BUILD / self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        document = {"claims": [asdict(claim) for claim in self.claims], **self.details}
        target.write_text(json.dumps(document, indent=2, default=str) + "\n")
        return target

    def conclude(self, console: Console | None = None) -> int:
        """Write the report, print its claims, and return the exit code: 0 only if there are claims and all hold."""
        console, target = console or Console(), self.write()
        console.print(claims_table(self.claims))
        console.print(f"{len(self.claims) - len(self.broken)} of {len(self.claims)} claims hold: {target}")
        return 1 if self.broken or not self.claims else 0


def claims_table(claims: Iterable[Claim]) -> Table:
    """The claims for a terminal."""
    table = Table("", "claim", "wanted", "measured", title="Claims", title_justify="left", expand=False)
    for claim in claims:
        mark = "[green]holds[/]" if claim.holds else "[bold red]BROKEN[/]"
        table.add_row(mark, claim.claim, str(claim.wanted), str(claim.measured))
    return table
