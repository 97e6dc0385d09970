"""`python -m sluice_runtime.resolve` finds out which digest a URI stands for, before any pod serves it.

The operator pins that digest in `status`, so that every later pod refuses anything else.
"""

from __future__ import annotations

import sys

from sluice.config import RuntimeConfig
from sluice.failures import Resolved, write_termination
from sluice.package import Package
from sluice_runtime.step import run_step
from sluice_store.fetching import fetch_package


def resolve(config: RuntimeConfig) -> None:
    """Bring and check the package, and leave what was found in the termination log."""
    leave_word(config, fetch_package(config))


def leave_word(config: RuntimeConfig, package: Package) -> None:
    """Leave a package's digest, name and version in the termination log."""
    manifest = package.manifest
    word = Resolved(digest=package.digest, name=manifest.name, version=manifest.version)
    write_termination(config.termination_log, word)


if __name__ == "__main__":
    sys.exit(run_step(resolve))
