"""What a download says of itself."""

import logging

import pytest

from sluice_store.progress import Progress, share, size


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (10**9, "1.0 GB"), (10**16, "10000.0 TB")],
)
def test_sizes_are_written_as_people_read_them(count: int, text: str) -> None:
    assert size(count) == text


def test_a_share_needs_a_whole() -> None:
    assert share(250_000_000, 10**9) == "250.0 MB of 1.0 GB (25 %)"
    assert share(250_000_000, None) == "250.0 MB"


def test_it_speaks_every_few_seconds_of_what_came_since(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = iter([0.0, 1.0, 5.0, 6.0, 11.0, 12.0])
    progress = Progress("s3://b/k", lambda: next(now))
    for received in (10**6, 2 * 10**6, 11 * 10**6, 12 * 10**6, 23 * 10**6):
        progress.at(received, 10**8)
    progress.done(10**8)
    assert caplog.messages == [
        "s3://b/k: 11.0 MB of 100.0 MB (11 %), 2.0 MB/s",
        "s3://b/k: 23.0 MB of 100.0 MB (23 %), 2.0 MB/s",
        "s3://b/k: all 100.0 MB are here after 12.0 s",
    ]
