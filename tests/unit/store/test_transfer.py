"""A file over a line that breaks, by a store that follows a script."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice_store.transfer import PROGRESS_BYTES, ChangedError, Part, Transfer, TransientError, patiently

FILE = bytes(range(256)) * 2048  # 512 KiB
KIB = 1024
Answer = Callable[[int, str | None], Iterator[Part]]


class Scripted:
    """A store that answers each request as the script says, and keeps to its last line for all others."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.asked: list[tuple[int, str | None]] = []

    @contextmanager
    def open(self, offset: int, validator: str | None) -> Iterator[Part]:
        self.asked.append((offset, validator))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        yield from answer(offset, validator)


def chunks(content: bytes, cut: str | None = None, size: int = 16 * KIB) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
    if cut is not None:
        raise TransientError(cut)


def gives(
    upto: int | None = None, content: bytes = FILE, validator: str | None = "v1", ranges: bool = True
) -> Callable[[int, str | None], Iterator[Part]]:
    """Everything from the offset on, or only up to a byte; without ranges always from the start."""

    def answer(offset: int, _: str | None) -> Iterator[Part]:
        start = offset if ranges else 0
        cut = None if upto is None else "cut"
        yield Part(chunks(content[start:upto], cut), start, len(content), validator)

    return answer


def fails(error: Exception) -> Answer:
    def answer(_: int, __: str | None) -> Iterator[Part]:
        raise error
        yield

    return answer


def transfer(store: Scripted, waits: list[float] | None = None, **changes: object) -> Transfer:
    settings: dict[str, object] = {
        "max_bytes": 10**6,
        "fetching": Fetching(attempts=3, resumes=5),
        "sleep": (waits if waits is not None else []).append,
        "clock": lambda: 0.0,
    }
    return Transfer("s3://b/k", store.open, **{**settings, **changes})  # type: ignore[arg-type]


def reason_of(store: Scripted, tmp_path: Path, waits: list[float] | None = None, **changes: object) -> Reason:
    with pytest.raises(PackageError) as caught:
        transfer(store, waits, **changes).save(tmp_path / "x")
    assert ";" in caught.value.message, "it says what to change"
    return caught.value.reason


def test_it_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    store = Scripted(gives(200 * KIB), fails(TransientError("restarting")), gives(400 * KIB), gives())
    assert transfer(store).save(tmp_path / "x") == len(FILE)
    assert (tmp_path / "x").read_bytes() == FILE
    assert store.asked == [(0, None), (200 * KIB, "v1"), (200 * KIB, "v1"), (400 * KIB, "v1")]


def test_a_cut_after_the_last_byte_asks_for_nothing_more(tmp_path: Path) -> None:
    store = Scripted(gives(len(FILE)), fails(AssertionError("asked again")))
    assert transfer(store).save(tmp_path / "x") == len(FILE)


def test_an_answer_that_ends_early_without_a_cut_is_gone_on_with(tmp_path: Path) -> None:
    def short(offset: int, _: str | None) -> Iterator[Part]:
        yield Part([FILE[:100]], 0, len(FILE), "v1")

    store = Scripted(short, gives())
    transfer(store).save(tmp_path / "x")
    assert store.asked[1] == (100, "v1")
    assert (tmp_path / "x").read_bytes() == FILE


