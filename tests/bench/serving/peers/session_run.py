"""The floor: how long `session.run` itself takes on the server's core, with the settings all contenders share.

`python -m ... INPUT.npy WARM_UP SECONDS` prints one line of JSON: median and 99th percentile in microseconds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from bench.serving.peers.session import open_session, output_names
from support.stats import percentile


def measure(session: Any, tensor: Any, warm_up: float, seconds: float) -> dict[str, float]:
    """Run one input again and again; the first `warm_up` seconds do not count."""
    names, inputs = output_names(session), {session.get_inputs()[0].name: tensor}
    times: list[float] = []
    counts_from = time.perf_counter() + warm_up
    ends = counts_from + seconds
    while (started := time.perf_counter()) < ends:
        session.run(names, inputs)
        if started >= counts_from:
            times.append((time.perf_counter() - started) * 1e6)
    return {"p50_us": percentile(times, 50), "p99_us": percentile(times, 99), "runs": len(times)}


if __name__ == "__main__":
    print(json.dumps(measure(open_session(), np.load(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))))
