"""What is kept of answers is bounded, tells versions apart, and under load is the same on both sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime import bfloat16
from sluice_runtime.answers import KEPT, KEPT_SECONDS, LONGEST_MARK, REACH_SECONDS, VALUES, Answers
from sluice_runtime.errors import Kind
from sluice_runtime.signature import Tensor
from unit.serving.fakes import spec


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def specs(datatype: Datatype, *names: str) -> dict[str, TensorSpec]:
    return {name: spec(name, datatype, -1) for name in names or ("y",)}


def values(tensor: Tensor, datatype: Datatype = Datatype.FP32) -> list[object]:
    """What is told of one output."""
    answers = Answers()
    answers.keep(b"a", specs(datatype), {"y": tensor})
    (told,) = answers.after(0)
    output = told["outputs"]["y"]
    assert output["datatype"] == datatype.value
    assert output["shape"] == tensor.shape
    found: list[object] = output["values"]
    return found


def test_numbers_are_told_as_they_are() -> None:
    assert values(np.array([[0.5, -2.0]], np.float32)) == [0.5, -2.0]
    assert values(np.array([2**63 - 1], np.int64), Datatype.INT64) == [2**63 - 1]
    assert values(np.array([True, False]), Datatype.BOOL) == [True, False]
    assert values(bfloat16.from_float32(np.array([1.5])), Datatype.BF16) == [1.5]
    assert values(np.array(3.0, np.float64), Datatype.FP64) == [3.0]
    assert values(np.zeros((0, 3), np.float32)) == []


def test_json_has_words_for_what_is_no_finite_number() -> None:
    assert values(np.array([np.nan, np.inf, -np.inf], np.float32)) == ["nan", "inf", "-inf"]


def test_texts_are_told_apart_and_not_told() -> None:
    one = values(np.array(["cat", "dog", "cat", "c" * 5000, "c" * 5001], np.object_), Datatype.BYTES)
    assert one[0] == one[2]
    assert len(set(one)) == 4
    assert all(isinstance(value, int) for value in one)


@given(st.integers(0, 5000), st.integers(1, 8))
def test_a_large_answer_leaves_values_from_all_over_it(size: int, outputs: int) -> None:
    answers, names = Answers(), [f"y{number}" for number in range(outputs)]
    answers.keep(b"a", specs(Datatype.INT64, *names), {name: np.arange(size) for name in names})
    (told,) = answers.after(0)
    most = VALUES // outputs
    for output in told["outputs"].values():
        assert len(output["values"]) == (size if size <= most else -(-size // -(-size // most)))
        assert len(output["values"]) <= most
        assert size == 0 or output["values"][-1] >= size - 1 - size / len(output["values"])


def test_errors_of_a_version_are_told_and_those_of_the_load_are_not() -> None:
    answers = Answers()
    for kind in Kind:
        answers.refuse(kind.value.encode(), kind)
    assert {told["id"]: told["error"] for told in answers.after(0)} == {
        "invalid": 400,
        "unknown": 404,
        "not_allowed": 405,
        "too_large": 413,
        "failed": 500,
    }


def test_one_reads_on_where_one_has_stopped_also_after_a_restart() -> None:
    clock, answers = Clock(), Answers()
    answers.refuse(b"a", Kind.FAILED)
    (first,) = answers.after(0)
    answers.refuse(b"b", Kind.FAILED)
    assert [told["id"] for told in answers.after(first["number"])] == ["b"]
    assert answers.after(first["number"] + 1) == []
    restarted = Answers(clock)
    restarted.refuse(b"c", Kind.FAILED)
    assert len(restarted.after(0)) == 1


def test_old_answers_are_forgotten() -> None:
    clock = Clock()
    answers = Answers(clock)
    answers.refuse(b"a", Kind.FAILED)
    clock.now += KEPT_SECONDS + 1
    assert answers.after(0) == []


def test_marks_no_router_makes_leave_nothing() -> None:
    answers = Answers()
    answers.refuse(b"x" * (LONGEST_MARK + 1), Kind.FAILED)
    assert answers.after(0) == []


def flood(answers: Answers, clock: Clock, marks: list[bytes], rate: float) -> None:
    for mark in marks:
        clock.now += 1 / rate
        answers.refuse(mark, Kind.FAILED)


@pytest.mark.parametrize("rate", [1, 40, 500, 20_000])
def test_what_is_kept_reaches_back_at_any_load(rate: float) -> None:
    clock = Clock()
    answers = Answers(clock)
    flood(answers, clock, [b"%d" % number for number in range(30_000)], rate)
    kept = [int(told["id"]) for told in answers.after(0)]
    assert len(kept) <= KEPT
    assert len(kept) >= min(KEPT // 8, 30 * rate)
    age = (29_999 - kept[0]) / rate
    assert age >= min(REACH_SECONDS / 2, 30_000 / rate / 2)
    assert age <= KEPT_SECONDS + 1 / rate


def test_two_pods_under_different_load_keep_the_same_requests() -> None:
    clock = Clock()
    one, three = Answers(clock), [Answers(clock) for _ in range(3)]
    for number in range(30_000):
        clock.now += 1 / 3000
        one.refuse(b"%d" % number, Kind.FAILED)
        three[number % 3].refuse(b"%d" % number, Kind.FAILED)
    copies = {told["id"] for told in one.after(0)}
    originals = {told["id"] for pod in three for told in pod.after(0)}
    oldest = max(min(map(int, pod)) for pod in (copies, originals))
    assert {mark for mark in copies if int(mark) >= oldest} <= originals


def test_when_the_load_is_over_all_is_kept_again() -> None:
    clock = Clock()
    answers = Answers(clock)
    flood(answers, clock, [b"%d" % number for number in range(20_000)], 5000)
    clock.now += KEPT_SECONDS + 1
    flood(answers, clock, [b"late-%d" % number for number in range(100)], 1)
    clock.now += KEPT_SECONDS + 1
    flood(answers, clock, [b"last-%d" % number for number in range(50)], 1)
    assert len(answers.after(0)) == 50
