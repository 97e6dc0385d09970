"""A run that holds the loop is ended, and no other."""

import threading

from sluice_runtime.guard import PATIENCE_SECONDS, LoopGuard


class Stopping:
    """Notes when it is stopped and resumed."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.resumed = 0

    def stop(self) -> None:
        self.stopped.set()

    def resume(self) -> None:
        self.resumed += 1


class Clock:
    """CPU time that moves by the guard's own ticks, when it is let."""

    def __init__(self, moves: bool) -> None:
        self.now = 0.0
        self.moves = moves
        self.ticks = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)

    def tick(self, seconds: float) -> None:
        self.now += seconds if self.moves else 0
        self.ticks.release()
        self.allowed.acquire(timeout=20)

    def cpu_of(self, thread: int) -> float:
        return self.now


def guard_of(clock: Clock) -> tuple[LoopGuard, Stopping]:
    runner = Stopping()
    return LoopGuard(runner, clock.tick, clock.cpu_of), runner


def test_a_run_that_goes_on_and_on_is_stopped_and_later_ones_are_not() -> None:
    clock = Clock(moves=True)
    guard, runner = guard_of(clock)
    with guard:
        clock.allowed.release(10)
        assert runner.stopped.wait(20)
    assert guard.fired
    assert runner.resumed == 1
    with guard:
        assert not guard.fired
    guard.close()


def test_a_run_that_waits_for_the_processor_is_left_alone() -> None:
    clock = Clock(moves=False)
    guard, runner = guard_of(clock)
    with guard:
        clock.allowed.release(5)
        for _ in range(5):
            assert clock.ticks.acquire(timeout=20)
    assert not runner.stopped.is_set()
    assert runner.resumed == 0
    guard.close()


def test_it_looks_at_each_run_alone() -> None:
    clock = Clock(moves=True)
    guard, runner = guard_of(clock)
    for _ in range(20):
        with guard:
            assert clock.ticks.acquire(timeout=20)
        clock.allowed.release()
    assert not runner.stopped.is_set()
    guard.close()


def test_it_rests_when_nothing_runs() -> None:
    clock = Clock(moves=True)
    guard, _ = guard_of(clock)
    with guard:
        pass
    clock.allowed.release(100)
    rested = clock.ticks.acquire(timeout=20)
    for _ in range(3):
        rested = clock.ticks.acquire(timeout=PATIENCE_SECONDS * 5)
    assert not rested
    guard.close()
