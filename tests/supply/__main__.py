"""The command line: `python -m supply [KIND...]` writes build/sbom/KIND.json."""

from __future__ import annotations

import sys

from localcluster.errors import ClusterError
from localcluster.progress import say
from supply.sbom import KINDS, write

if __name__ == "__main__":
    try:
        for kind in sys.argv[1:] or KINDS:
            print(write(kind))
    except ClusterError as problem:
        say(f"error: {problem}")
        sys.exit(1)
