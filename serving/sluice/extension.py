"""How commands that need more libraries than `sluice` itself join it: parsing brings none of them, running does."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable


def command_of(module: str, needed: str) -> Callable[[argparse.Namespace], int]:
    """What runs a parsed command: `run` of the module, imported only then; without its libraries `needed` is said.

    It returns the exit status.
    """

    def call(chosen: argparse.Namespace) -> int:
        try:
            run = importlib.import_module(module).run
        except ModuleNotFoundError as error:
            print(f"sluice: {needed} ({error})", file=sys.stderr)  # noqa: T201
            return 1
        return int(run(chosen))

    return call
