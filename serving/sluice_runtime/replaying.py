"""`python -m sluice_runtime.replaying FOLDER`: load a package as a pod would, and so replay its sample, then end.

A process of its own, because who makes or looks at packages need not have what runs them. The last word goes to
standard output, as a pod's goes to its termination log.
"""

from __future__ import annotations

import os
import sys

from sluice.config import RuntimeConfig
from sluice.failures import Failure, PackageError
from sluice_runtime.logs import setup_logging
from sluice_runtime.runtime import load


def main(folder: str) -> int:
    """Replay. Returns the exit status."""
    setup_logging("error")
    # Whatever the package's code prints is not the last word.
    words, sys.stdout = sys.stdout, sys.stderr
    place = os.path.abspath(folder)
    config = RuntimeConfig(name="replay", uri=f"file://{place}", package_dir=place, environment_file=None)
    try:
        load(config)
    except PackageError as error:
        words.write(Failure(reason=error.reason, message=error.message).model_dump_json())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
