"""Durations as people write them in `features.yaml`: days, too, which a feature's age is counted in."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
LONGEST = timedelta(days=36525)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")


def parse_duration(text: Any) -> Any:
    """`7d`, `12h`, `1h30m`, `90s` as a timedelta; days have 24 hours."""
    if isinstance(text, timedelta):
        return text
    # A number of what? `maxAge: 7` would be seconds, and every row too old.
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write 7d, 12h, 1h30m or 90s")
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than a hundred years")
    return timedelta(seconds=seconds)


def _positive(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise ValueError("a duration is more than 0")
    return duration


Duration = Annotated[timedelta, BeforeValidator(parse_duration), AfterValidator(_positive)]
"""More than 0."""
