"""The model pod's first step: `python -m sluice_runtime.fetch` downloads and verifies the package, then ends."""

from __future__ import annotations

import sys

from sluice.config import RuntimeConfig
from sluice_runtime.resolve import leave_word
from sluice_runtime.step import run_step
from sluice_store.fetching import fetch_package


def fetch(config: RuntimeConfig) -> None:
    """Bring the package to `config.package_dir`, and say what it calls itself: a spec with a digest is not resolved."""
    leave_word(config, fetch_package(config))


if __name__ == "__main__":
    sys.exit(run_step(fetch))
