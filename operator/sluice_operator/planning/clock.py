"""Timestamps of status: UTC with microseconds on the wire, so that deadlines computed from them are exact."""

from datetime import UTC, datetime


def stamp(now: datetime) -> str:
    """The wire form of a time."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_since(stamped: str, now: datetime) -> float:
    """Seconds from a timestamp of status to `now`; never negative, so that a clock set back only waits longer."""
    return max(0.0, (now - datetime.fromisoformat(stamped)).total_seconds())
