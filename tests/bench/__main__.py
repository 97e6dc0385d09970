"""`python -m bench [PART ...]`: every benchmark, one after another, so that none disturbs another's numbers."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

PARTS = {
    "access": "bench.access",
    "analysis": "bench.analysis",
    "authorizer": "bench.authorizer",
    "contract": "bench.contract",
    "features": "bench.features",
    "operator": "bench.operator",
    "serving": "bench.serving.__main__",
    "overload": "bench.overload",
    "soak": "bench.soak",
}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], metavar="PART", help=", ".join(PARTS))
    chosen = parser.parse_args(words).parts or list(PARTS)
    codes = {part: int(importlib.import_module(PARTS[part]).main([])) for part in chosen}
    return max(codes.values())


if __name__ == "__main__":
    sys.exit(main())
