"""Pictures as text: what a person sees of a ModelDeployment. Colour and width are the terminal's."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sluice_operator.planning.clock import seconds_since

Json = Mapping[str, Any]

SYMBOLS = {
    "Healthy": ("✔", "green"),
    "Progressing": ("◌", "cyan"),
    "Paused": ("॥", "yellow"),
    "Stalled": ("✖", "red"),
    "NotReady": ("…", "yellow"),
    "Unknown": ("?", "yellow"),
}
VERDICTS = {"Pass": "green", "Fail": "red", "Inconclusive": "yellow", "Error": "yellow"}
STEPS = {"done": ("✔", "green"), "now": ("▶", "bold cyan"), "next": ("·", "dim")}
BAR = 24
"""Characters of the bar that shows a weight."""


def draw(shown: Json, now: datetime) -> Group:
    """The whole picture."""
    parts: list[RenderableType] = [_head(shown)]
    if shown["weight"] or any(step["state"] != "next" for step in shown["steps"]):
        parts += ["", _steps(shown)]
    parts += ["", _revisions(shown, now)]
    if shown["analysis"]:
        parts += ["", *_analysis(shown["analysis"], now)]
    if comparison := shown["comparison"]:
        parts += ["", Text.from_markup(f"[dim]Copies[/]    {escape(comparison['message'])}")]
    parts += _requests(shown["requests"], now)
    parts += _events(shown["events"], now)
    return Group(*parts)


def _head(shown: Json) -> Table:
    symbol, colour = SYMBOLS[shown["health"]]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    reason = "" if shown["reason"] in ("", shown["health"]) else f" ({shown['reason']})"
    table.add_row("Name", Text.from_markup(f"[bold]{shown['name']}[/]  [dim]in[/] {shown['namespace']}"))
    table.add_row("Health", Text(f"{symbol} {shown['health']}{reason}", style=colour))
    table.add_row("", Text(shown["message"]))
    table.add_row("Spec", Text(shown["uri"]))
    if reference := shown["reference"]:
        table.add_row("is", _reference(reference))
    table.add_row("Endpoint", Text(shown["url"]))
    if card := next((row["card"] for row in shown["revisions"] if row["role"] == "stable"), None):
        table.add_row("Card", _card(card))
    if features := shown["features"]:
        table.add_row("Features", _features(features))
    return table


def _card(card: Json) -> Text:
    """What the stable version's model card says, a line each."""
    return Text("\n".join(text if name == "description" else f"{name}: {text}" for name, text in card.items()))


def _features(features: Json) -> Text:
    """How the feature store is filled; timestamps are of equal form, so that they compare as text."""
    success, failure = features.get("lastSuccess"), features.get("lastFailure")
    told = Text(f"written {_day(success)}" if success else "no run has written everything yet")
    if failure and failure > (success or ""):
        told.append(f"; the run of {_day(failure)} failed: {features.get('message', '')}", style="red")
    return told


def _day(stamped: str) -> str:
    return stamped[:16].replace("T", " ")


def _reference(reference: Json) -> Text:
    version = f", version {reference['version']}" if reference["version"] else ""
    told = Text(f"{reference['uri']}{version}; looked at {clock(reference['at'])}")
    if reference["failure"]:
        told.append(f"; the last look failed: {reference['failure']}", style="yellow")
    return told


def _steps(shown: Json) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    walk = Text("  ").join(_step(step) for step in shown["steps"])
    table.add_row("Steps", walk)
    if weight := shown["weight"]:
        filled = round(BAR * weight["verified"] / 100)
        bar = f"[cyan]{'█' * filled}[/][dim]{'░' * (BAR - filled)}[/]"
        wanted = "" if weight["wanted"] == weight["verified"] else f" [yellow](wanted: {weight['wanted']} %)[/]"
        table.add_row("Weight", Text.from_markup(f"{bar} {weight['verified']} % verified on every router{wanted}"))
    if pause := shown["pause"]:
        by = f" by {pause['by']}" if pause.get("by") else ""
        table.add_row("Waits", Text(f"for a person: {_PAUSES[pause['cause']]}{by}, since {clock(pause['since'])}"))
    return table


_PAUSES = {"Step": "a step with a pause", "Request": "paused", "Spec": "spec.rollout.paused"}


def _step(step: Json) -> Text:
    symbol, style = STEPS[step["state"]]
    held = f" {step['heldSeconds']:.0f}s of {step['hold']}" if step["heldSeconds"] is not None else ""
    hold = held or (f" {step['hold']}" if step["hold"] not in ("0s", "") else "")
    return Text(f"{symbol} {step['weight']} %{hold}{' ॥' if step['pause'] else ''}", style=style)


def _revisions(shown: Json, now: datetime) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("REVISION", "ROLE", "WEIGHT", "READY", "VERSION", "REQ/S", "ERRORS", "P50", "P99", "PACKAGE"):
        right = heading in ("WEIGHT", "REQ/S", "ERRORS", "P50", "P99")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "PACKAGE")
    for row in shown["revisions"]:
        style = {"canary": "cyan", "stable": "", "draining": "dim"}[row["role"]]
        table.add_row(*_revision(row), style=style)
        for pod in row["pods"]:
            table.add_row(_pod(pod, f"{shown['name']}-{row['revision']}-", now), style="dim")
    return table


def _revision(row: Json) -> Sequence[str]:
    measured = row["measured"]
    share = f"{row['weight']} %"
    ready = f"{row['readyReplicas']}/{row['replicas']}" if row["role"] != "draining" else f"{len(row['pods'])} left"
    return (
        row["revision"],
        row["role"],
        share,
        ready,
        escape(row["modelVersion"] or "-"),
        *_numbers(measured),
        escape(row["digest"][:19] or "-"),
    )


