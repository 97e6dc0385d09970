"""`python -m sluice_authorizer.rule_process`: evaluates rules, one line in, one line out, until its input ends.

The system ends it where a rule takes too much: what a rule does inside of the library nothing else can stop.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from typing import BinaryIO

from sluice_authorizer.rules import judge

CPU_SECONDS = 0.25
"""For one rule. Time of the processor, so that a busy machine refuses nobody."""

MEMORY_BYTES = 96 * 1024**2
"""Of addresses, of which Python and the library have taken about 30 MiB."""


def limit() -> None:
    """Take from this process what a rule must not have."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Not Python's to handle, which would wait for the library: the system ends the process.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def serve(lines: BinaryIO, answers: BinaryIO) -> None:
    """Answer each question with why the rule does not hold, which is empty where it does."""
    for line in lines:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        refused = judge(*json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        answers.write(json.dumps(refused.text if refused else "").encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    limit()
    # As they come: a line may be read as a whole only.
    serve(sys.stdin.buffer, sys.stdout.buffer)
