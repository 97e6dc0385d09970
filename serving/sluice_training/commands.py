"""The commands about training, as they join `sluice` through the entry point group `sluice.commands`."""

from __future__ import annotations

from typing import Any


def add(commands: Any) -> None:
    """Add the commands to a parser's subcommands."""
