"""An API server that struggles is left alone, and never for good."""

from hypothesis import given
from hypothesis import strategies as st

from sluice_authorizer.apiserver import Pause


def test_a_single_failure_is_forgiven():
    pause = Pause()
    for now in (0.0, 1.0):
        pause.failed(now)
        assert pause.over(now)
    pause.answered()
    pause.failed(2.0)
    assert pause.over(2.0)


def test_it_is_left_alone_for_longer_with_each_failure_but_never_for_long():
    pause, now, waits = Pause(), 0.0, []
    for _ in range(12):
        pause.failed(now)
        start = now
        while not pause.over(now):
            now += 0.0625
        waits.append(now - start)
    assert waits[:2] == [0.0, 0.0]
    assert waits == sorted(waits)
    assert 4.9 < waits[-1] < 5.1


def test_it_may_ask_for_peace_itself():
    pause = Pause()
    pause.failed(0.0, wanted=3.0)
    assert not pause.over(2.9)
    assert pause.over(3.0)
    pause.failed(3.0, wanted=86_400.0)
    assert pause.over(8.0)


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.booleans()), max_size=50))
def test_it_is_never_left_alone_for_good(events):
    pause, now = Pause(), 0.0
    for step, well in events:
        now += step
        if pause.over(now):
            pause.answered() if well else pause.failed(now)
    assert pause.over(now + 5.1)
