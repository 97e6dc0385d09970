"""How commands that need more libraries than `sluice` itself join it: parsing brings none of them, running does."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable

from sluice.telling import fault


def command_of(module: str, needed: str) -> Callable[[argparse.Namespace], int]:
    """What runs a parsed command: `run` of the module, imported only then; without its libraries `needed` is said.

    It returns the exit status.
    """

    def call(chosen: argparse.Namespace) -> int:
        try:
            run = importlib.import_module(module).run
        except ModuleNotFoundError as error:
            return fault(f"{needed} ({error})")
        return int(run(chosen))

    return call
