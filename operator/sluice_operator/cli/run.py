"""The commands, each a few lines over the parts that do the work."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from sluice_operator.api.names import labels
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.cli import ask, draw, validate, watching
from sluice_operator.cli.connection import Connection
from sluice_operator.cli.errors import CommandError
from sluice_operator.cli.picture import history, picture
from sluice_operator.cli.rates import Meter

LOOK_SECONDS = 1.0
"""How long `status` measures."""


def connection(chosen: argparse.Namespace) -> Connection:
    """The cluster and namespace that were named."""
    return Connection(chosen.name, chosen.namespace, chosen.context, chosen.kubeconfig)


def status(chosen: argparse.Namespace) -> int:
    """Show one ModelDeployment."""
    cluster = connection(chosen)
    cluster.get()
    look = Look(cluster)
    look.now()
    time.sleep(LOOK_SECONDS)
    shown = look.now()
    _show(chosen, shown, lambda: draw.draw(shown, datetime.now(UTC)))
    return 0


class Look:
    """Looks at one ModelDeployment, and measures from look to look."""

    def __init__(self, cluster: Connection) -> None:
        self._cluster = cluster
        self._meter = Meter(cluster)

    def now(self) -> dict[str, Any]:
        """The picture of now."""
        found = self._cluster.get()
        selector = ",".join(f"{key}={value}" for key, value in labels(self._cluster.name, "model").items())
        pods = self._cluster.pods(selector)
        rates = self._meter.look(pods, time.time())
        return picture(found, pods, self._cluster.events(), rates, datetime.now(UTC))


def watch(chosen: argparse.Namespace) -> int:
    """Show one ModelDeployment live."""
    return watching.watch(Look(connection(chosen)).now, chosen.interval, chosen.until_settled, chosen.output == "json")


def show_history(chosen: argparse.Namespace) -> int:
    """Show former rollouts."""
    found = connection(chosen).get()
    entries = history(ModelDeploymentStatus.model_validate(found.get("status") or {}))
    _show(chosen, entries, lambda: draw.draw_history(entries))
    return 0


def act(chosen: argparse.Namespace) -> int:
    """Ask for something, and wait for the answer."""
    cluster = connection(chosen)
    revision = ask.acted_on(cluster.get(), chosen.action, getattr(chosen, "to", ""))
    by = chosen.by if chosen.by is not None else cluster.user()
    asked = ask.ask(cluster, chosen.action, revision, getattr(chosen, "full", False), by)
    if chosen.no_wait:
        print(f"asked: {chosen.action} {cluster.name} (request {asked})")
        return 0
    told = ask.answer(cluster, asked, chosen.timeout)
    if told["outcome"] != "Done":
        raise CommandError(f"{chosen.action} {cluster.name} was refused: {told.get('message', '')}")
    print(f"{chosen.action} {cluster.name}: {told.get('message', '')}")
    return 0


def check(chosen: argparse.Namespace) -> int:
    """Check manifests."""
    return validate.run(chosen.sources, as_json=chosen.output == "json")


def _show(chosen: argparse.Namespace, shown: Any, drawn: Callable[[], Any]) -> None:
    if chosen.output == "json":
        json.dump(shown, sys.stdout, indent=2)
        print()
    else:
        Console(highlight=False).print(drawn())


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "status": status,
    "watch": watch,
    "history": show_history,
    "ask": act,
    "validate": check,
}
