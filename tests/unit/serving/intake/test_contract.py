"""What is wrong with a value, what is said of it, and what becomes of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sluice.contract import Variable
from sluice.failures import PackageError, Reason
from sluice.manifest import Datatype, TensorSpec
from sluice_runtime import bfloat16
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.intake.contract import Contract, Findings
from sluice_runtime.signature import NUMPY_TYPES, Tensor
from unit.serving.fakes import spec
from unit.serving.intake.packages import intake

NAN = float("nan")
WIDE = [Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16]
AGE = {"name": "age", "minimum": 0, "maximum": 120}


def variable(**fields: Any) -> Variable:
    return Variable.model_validate({"name": "x", **fields})


def tensor(datatype: Datatype, values: Any) -> Tensor:
    if datatype is Datatype.BF16:
        return bfloat16.from_float32(np.array(values, np.float32))
    return np.array(values, NUMPY_TYPES[datatype])


class Settled:
    """What became of one request."""

    def __init__(self, specs: list[TensorSpec], variables: list[Variable], given: Mapping[str, Tensor]) -> None:
        self.counts: list[tuple[str, str, str, int]] = []
        self.tensors = dict(given)
        found = Findings(lambda *count: self.counts.append(count))
        Contract(variables, specs).settle(self.tensors, found)
        self.notes: list[str] = []
        self.error = ""
        self.kind: Kind | None = None
        try:
            self.notes = found.told()
        except RequestError as error:
            self.error, self.kind = error.message, error.kind


def settled(datatype: Datatype, values: Any, *variables: Variable, shape: tuple[int, ...] = (-1,)) -> Settled:
    return Settled([spec("x", datatype, *shape)], list(variables), {"x": tensor(datatype, values)})


@pytest.mark.parametrize("many", [1, 100])
@pytest.mark.parametrize(
    ("datatype", "fields", "values", "told"),
    [
        (Datatype.FP32, {"minimum": 0}, (0, -1), ("range", "-1.0 is below 0")),
        (Datatype.FP32, {"maximum": 0.1}, (0.1, 0.11), ("range", "0.10999999940395355 is above 0.1")),
        (Datatype.FP64, {"minimum": 0}, (1, NAN), ("missing", "is missing")),
        (Datatype.FP64, {}, (float("inf"), NAN), ("missing", "is missing")),
        (Datatype.FP64, {"maximum": 5}, (-1e300, float("inf")), ("range", "inf is above 5")),
        (Datatype.FP16, {"categories": [0.1, 2]}, (0.1, 3), ("category", "3.0 is none of 0.1, 2")),
        (Datatype.BF16, {"minimum": 0.1}, (0.1, 0.05), ("range", "0.0500")),
        (Datatype.BF16, {"maximum": 1}, (1, NAN), ("missing", "is missing")),
        (Datatype.INT64, {"minimum": 1, "maximum": 9}, (9, 10), ("range", "10 is above 9")),
        (Datatype.INT8, {"minimum": -500, "maximum": 500}, (127, None), ("", "")),
        (Datatype.UINT64, {"maximum": 2**63}, (2**63, 2**63 + 1), ("range", "is above 9.22337e+18")),
        (Datatype.INT32, {"minimum": 0.5, "maximum": 1.5}, (1, 0), ("range", "0 is below 0.5")),
        (Datatype.INT64, {"categories": [1, 2**62]}, (2**62, 3), ("category", "3 is none of 1,")),
        (Datatype.BOOL, {"categories": [True]}, (True, False), ("category", "False is none of True")),
        (Datatype.BYTES, {}, ("N", ""), ("missing", "is missing")),
        (Datatype.BYTES, {"categories": ["N", "S"]}, ("S", "X"), ("category", "'X' is none of N, S")),
        (Datatype.BYTES, {"categories": ["no", "1"]}, ("1", "0"), ("category", "'0' is none of no, 1")),
        (Datatype.BYTES, {"nullable": True, "categories": ["N"]}, ("", "X"), ("category", "'X' is none of N")),
        (Datatype.FP32, {"nullable": True, "maximum": 1}, (NAN, 2), ("range", "2.0 is above 1")),
        (Datatype.FP32, {"nullable": True, "categories": [1]}, (NAN, 2), ("category", "2.0 is none of 1")),
    ],
)
def test_a_value_is_held_against_its_rule(
    datatype: Datatype, fields: dict[str, Any], values: tuple[Any, Any], told: tuple[str, str], many: int
) -> None:
    (right, wrong), (rule, words) = values, told
    good = settled(datatype, [right] * many, variable(**fields))
    assert (good.error, good.counts) == ("", [])
    if rule:
        bad = settled(datatype, [right] * many + [wrong], variable(**fields))
        assert bad.error.startswith(f"variable 'x', row {many}: ")
        assert words in bad.error
        assert bad.counts == [("x", rule, "reject", 1)]
        assert bad.kind is Kind.INVALID


@pytest.mark.parametrize("datatype", [*WIDE, Datatype.INT16, Datatype.BYTES])
@pytest.mark.parametrize("many", [1, 100])
def test_what_is_missing_or_not_allowed_is_imputed_and_told(datatype: Datatype, many: int) -> None:
    text = datatype is Datatype.BYTES
    limits = {"categories": ["1", "2"]} if text else {"maximum": 2}
    rule = variable(onViolation="Impute", impute="2" if text else 2, **limits)
    right, wrong, void = ("1", "9", "") if text else (1, 9, 9 if datatype is Datatype.INT16 else NAN)
    given = tensor(datatype, [right, wrong, void] * many)
    given.flags.writeable = False
    found = Settled([spec("x", datatype, -1)], [rule], {"x": given})
    two = "2" if text else 2
    assert found.tensors["x"].tolist() == tensor(datatype, [right, two, two] * many).tolist()
    assert found.notes == [f"x=imputed({2 * many})"]
    assert sum(count for *_, count in found.counts) == 2 * many
    assert {action for _, _, action, _ in found.counts} == {"impute"}


def test_what_is_flagged_is_used_as_it_is_and_told() -> None:
    found = settled(Datatype.FP32, [1, 500, NAN], variable(maximum=120, onViolation="Flag"))
    assert str(found.tensors["x"].tolist()) == "[1.0, 500.0, nan]"
    assert found.notes == ["x=flagged(2)"]
    assert found.counts == [("x", "missing", "flag", 1), ("x", "range", "flag", 1)]


def test_columns_are_variables_of_their_own() -> None:
    variables = [
        variable(name="age", input="x", column=0, minimum=0, maximum=120),
        variable(name="rooms", input="x", column=2, onViolation="Impute", impute=3, maximum=50),
    ]
    rows = [[30, -9, 4], [130, 7, 99], [-1, 8, NAN]]
    found = settled(Datatype.FP32, rows, *variables, shape=(-1, 3))
    assert found.error == "variable 'age', row 1: 130.0 is above 120; variable 'age', row 2: -1.0 is below 0"
    fine = settled(Datatype.FP32, [[30, -9, 99], [1, 2, 3]] * 40, *variables, shape=(-1, 3))
    assert fine.notes == ["rooms=imputed(40)"]
    assert fine.tensors["x"].tolist() == [[30, -9, 3], [1, 2, 3]] * 40


def test_a_variable_may_be_all_of_an_input_of_any_shape() -> None:
    cube = settled(Datatype.FP32, [[[1, 2], [3, 9]]], variable(maximum=5), shape=(-1, 2, 2))
    assert cube.error == "variable 'x', row 0, place [1, 1]: 9.0 is above 5"
    scalar = settled(Datatype.FP32, 9, variable(maximum=5), shape=())
    assert scalar.error == "variable 'x': 9.0 is above 5"
    assert settled(Datatype.FP32, 9, variable(maximum=5, onViolation="Impute", impute=4), shape=()).tensors["x"] == 4
    assert settled(Datatype.FP32, np.zeros((0, 2)), variable(maximum=5), shape=(-1, 2)).error == ""


def test_all_that_is_wrong_is_named_and_the_message_stays_short() -> None:
    specs = [spec("age", Datatype.FP32, -1), spec("region", Datatype.BYTES, -1)]
    variables = [variable(**AGE), variable(name="region", categories=[f"r{number}" for number in range(4000)])]
    ages = tensor(Datatype.FP32, [-1.0] * 3 + [5.0] * 9997)
    regions = tensor(Datatype.BYTES, ["z" * 10**5] * 10_000)
    found = Settled(specs, variables, {"age": ages, "region": regions})
    assert found.error.count("variable 'age', row") == 3
    assert found.error.count("variable 'region', row") == 7
    assert found.error.endswith("is none of r0, r1, r2, r3, r4 and 3995 more; and 9993 more")
    assert len(found.error) < 2000
    assert found.counts == [("age", "range", "reject", 3), ("region", "category", "reject", 10_000)]


def test_what_the_store_gave_is_not_the_callers_fault() -> None:
    contract = Contract([variable(**AGE)], [spec("age", Datatype.FP32, -1)])
    for rows, kind in ((None, Kind.FEATURES), ([True, False], Kind.FEATURES), ([False, True], Kind.INVALID)):
        found = Findings(lambda *_: None)
        found.stored = {("age", None): None if rows is None else np.array(rows)}
        contract.settle({"age": tensor(Datatype.FP32, [-5, 5])}, found)
        with pytest.raises(RequestError, match="variable 'age', row 0") as caught:
            found.told()
        assert caught.value.kind is kind


SECRET = [[5.0, 123456.0], [5.0, 7.0]]


@pytest.mark.parametrize(
    ("stored", "kind", "told"),
    [
        ({("x", 0): None, ("x", 1): None}, Kind.FEATURES, "row 0, place [1]: what the feature store has is above 10"),
        ({("x", 1): np.array([True, False])}, Kind.FEATURES, "what the feature store has is above 10"),
        ({("x", 0): None}, Kind.INVALID, "row 0, place [1]: 123456.0 is above 10"),
        ({("x", 1): np.array([False, True])}, Kind.INVALID, "row 0, place [1]: 123456.0 is above 10"),
    ],
)
def test_values_of_the_store_are_told_to_nobody(stored: Any, kind: Kind, told: str) -> None:
    """By column, where the variable is all of the input."""
    found = Findings(lambda *_: None)
    found.stored = stored
    contract = Contract([variable(maximum=10)], [spec("x", Datatype.FP32, -1, 2)])
    contract.settle({"x": tensor(Datatype.FP32, SECRET)}, found)
    with pytest.raises(RequestError) as caught:
        found.told()
    assert caught.value.kind is kind
    assert told in caught.value.message
    assert ("123456" in caught.value.message) is (kind is Kind.INVALID)


@pytest.mark.parametrize("action", [{}, {"onViolation": "Flag"}, {"onViolation": "Impute", "impute": 1}])
def test_a_value_that_breaks_two_rules_counts_once(action: dict[str, Any]) -> None:
    found = settled(Datatype.FP32, [1, 50, NAN, 2], variable(maximum=10, categories=[1, 3], **action))
    assert [(rule, count) for _, rule, _, count in found.counts] == [("missing", 1), ("range", 1), ("category", 1)]
    assert found.notes == ([f"x={'flagged' if 'impute' not in action else 'imputed'}(3)"] if action else [])


@pytest.mark.parametrize(
    ("datatype", "fields"),
    [
        (Datatype.UINT8, {"minimum": 255}),
        (Datatype.INT8, {"minimum": -500, "maximum": -128}),
        (Datatype.UINT64, {"maximum": 2**70}),
        (Datatype.INT16, {"minimum": 3, "categories": [1, 4]}),
        (Datatype.FP16, {"minimum": 65504}),
        (Datatype.BF16, {"minimum": 3, "categories": [1, 4]}),
        (Datatype.BOOL, {"categories": [True]}),
        (Datatype.BYTES, {"categories": ["N"]}),
    ],
)
def test_the_example_of_a_variable_keeps_its_rule(datatype: Datatype, fields: dict[str, Any]) -> None:
    contract = Contract([variable(**fields)], [spec("x", datatype, -1)])
    example = np.array([contract.rules[0].example], NUMPY_TYPES[datatype])
    found = Findings(lambda *_: None)
    contract.settle({"x": example}, found)
    assert found.told() == []


@pytest.mark.parametrize(
    ("datatype", "shape", "fields", "why"),
    [
        (Datatype.FP32, (-1, 2), {"column": 2}, "has 2 columns, and none that is number 2"),
        (Datatype.FP32, (-1, -1), {"column": 0}, "no columns that can be told"),
        (Datatype.FP32, (-1,), {"column": 1}, "no columns that can be told"),
        (Datatype.BYTES, (-1,), {"minimum": 0}, "has no minimum and no maximum"),
        (Datatype.BOOL, (-1,), {"maximum": 0}, "has no minimum and no maximum"),
        (Datatype.FP32, (-1,), {"minimum": NAN}, "a bound is no number"),
        (Datatype.FP16, (-1,), {"maximum": 70000}, "too large for FP16"),
        (Datatype.BYTES, (-1,), {"categories": ["a", 1]}, "1 is no text"),
        (Datatype.INT64, (-1,), {"categories": [1.5]}, "1.5 is no INT64"),
        (Datatype.UINT8, (-1,), {"categories": [300]}, "300 is no UINT8"),
        (Datatype.UINT8, (-1,), {"minimum": 300}, "no UINT8 lies between minimum and maximum"),
        (Datatype.UINT8, (-1,), {"maximum": -1}, "no UINT8 lies between minimum and maximum"),
        (Datatype.INT64, (-1,), {"minimum": 0.2, "maximum": 0.8}, "no INT64 lies between minimum and maximum"),
        (Datatype.INT64, (-1,), {"minimum": float("inf")}, "no INT64 lies between minimum and maximum"),
        (Datatype.FP32, (-1,), {"maximum": -float("inf")}, "no FP32 lies between minimum and maximum"),
        (Datatype.INT64, (-1,), {"minimum": 5, "categories": [1, 2]}, "none of the categories lies between"),
        (Datatype.FP32, (-1,), {"categories": ["a"]}, "'a' is no number"),
        (Datatype.INT64, (-1,), {"categories": [True]}, "True is no number"),
        (Datatype.FP32, (-1,), {"onViolation": "Impute", "impute": 7, "maximum": 5}, "what is imputed, 7, is above 5"),
        (Datatype.FP32, (-1,), {"onViolation": "Impute", "impute": NAN}, "what is imputed, nan, is missing"),
        (Datatype.BYTES, (-1,), {"onViolation": "Impute", "impute": ""}, "what is imputed, '', is missing"),
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(
    datatype: Datatype, shape: tuple[int, ...], fields: dict[str, Any], why: str
) -> None:
    with pytest.raises(PackageError) as caught:
        Contract([variable(**fields)], [spec("x", datatype, *shape)])
    assert caught.value.reason is Reason.INVALID_PACKAGE
    assert why in caught.value.message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": "x"}, {"name": "x", "input": "y"}),
        ({"name": "a", "input": "x"}, {"name": "b", "input": "x"}),
        ({"name": "a", "input": "x"}, {"name": "b", "input": "x", "column": 1}),
        ({"name": "a", "input": "x", "column": 1}, {"name": "b", "input": "x"}),
        ({"name": "a", "input": "x", "column": 1}, {"name": "b", "input": "x", "column": 1}),
    ],
)
def test_a_value_belongs_to_one_variable(one: dict[str, Any], other: dict[str, Any]) -> None:
    specs = [spec("x", Datatype.FP32, -1, 2), spec("y", Datatype.FP32, -1)]
    with pytest.raises(PackageError, match=r"two variables of this name|another variable stands for the same values"):
        Contract([variable(**one), variable(**other)], specs)


@pytest.mark.parametrize("datatype", [Datatype.FP32, Datatype.BYTES])
def test_what_is_absent_is_treated_as_what_is_null(datatype: Datatype) -> None:
    """With a nullable variable the model gets the missing value either way; otherwise what is imputed."""
    text = datatype is Datatype.BYTES
    specs = (spec("x", datatype, -1, 1), spec("z", Datatype.FP32, -1, 1))
    for nullable in (True, False):
        rule = {"name": "x", "nullable": nullable, "onViolation": "Impute", "impute": "N" if text else 5.0}
        made = intake(specs, variables=[rule])
        given = {"z": np.ones((1, 1), np.float32)}
        absent, told = made.complete(made.draft(given), None)
        void = np.array([[""]], np.object_) if text else np.array([[NAN]], np.float32)
        null, told_too = made.complete(made.draft({**given, "x": void}), None)
        assert str(absent["x"].tolist()) == str(null["x"].tolist())
        assert told == told_too == ("" if nullable else "x=imputed(1)")
