"""The live table: for each revision its wanted and observed weight, requests, failures and p99."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

from rich.console import Console
from rich.live import Live
from rich.table import Table

from support.history import History, Status
from support.load import Load, Request
from support.stats import percentile

WINDOW_SECONDS = 3.0
MILLISECONDS = 1000.0


@dataclass
class Total:
    """Requests that a revision answered since the load began."""

    requests: int = 0
    failures: int = 0


class LiveTable:
    """Renders what load and status know at the moment. `versions` names the version behind each URI.

    Each request is looked at once: the table must not take the processor away from what it shows.
    """

    def __init__(self, load: Load, history: History, versions: Mapping[str, str]) -> None:
        self.load, self.history, self.versions = load, history, versions
        self.counted = 0
        self.totals: dict[str, Total] = {}

    def shown(self, console: Console) -> Live:
        """A context in which the table stays on the screen."""
        return Live(get_renderable=self.render, console=console, refresh_per_second=2, transient=True)

    def render(self) -> Table:
        """The table as of now."""
        self.count()
        status, uris = self.history.latest, self.history.uris()
        recent = within_last(self.load.requests, WINDOW_SECONDS)
        table = Table(title=headline(status), title_justify="left", min_width=90)
        for name in ("revision", "version", "wanted", f"observed ({WINDOW_SECONDS:g} s)"):
            table.add_column(name)
        for name in ("requests", "failures", f"p99 ({WINDOW_SECONDS:g} s)"):
            table.add_column(name, justify="right")
        canary = status.get("canary", {}).get("revision")
        for revision in dict.fromkeys([*self.totals, *([canary] if canary else [])]):
            version = self.versions.get(uris.get(revision, ""), "")
            table.add_row(*self.row(revision, version, recent, status))
        return table

    def count(self) -> None:
        """Bring the totals up to date."""
        news = self.load.requests[self.counted :]
        self.counted += len(news)
        for request in news:
            total = self.totals.setdefault(request.revision, Total())
            total.requests += 1
            total.failures += request.failed

    def row(self, revision: str, version: str, recent: list[Request], status: Status) -> list[str]:
        """One revision's line; without a revision: requests that none answered."""
        total = self.totals.get(revision, Total())
        lately = [request.latency for request in recent if request.revision == revision]
        wanted = wanted_weight(revision, status)
        return [
            revision or "(none answered)",
            version,
            "" if wanted is None else f"{wanted} %",
            f"{100 * len(lately) / len(recent):.1f} %" if recent else "",
            f"{total.requests}",
            f"[red]{total.failures}[/]" if total.failures else "0",
            f"{percentile(lately, 99) * MILLISECONDS:.1f} ms" if lately else "",
        ]


def within_last(requests: list[Request], seconds: float) -> list[Request]:
    """The requests that ended in the last seconds before the newest, newest first."""
    newest_first = reversed(requests)
    since = requests[-1].end - seconds if requests else 0.0
    return list(takewhile(lambda request: request.end >= since, newest_first))


def wanted_weight(revision: str, status: Status) -> int | None:
    """Percent of the requests that status wants a revision to get; None for one that is no part of it."""
    weight = int(status.get("rollout", {}).get("weight", 0))
    if revision == status.get("canary", {}).get("revision"):
        return weight
    return 100 - weight if revision == status.get("stable", {}).get("revision") else None


def headline(status: Status) -> str:
    """What status says of the rollout."""
    rollout = status.get("rollout")
    walk = f"{rollout['phase']}, step {status.get('step') or '-'}" if rollout else "no rollout under way"
    return f"{walk}   reason: {status.get('reason') or '-'}"
