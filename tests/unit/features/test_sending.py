"""Writes under way at once: never more than allowed, and all of them are heard of, however one ends."""

from __future__ import annotations

from itertools import count
from threading import Barrier, Event, Lock, current_thread, main_thread

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


def test_nothing_to_write_is_nothing_written() -> None:
    send([], lambda _: None, lambda *_: None, 4)
