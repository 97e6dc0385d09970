"""What training refuses, in one line that says what to change."""

from __future__ import annotations


class TrainingError(Exception):
    """The class, its data or the options are at fault; nothing was written."""
