"""The live view: redrawn in place on a terminal, a line for each change anywhere else."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.live import Live

from sluice_operator.cli import draw
from sluice_operator.cli.errors import CommandError

Look = Callable[[], dict[str, Any]]

PATIENCE_SECONDS = 60.0
"""How long the cluster may be away before the view gives up."""


def watch(look: Look, interval: float, until_settled: bool, as_json: bool) -> int:
    """Look again and again. The exit status is 1 where it settled without the version in the spec being promoted."""
    console = Console(highlight=False)
    patient = Patient(look, interval)
    if console.is_terminal and not as_json:
        return _live(patient, interval, until_settled, console)
    last = ""
    while True:
        shown = patient.look()
        told = json.dumps(_lasting(shown)) if as_json else draw.line(shown)
        if told != last:
            stamped = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            print(json.dumps(shown) if as_json else f"{stamped} {told}", flush=True)
            last = told
        if until_settled and settled(shown):
            return int(not promoted(shown))
        time.sleep(interval)


def _live(patient: "Patient", interval: float, until_settled: bool, console: Console) -> int:
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            shown = patient.look()
            live.update(draw.draw(shown, datetime.now(UTC)), refresh=True)
            if until_settled and settled(shown):
                return int(not promoted(shown))
            time.sleep(interval)


class Patient:
    """Looks that outlive an API server that is away for a while; what is wrong for good ends them at once."""

    def __init__(self, look: Look, interval: float) -> None:
        self._look = look
        self._interval = interval
        self._seen = False

    def look(self) -> dict[str, Any]:
        """The next picture."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                shown = self._look()
            except CommandError:
                if not self._seen or time.monotonic() > end:
                    raise
                time.sleep(self._interval)
            else:
                self._seen = True
                return shown


def settled(shown: dict[str, Any]) -> bool:
    """Whether nothing is under way."""
    return shown["health"] not in ("Progressing", "Paused", "Unknown", "NotReady")


def promoted(shown: dict[str, Any]) -> bool:
    """Whether the version in the spec carries everything."""
    return any(c["type"] == "Promoted" and c["status"] == "True" for c in shown["conditions"])


def _lasting(shown: dict[str, Any]) -> dict[str, Any]:
    """What is news when it changes: not how long something lasts, nor what is measured every second."""
    steps = [{key: value for key, value in step.items() if key != "heldSeconds"} for step in shown["steps"]]
    revisions = [{key: value for key, value in row.items() if key != "measured"} for row in shown["revisions"]]
    return {**shown, "steps": steps, "revisions": revisions}
