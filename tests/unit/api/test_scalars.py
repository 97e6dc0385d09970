"""Durations mean the same to the API server's pattern and to the operator's parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_operator.api.scalars import seconds


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("0s", 0.0), ("250ms", 0.25), ("30s", 30.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("720h", 2_592_000.0)],
)
def test_a_duration_has_its_seconds(text: str, wanted: float) -> None:
    assert seconds(text) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["", "30", "s", "1 m", "-1s", "2d", "1h-", "1m30", "\u0661s", "30s\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@given(hours=st.integers(0, 99), minutes=st.integers(0, 59), rest=st.integers(0, 59))
def test_parts_add_up(hours: int, minutes: int, rest: int) -> None:
    assert seconds(f"{hours}h{minutes}m{rest}s") == hours * 3600 + minutes * 60 + rest
