"""Writes under way at once: never more than allowed, and all of them are heard of, however one ends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from threading import Barrier, Event, Lock, current_thread, main_thread
from threading import enumerate as enumerate_threads

import pytest

from sluice_features.sending import send

PATIENCE = 60.0


def test_as_many_as_allowed_are_under_way_and_never_more() -> None:
    together, lock, seen = Barrier(3), Lock(), [0, 0]

    def write(number: int) -> None:
        with lock:
            seen[0] += 1
            seen[1] = max(seen)
        together.wait(PATIENCE)  # breaks where three are never under way
        with lock:
            seen[0] -= 1

    told: list[int] = []
    send(range(12), write, lambda number, error: told.append(number) if error is None else None, 3)
    assert (sorted(told), seen) == (list(range(12)), [0, 3])


def test_one_alone_keeps_their_order() -> None:
    order: list[int] = []
    send(range(5), order.append, lambda number, error: None, 1)
    assert order == list(range(5))


def test_after_a_failure_none_is_begun_and_those_under_way_are_told() -> None:
    failed, begun = Event(), list[int]()

    def write(number: int) -> None:
        begun.append(number)
        if number == 0:
            failed.set()
            raise RuntimeError("zero")
        assert failed.wait(PATIENCE)

    told: dict[int, BaseException | None] = {}

    def ended(number: int, error: BaseException | None) -> None:
        assert current_thread() is main_thread()
        told[number] = error

    with pytest.raises(RuntimeError, match="zero"):
        send(count(), write, ended, 4)  # which would never end
    assert sorted(begun) == sorted(told)
    assert [number for number, error in told.items() if error] == [0]


def test_batches_that_break_off_leave_none_untold() -> None:
    begun = Barrier(4)

    def batches() -> Iterator[int]:
        yield from range(3)
        begun.wait(PATIENCE)
        raise OSError("the disk is full")

    def write(_: int) -> None:
        begun.wait(PATIENCE)

    told: dict[int, BaseException | None] = {}
    with pytest.raises(OSError, match="full"):
        send(batches(), write, told.__setitem__, 8)
    assert told == dict.fromkeys(range(3))


@pytest.mark.parametrize("most", [1, 4])
def test_whoever_stops_does_not_wait_for_a_store_that_hangs(most: int) -> None:
    hangs = Event()

    def write(_: int) -> None:
        if current_thread() is main_thread():
            raise KeyboardInterrupt
        hangs.wait(PATIENCE)

    def batches() -> Iterator[int]:
        yield 0
        yield 1
        raise KeyboardInterrupt

    told: dict[int, BaseException | None] = {}
    with pytest.raises(KeyboardInterrupt):
        send(batches(), write, told.__setitem__, most)
    assert {type(error) for error in told.values()} == {KeyboardInterrupt}
    assert len(told) == min(most, 2)
    assert all(thread.daemon for thread in enumerate_threads() if thread.name == "sluice-write")
    hangs.set()


def test_nothing_to_write_is_nothing_written() -> None:
    send([], lambda _: None, lambda *_: None, 4)
