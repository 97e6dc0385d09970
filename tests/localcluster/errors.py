"""One exception for everything a person can act on: it is printed as a message, never as a traceback."""

from __future__ import annotations


class ClusterError(Exception):
    """Something is missing or failed; the message says what, and where possible what to do."""