@pytest.mark.parametrize("kept", [{"ranges": False}, {"validator": None}])
def test_a_store_that_cannot_go_on_or_cannot_say_what_it_is_is_read_from_the_start(
    kept: dict[str, object], tmp_path: Path
) -> None:
    store = Scripted(gives(200 * KIB, **kept), gives(**kept))  # type: ignore[arg-type]
    transfer(store, sha256=hashlib.sha256(FILE).hexdigest()).save(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == FILE


@pytest.mark.parametrize(
    "changed",
    [
        gives(content=FILE[::-1], validator="v2"),
        gives(content=FILE + b"!", validator="v1"),
        fails(ChangedError("precondition failed")),
    ],
)
def test_a_file_that_changed_is_read_from_the_start_once(changed: Answer, tmp_path: Path) -> None:
    new = FILE[::-1] + b"?"
    store = Scripted(gives(200 * KIB), changed, gives(content=new, validator="v3"))
    assert transfer(store).save(tmp_path / "x") == len(new)
    assert (tmp_path / "x").read_bytes() == new, "nothing of the old file is left"
    assert store.asked[-1] == (0, None)


def test_a_file_that_goes_on_changing_is_refused(tmp_path: Path) -> None:
    script = [gives(200 * KIB, validator=f"v{number}") for number in range(9)]
    assert reason_of(Scripted(*script), tmp_path) is Reason.SOURCE_CHANGED


def test_attempts_are_counted_from_the_last_progress(tmp_path: Path) -> None:
    waits: list[float] = []
    script = [gives(number * PROGRESS_BYTES) for number in range(1, 8)]
    transfer(Scripted(*script, gives()), waits).save(tmp_path / "x")
    assert waits == [0.5] * 7


def test_more_attempts_are_made_once_something_came(tmp_path: Path) -> None:
    waits: list[float] = []
    store = Scripted(gives(100 * KIB), fails(TransientError("down")))
    assert reason_of(store, tmp_path, waits, fetching=Fetching(attempts=3, resumes=8)) is Reason.SOURCE_UNREACHABLE
    assert waits == [0.5, 1, 2, 4, 8, 10, 10]


def test_a_store_that_never_answered_is_given_up_sooner(tmp_path: Path) -> None:
    waits: list[float] = []
    assert reason_of(Scripted(fails(TransientError("down"))), tmp_path, waits) is Reason.SOURCE_UNREACHABLE
    assert waits == [0.5, 1]


def test_a_few_bytes_at_a_time_are_no_progress(tmp_path: Path) -> None:
    store = Scripted(*(gives(number * 100) for number in range(1, 50)))
    assert reason_of(store, tmp_path) is Reason.SOURCE_UNREACHABLE
    assert len(store.asked) == 3


def test_the_servers_own_wish_to_wait_is_heeded_within_reason(tmp_path: Path) -> None:
    waits: list[float] = []
    script = [fails(TransientError("busy", after)) for after in (7.0, 3600.0)]
    transfer(Scripted(*script, gives()), waits).save(tmp_path / "x")
    assert waits == [7, 60]


def test_a_line_that_drips_is_not_waited_for(tmp_path: Path) -> None:
    now = iter(range(10**6))

    def drips(offset: int, _: str | None) -> Iterator[Part]:
        yield Part((b"x" for _ in range(10**5)), offset, 10**5, "v1")

    store = Scripted(drips)
    assert reason_of(store, tmp_path, clock=lambda: float(next(now))) is Reason.SOURCE_UNREACHABLE
    assert len(store.asked) < 10


@pytest.mark.parametrize("total", [None, 10**6])
def test_more_than_is_allowed_is_refused(total: int | None, tmp_path: Path) -> None:
    def endless(_: int, __: str | None) -> Iterator[Part]:
        yield Part((bytes(KIB) for _ in range(10**9)), 0, total, None)

    assert reason_of(Scripted(endless), tmp_path, max_bytes=10**5) is Reason.PACKAGE_TOO_LARGE
    assert (tmp_path / "x").stat().st_size <= 10**5


def test_another_digest_is_refused(tmp_path: Path) -> None:
    assert reason_of(Scripted(gives()), tmp_path, sha256="0" * 64) is Reason.DIGEST_MISMATCH


def test_an_answer_that_begins_elsewhere_is_not_written(tmp_path: Path) -> None:
    def elsewhere(offset: int, _: str | None) -> Iterator[Part]:
        yield Part([FILE[7:]], offset + 7, len(FILE), "v1")

    store = Scripted(gives(200 * KIB), elsewhere, gives())
    transfer(store).save(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == FILE


@given(
    cuts=st.lists(st.integers(0, len(FILE)), max_size=12),
    ranges=st.booleans(),
    validator=st.sampled_from(["v1", None]),
)
def test_however_it_is_cut_what_arrives_is_the_file(
    cuts: list[int], ranges: bool, validator: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = [gives(cut, validator=validator, ranges=ranges) for cut in cuts]
    patient = Fetching(attempts=99, resumes=99)
    target = tmp_path_factory.mktemp("cut") / "x"
    transfer(Scripted(*script, gives(validator=validator, ranges=ranges)), fetching=patient).save(target)
    assert target.read_bytes() == FILE


def test_a_small_request_is_tried_again() -> None:
    waits: list[float] = []
    failures = [TransientError("503"), TransientError("503", 3.0)]

    def work() -> str:
        if failures:
            raise failures.pop(0)
        return "yes"

    assert patiently("x", work, Fetching(attempts=3), waits.append) == "yes"
    assert waits == [0.5, 3]
