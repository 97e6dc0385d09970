"""The floor: how long `session.run` itself takes, with the runtime's own session settings, on the server's core.

Prints one line of JSON: median and 99th percentile in microseconds, and how many runs that is.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from sluice.package import open_package
from sluice_runtime.examples import example
from sluice_runtime.sessions import Session, load_session
from support.stats import percentile


def measure(session: Session, warm_up: float, seconds: float) -> dict[str, float]:
    """Run one row again and again; the first `warm_up` seconds do not count."""
    inputs = example(session.signature, rows=1)
    names = [spec.name for spec in session.signature.outputs]
    times: list[float] = []
    counts_from = time.perf_counter() + warm_up
    ends = counts_from + seconds
    while (started := time.perf_counter()) < ends:
        session.run(names, inputs)
        if started >= counts_from:
            times.append((time.perf_counter() - started) * 1e6)
    return {"p50_us": percentile(times, 50), "p99_us": percentile(times, 99), "runs": len(times)}


if __name__ == "__main__":
    folder, warm_up, seconds = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    print(json.dumps(measure(load_session(open_package(folder), threads=1, spinning=False), warm_up, seconds)))
