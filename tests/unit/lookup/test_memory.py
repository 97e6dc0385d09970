"""What a pod remembers of the store: rows for a while, and an outage for a shorter one."""

import math

from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.features.cache import Cache
from sluice_runtime.features.circuit import FAILURES_BEFORE_PAUSE, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Circuit
from sluice_runtime.features.rows import Row


def row(value: float) -> Row:
    return Row((value,), (math.inf,), math.inf, known=True, held=(True,))


def test_the_row_that_was_longest_unused_makes_room() -> None:
    cache = Cache(seconds=10, most=2)
    cache.put((1,), row(1), 0.0)
    cache.put((2,), row(2), 0.0)
    assert cache.get((1,), 1.0) == row(1)
    cache.put((3,), row(3), 1.0)
    assert cache.get((2,), 1.0) is None
    assert len(cache) == 2


def test_rows_of_many_values_and_of_long_texts_take_the_room_of_more() -> None:
    cache = Cache(seconds=10, most=100, values=6)
    for number in range(3):
        cache.put((number,), row(0)._replace(values=(1.0, 2.0)), 0.0)
    assert len(cache) == 3
    cache.put((0,), row(0)._replace(values=("x" * 63, "y")), 0.0)
    assert len(cache) == 3, "a row that is put again takes the place that it had"
    cache.put((4,), row(0)._replace(values=("x" * 64, "y")), 0.0)
    assert [key for key in range(5) if cache.get((key,), 1.0)] == [0, 4]
    assert cache.get((0,), 11.0) is None
    cache.put((5,), row(0)._replace(values=(1.0, 2.0, 3.0)), 11.0)
    assert len(cache) == 2
    cache.put((6,), row(0)._replace(values=("x" * 1000,)), 0.0)
    assert len(cache) == 0, "what is larger than all of it is not kept"


def test_nothing_is_remembered_where_nothing_should_be() -> None:
    cache = Cache(seconds=0, most=2)
    cache.put((1,), row(1), 0.0)
    assert len(cache) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.floats(0, 3)), max_size=40))
def test_a_row_is_the_last_that_was_put_and_never_too_old(steps: list[tuple[int, bool, float]]) -> None:
    cache, now, put = Cache(seconds=5, most=3), 0.0, dict[int, tuple[float, float]]()
    for number, (key, writes, passed) in enumerate(steps):
        now += passed
        if writes:
            cache.put((key,), row(number), now)
            put[key] = (number, now)
        elif (found := cache.get((key,), now)) is not None:
            assert found == row(put[key][0])
            assert now - put[key][1] < 5
        assert len(cache) <= 3


def test_one_failure_is_none() -> None:
    circuit = Circuit()
    for _ in range(FAILURES_BEFORE_PAUSE - 1):
        circuit.failed(0.0)
        assert circuit.allows(0.0, under_way=5)
    circuit.answered()
    circuit.failed(0.0)
    assert circuit.closed


def test_one_call_at_a_time_tries_a_store_that_is_away_and_the_pauses_grow() -> None:
    circuit, now, pauses = Circuit(), 0.0, []
    for _ in range(FAILURES_BEFORE_PAUSE):
        circuit.failed(now)
    for _ in range(6):
        began = now
        while not circuit.allows(now, under_way=0):
            now += 0.0625
        pauses.append(now - began)
        assert not circuit.allows(now, under_way=1)
        circuit.failed(now)
    assert pauses == sorted(pauses)
    assert pauses[0] == FIRST_PAUSE_SECONDS
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    circuit.answered()
    assert circuit.allows(now, under_way=1)
