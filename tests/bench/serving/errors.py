"""One exception for what ends a measurement: it is shown in the table, never swallowed."""

from __future__ import annotations


class BenchError(Exception):
    """A contender did not start, did not answer rightly, or a load did not run; the message says which and why."""
