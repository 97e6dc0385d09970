"""Whether the images can be built for both kinds of machine: every locked dependency has a wheel for each.

Nothing is downloaded but what the index says of the wheels. `python -m supply.locks` is `make lock-check`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from integrations.environments import uv
from localcluster import layout
from localcluster.errors import ClusterError
from localcluster.shell import run

LOCKS = tuple(
    layout.REPO / lock
    for lock in (
        "operator/requirements.lock",
        *(f"serving/requirements{variant}.lock" for variant in ("", "-gpu", "-tools")),
    )
)
# Of the images' base, Debian bookworm: glibc 2.36 and Python 3.11.
MACHINES = {"amd64": "x86_64-manylinux_2_36", "arm64": "aarch64-manylinux_2_36"}
PYTHON = "3.11"
NOWHERE = "/nonexistent"


def check(lock: Path, platform: str) -> None:
    """Raises ClusterError, in the resolver's words, where a dependency has no wheel of the locked hashes for it."""
    wheels = ("--only-binary=:all:", "--require-hashes", f"--python-platform={platform}", f"--python-version={PYTHON}")
    run(uv(), "pip", "install", "--quiet", "--dry-run", f"--target={NOWHERE}", *wheels, "--requirements", lock)


def main() -> int:
    """Check all of them; the exit status is 1 where one cannot be had."""
    try:
        for lock in LOCKS:
            for machine, platform in MACHINES.items():
                check(lock, platform)
                print(f"{lock.relative_to(layout.REPO)}: every dependency has a wheel for {machine}")
    except ClusterError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
