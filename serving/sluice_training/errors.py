"""What training refuses, in one line that says what to change."""

from __future__ import annotations


class TrainingError(Exception):
    """The class, its data or the options are at fault; nothing was written."""


class AwayError(TrainingError):
    """A store, a registry or a source does not answer, or fails: it may go better next time."""