def _numbers(measured: Json | None) -> Iterable[str]:
    if measured is None:
        return ("-",) * 4
    return (
        f"{measured['requests']:.1f}",
        percent(measured["error_rate"]),
        milliseconds(measured["p50"]),
        milliseconds(measured["p99"]),
    )


def _pod(pod: Json, prefix: str, now: datetime) -> str:
    """A pod, by the part of its name that its revision's name does not say."""
    mark = "✔" if pod["ready"] else "…"
    age = f", {span(seconds_since(pod['since'], now))}" if pod["since"] else ""
    restarts = f", {pod['restarts']} restarts" if pod["restarts"] else ""
    state = "" if pod["ready"] else f" {pod['state']}"
    return escape(f"  └ {mark} {pod['name'].removeprefix(prefix)}{state}{age}{restarts}")


def _analysis(analysis: Json, now: datetime) -> Iterable[RenderableType]:
    limit = f" (limit {analysis['failureLimit']})" if analysis.get("failureLimit") is not None else ""
    counts = f"{analysis['passed']} passed, {analysis['failed']} failed{limit}, {analysis['inconclusive']} inconclusive"
    yield Text.from_markup(f"[dim]Analysis[/]  {counts}")
    for measurement in analysis.get("measurements", []):
        verdict = measurement["verdict"]
        at = clock(measurement["time"])
        line = f"[dim]{at}[/] [{VERDICTS.get(verdict, '')}]{verdict:<12}[/] {escape(measurement.get('message', ''))}"
        yield Text.from_markup(f"  {line} [dim]({measurement['requests']} requests)[/]")


def _requests(requests: Sequence[Json], now: datetime) -> list[RenderableType]:
    if not requests:
        return []
    last = requests[0]
    style = "green" if last["outcome"] == "Done" else "red"
    by = f" by {last['by']}" if last.get("by") else ""
    said = f"[dim]Request[/]   {clock(last['at'])} {escape(last.get('action', ''))}{escape(by)}: "
    return ["", Text.from_markup(f"{said}[{style}]{last['outcome']}[/], {escape(last.get('message', ''))}")]


def _events(events: Sequence[Json], now: datetime) -> list[RenderableType]:
    if not events:
        return []
    lines: list[RenderableType] = ["", Text("Events", style="dim")]
    for event in events:
        style = "red" if event["type"] == "Warning" else ""
        reason = f"[{style}]{event['reason']}[/]" if style else event["reason"]
        lines.append(Text.from_markup(f"  [dim]{clock(event['time'])}[/] {reason}: {escape(event['message'])}"))
    return lines


def draw_history(entries: Sequence[Json]) -> RenderableType:
    """Former rollouts as a table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("REVISION", "OUTCOME", "FINISHED", "TOOK", "VERSION", "BY", "REASON", "PACKAGE"):
        table.add_column(heading, no_wrap=heading in ("REVISION", "OUTCOME", "FINISHED"))
    for entry in entries:
        style = {"Promoted": "green", "RolledBack": "red"}.get(entry["outcome"], "dim")
        reason = ": ".join(part for part in (entry.get("reason"), entry.get("message")) if part)
        table.add_row(
            entry["revision"] + (" *" if entry["stable"] else ""),
            Text(entry["outcome"], style=style),
            entry["finishedAt"][:19].replace("T", " "),
            _took(entry),
            escape(entry.get("modelVersion") or "-"),
            escape(entry.get("requestedBy") or "-"),
            escape(reason or "-"),
            escape(f"{entry['uri']} {entry.get('digest', '')[:19]}"),
        )
    return Group(table, Text("* stable now; `sluice rollback NAME --to REVISION` goes back", style="dim"))


def _took(entry: Json) -> str:
    if not entry.get("startedAt"):
        return "-"
    return span(seconds_since(entry["startedAt"], datetime.fromisoformat(entry["finishedAt"])))


def line(shown: Json) -> str:
    """The picture in one line, for a log: whatever of it changes is worth a new line."""
    weight = shown["weight"]
    now = next((index for index, step in enumerate(shown["steps"], 1) if step["state"] == "now"), None)
    walk = len(shown["steps"]) - 1
    step = f"step {min(now, walk)}/{walk}" if now and walk else ""
    pods = " ".join(f"{r['role']}={r['revision']}({r['readyReplicas']}/{r['replicas']})" for r in shown["revisions"])
    verdicts = shown["analysis"] or {}
    counts = f"verdicts={verdicts['passed']}+{verdicts['failed']}-{verdicts['inconclusive']}?" if verdicts else ""
    share = f"weight={weight['verified']}%" if weight else ""
    return " ".join(part for part in (shown["health"], shown["reason"], share, step, pods, counts) if part)


def percent(fraction: float | None) -> str:
    """A fraction as percent."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds."""
    return "-" if seconds is None else f"{1000 * seconds:.1f} ms"


def span(seconds: float) -> str:
    """A time span in its largest two units."""
    for unit, size, below in (("d", 86400, "h"), ("h", 3600, "m"), ("m", 60, "s")):
        if seconds >= size:
            smaller = {"h": 3600, "m": 60, "s": 1}[below]
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)}{unit}" + (f"{rest}{below}" if rest else "")
    return f"{int(seconds)}s"


def clock(stamped: str) -> str:
    """The time of day of a timestamp, UTC."""
    return stamped[11:19] if len(stamped) >= 19 else stamped
