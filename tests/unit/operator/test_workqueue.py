"""The queue's promises, in virtual time."""

import asyncio
import logging
from typing import Any

import pytest

from sluice_operator.cluster.cache import Key
from sluice_operator.cluster.errors import Conflict, Gone, Unreachable
from sluice_operator.workqueue import BACKOFF_MOST, WorkQueue, backoff
from unit.operator.virtual_time import run

A = Key("shop", "a")
B = Key("shop", "b")


class Passes:
    """A reconcile that notes when it ran and answers as it is told."""

    def __init__(self, *answers: Any, seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.began: list[tuple[float, str]] = []
        self.ended: list[str] = []
        self.in_flight: dict[Key, float] = {}
        self.most_in_flight = 0

    async def __call__(self, namespace: str, name: str) -> Any:
        key = Key(namespace, name)
        now = asyncio.get_running_loop().time
        assert key not in self.in_flight, "two passes of one key at once"
        self.in_flight[key] = now()
        self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
        self.began.append((now() - 1000, name))
        try:
            await asyncio.sleep(self.seconds)
        finally:
            del self.in_flight[key]
        self.ended.append(name)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def times(self) -> Any:
        return [round(at, 3) for at, _ in self.began]


def queue(passes: Any, **options: Any) -> Any:
    options = {"exists": lambda key: True, "chance": lambda: 0.5, **options}
    return WorkQueue(passes, **options)


def after(seconds: float, passes: Any, do: Any, **options: Any) -> Any:
    """Run a started queue for so long; `do` is called with it first."""

    async def main() -> Any:
        built = queue(passes, **options)
        built.start()
        result = do(built)
        if asyncio.iscoroutine(result):
            await result
        await asyncio.sleep(seconds)
        await built.stop(1.0)
        return built

    return run(main)


def test_a_key_is_reconciled_at_once() -> None:
    passes = Passes()
    after(1, passes, lambda q: q.add(A))
    assert passes.began == [(0, "a")]


def test_nothing_runs_before_the_start() -> None:
    passes = Passes()

    async def main() -> Any:
        built = queue(passes)
        built.add(A)
        await asyncio.sleep(100)
        assert passes.began == []
        built.start()
        await asyncio.sleep(1)
        await built.stop(1)

    run(main)
    assert passes.times() == [100]


def test_many_events_before_a_pass_are_one_pass() -> None:
    passes = Passes()
    after(1, passes, lambda q: [q.add(A) for _ in range(50)])
    assert len(passes.began) == 1


def test_a_key_that_changes_in_flight_runs_once_more_and_never_beside_itself() -> None:
    passes = Passes(seconds=2.0)

    async def change_twice(q: Any) -> Any:
        q.add(A)
        await asyncio.sleep(1)
        q.add(A)
        q.add(A)

    after(10, passes, change_twice)
    assert passes.times() == [0, 2]


def test_different_keys_run_at_once_up_to_the_bound() -> None:
    passes = Passes(seconds=1.0)
    keys = [Key("shop", f"m{n}") for n in range(7)]
    after(20, passes, lambda q: [q.add(key) for key in keys], workers=3)
    assert passes.most_in_flight == 3
    assert sorted(passes.ended) == sorted(key.name for key in keys)


def test_a_pass_is_called_again_when_it_asks() -> None:
    passes = Passes(7.5, None)
    after(60, passes, lambda q: q.add(A))
    assert passes.times() == [0, 7.5]


def test_a_pass_that_asks_for_zero_runs_again_at_once() -> None:
    passes = Passes(0.0, None)
    after(60, passes, lambda q: q.add(A))
    assert passes.times() == [0, 0]


def test_an_event_comes_before_a_timer_and_replaces_it() -> None:
    passes = Passes(20.0, None)

    async def event_at_five(q: Any) -> Any:
        q.add(A)
        await asyncio.sleep(5)
        q.add(A)

    after(100, passes, event_at_five)
    assert passes.times() == [0, 5]


def test_errors_back_off_and_a_success_resets_them() -> None:
    failing = [RuntimeError("no")] * 3
    passes = Passes(*failing, 1.0, *failing)
    after(10, passes, lambda q: q.add(A), chance=lambda: 0.0)
    assert passes.times() == [0, 0.1, 0.3, 0.7, 1.7, 1.8, 2.0, 2.4]


@pytest.mark.parametrize(("failures", "least", "most"), [(1, 0.05, 0.1), (4, 0.4, 0.8), (30, 30, 60), (5000, 30, 60)])
def test_backoff_doubles_has_jitter_and_is_bounded(failures: Any, least: Any, most: Any) -> None:
    assert backoff(failures, 1.0) == pytest.approx(least)
    assert backoff(failures, 0.0) == pytest.approx(most)
    assert backoff(failures, 0.3) <= BACKOFF_MOST


def test_a_conflict_is_tried_again_quickly_and_not_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    passes = Passes(Conflict("stale"), None)
    after(10, passes, lambda q: q.add(A), chance=lambda: 0.0)
    assert passes.times() == [0, 0.1]
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]


