"""Timestamps of status: UTC with microseconds on the wire, so that deadlines computed from them are exact."""

from datetime import UTC, datetime


def stamp(now: datetime) -> str:
    """The wire form of a time."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_since(stamped: str, now: datetime) -> float:
    """Seconds from a timestamp of status to `now`; never negative, so that a clock set back only waits longer."""
    return max(0.0, (now - datetime.fromisoformat(stamped)).total_seconds())


def seconds_left(stamped: str, now: datetime, span: float) -> float:
    """Seconds until `span` has passed since a timestamp of status; 0 or less where it has.

    None are left either where the timestamp lies further ahead than the span: the clock was wrong when it was written
    and has been set right since, and waiting for it might take years. So nothing is waited for longer than two spans.
    """
    passed = (now - datetime.fromisoformat(stamped)).total_seconds()
    return span - passed if passed >= -span else 0.0
