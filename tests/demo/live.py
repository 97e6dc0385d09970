"""The live table: for each revision its wanted and observed weight, requests, failures and p99."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.live import Live
from rich.table import Table

from support.history import History, Status
from support.load import Load, Request
from support.stats import percentile

WINDOW_SECONDS = 3.0
SECOND = 1000.0


class LiveTable:
    """Renders what load and status know at the moment. `versions` names the version behind each URI."""

    def __init__(self, load: Load, history: History, versions: Mapping[str, str]) -> None:
        self.load, self.history, self.versions = load, history, versions

    def shown(self, console: Console) -> Live:
        """A context in which the table stays on the screen."""
        return Live(get_renderable=self.render, console=console, refresh_per_second=2, transient=True)

    def render(self) -> Table:
        """The table as of now."""
        requests, status = self.load.requests[:], self.history.latest
        recent = within_last(requests, WINDOW_SECONDS)
        table = Table(title=headline(status), title_justify="left", min_width=90)
        for name in ("revision", "version", "wanted", f"observed ({WINDOW_SECONDS:g} s)"):
            table.add_column(name)
        for name in ("requests", "failures", f"p99 ({WINDOW_SECONDS:g} s)"):
            table.add_column(name, justify="right")
        for revision in seen_revisions(requests, status):
            table.add_row(*self.row(revision, requests, recent, status))
        return table

    def row(self, revision: str, requests: list[Request], recent: list[Request], status: Status) -> list[str]:
        """One revision's line; without a revision: requests that none answered."""
        own = [request for request in requests if request.revision == revision]
        lately = [request for request in recent if request.revision == revision]
        failed = sum(request.failed for request in own)
        wanted = wanted_weight(revision, status)
        return [
            revision or "(none answered)",
            self.versions.get(self.history.uris().get(revision, ""), ""),
            "" if wanted is None else f"{wanted} %",
            f"{100 * len(lately) / len(recent):.1f} %" if recent else "",
            f"{len(own)}",
            f"[red]{failed}[/]" if failed else "0",
            f"{percentile([request.latency for request in lately], 99) * SECOND:.1f} ms" if lately else "",
        ]


def within_last(requests: list[Request], seconds: float) -> list[Request]:
    """The requests that ended in the last seconds before the newest."""
    if not requests:
        return []
    since = requests[-1].end - seconds
    return [request for request in requests if request.end >= since]


def seen_revisions(requests: list[Request], status: Status) -> list[str]:
    """Revisions in the order in which they first answered, then the canary that has not yet."""
    found = dict.fromkeys(request.revision for request in requests)
    return list(found | dict.fromkeys(filter(None, [status.get("canary", {}).get("revision")])))


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