def test_an_object_that_is_gone_ends_the_matter_quietly(caplog: pytest.LogCaptureFixture) -> None:
    passes = Passes(Gone("not there"))
    after(100, passes, lambda q: q.add(A))
    assert passes.times() == [0]
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]


def test_an_error_is_logged_when_it_is_new_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    passes = Passes(RuntimeError("x"), RuntimeError("x"), RuntimeError("y"), None)
    after(60, passes, lambda q: q.add(A))
    said = [line.getMessage() for line in caplog.records if line.name == "sluice_operator.workqueue"]
    assert said == [
        "reconcile failed, will try again: x",
        "reconcile failed, will try again: y",
        "reconciled after errors",
    ]


def test_an_absent_api_server_is_not_told_for_each_resource(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    after(60, Passes(Unreachable("connection refused"), None), lambda q: q.add(A))
    assert caplog.records == []


def test_one_key_that_fails_does_not_slow_another() -> None:
    passes = Passes(RuntimeError("a fails"))
    after(0.01, passes, lambda q: (q.add(A), q.add(B)), workers=1)
    assert passes.began == [(0, "a"), (0, "b")]


def test_what_backs_off_is_tried_at_once_when_the_api_server_is_back() -> None:
    passes = Passes(*[RuntimeError("away")] * 12, None)

    async def back(q: Any) -> Any:
        q.add(A)
        await asyncio.sleep(150)
        ran = len(passes.began)
        q.retry_failed()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(passes.began) == ran + 1

    after(1, passes, back)


def test_every_key_is_looked_at_again_though_nothing_happens() -> None:
    passes = Passes()
    after(1000, passes, lambda q: q.add(A), chance=lambda: 0.5)
    assert passes.times() == [0, 300, 600, 900]


@pytest.mark.parametrize(("chance", "second"), [(0.0, 270), (1.0, 330)])
def test_the_regular_look_is_jittered(chance: Any, second: Any) -> None:
    passes = Passes()
    after(400, passes, lambda q: q.add(A), chance=lambda: chance)
    assert passes.times() == [0, second]


def test_a_pass_cannot_ask_to_be_left_alone_longer_than_the_regular_look() -> None:
    passes = Passes(9000.0)
    after(400, passes, lambda q: q.add(A))
    assert passes.times() == [0, 300]


def test_a_deleted_resource_is_forgotten() -> None:
    passes = Passes()
    after(1000, passes, lambda q: q.add(A), exists=lambda key: False)
    assert passes.times() == [0]


def test_stopping_finishes_what_is_in_flight_and_starts_nothing_more() -> None:
    passes = Passes(seconds=2.0)

    async def main() -> Any:
        built = queue(passes, workers=1)
        built.start()
        built.add(A)
        built.add(B)
        await asyncio.sleep(1)
        await built.stop(5.0)
        return asyncio.get_running_loop().time() - 1000

    assert run(main) == pytest.approx(2.0)
    assert passes.ended == ["a"]
    assert len(passes.began) == 1


def test_stopping_does_not_wait_longer_than_its_limit() -> None:
    passes = Passes(seconds=600)

    async def main() -> Any:
        built = queue(passes)
        built.start()
        built.add(A)
        await asyncio.sleep(1)
        await built.stop(3.0)
        return asyncio.get_running_loop().time() - 1000

    assert run(main) == pytest.approx(4.0)
    assert passes.ended == []


def test_progress_tells_what_waits_and_what_runs() -> None:
    passes = Passes(seconds=10)

    async def main() -> Any:
        built = queue(passes, workers=1)
        built.add(A)
        built.add(B)
        assert built.progress().depth == 2
        built.start()
        await asyncio.sleep(4)
        seen = built.progress()
        await built.stop(30)
        return seen, built.progress()

    during, afterwards = run(main)
    assert (during.depth, during.oldest_waiting, during.oldest_running) == (1, 1000, 1000)
    assert (afterwards.oldest_running, afterwards.last_finished) == (None, 1010)
