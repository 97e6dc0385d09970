"""From what a request carries to what the model is asked with."""

from typing import Any

import numpy as np
import pytest

from sluice.failures import PackageError, Reason
from sluice.manifest import Datatype
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.intake.intake import Intake, intake_of
from sluice_runtime.signature import Signature, Tensor
from unit.serving.fakes import spec
from unit.serving.intake.packages import CITY, INPUTS, NOW, SIZE, column, found, intake, keys, manifest, references

NAN = float("nan")
WINS = {"requestWins": True}
DRY = {"rain": column(0)}


def refusal(made: Intake, given: dict[str, Tensor]) -> str:
    with pytest.raises(RequestError) as caught:
        made.complete(made.draft(given), None)
    assert caught.value.kind is Kind.INVALID
    return caught.value.message


def listed(tensors: Any) -> dict[str, Any]:
    return {name: tensor.ravel().tolist() for name, tensor in tensors.items()}


def test_a_package_that_asks_for_nothing_has_no_intake() -> None:
    plain = manifest()
    assert intake_of(plain, Signature(INPUTS, INPUTS, batchable=True), None, lambda *_: None) is None


def test_features_are_asked_for_by_the_keys_of_the_request_and_put_into_their_places() -> None:
    made = intake(features=references())
    draft = made.draft({"store_id": keys(42, 43), "rain": column(0, 1)})
    assert list(draft.asked) == ["size", "city"]
    assert (draft.rows, draft.entities["store_id"].tolist()) == (2, [42, 43])
    tensors, notes = made.complete(draft, found("size=default(stale:2)", size=[7, 8], city=["N", "S"]))
    assert listed(tensors) == {"size": [7, 8], "city": ["N", "S"], "rain": [0, 1]}
    assert [tensor.shape for tensor in tensors.values()] == [(2, 1)] * 3
    assert notes == "size=default(stale:2)"


def test_keys_may_come_as_a_column_and_may_be_inputs_too() -> None:
    made = intake(features=references())
    assert made.draft({"store_id": keys(1, 2).reshape(-1, 1), "rain": column(0, 1)}).entities["store_id"].shape == (2,)
    shop = (spec("store", Datatype.INT64, -1, 1), *INPUTS)
    known = intake(shop, features=references(entities=[{"name": "store_id", "input": "store"}]))
    draft = known.draft({"store": keys(4).reshape(1, 1), **DRY})
    assert draft.entities["store_id"].tolist() == [4]
    assert listed(known.complete(draft, found(size=[1], city=["N"]))[0])["store"] == [4]
    assert known.requests.by_name.keys() == {"store", "size", "city", "rain"}


@pytest.mark.parametrize("absent", [None, [NAN, NAN]], ids=["left out", "null"])
def test_what_is_missing_is_the_stores_and_what_is_there_is_not_taken(absent: list[float] | None) -> None:
    made = intake(features=references())
    given = {"store_id": keys(1, 2), "rain": column(0, 0)}
    if absent:
        given |= {"size": column(*absent), "city": column("", "")}
    tensors, _ = made.complete(made.draft(given), found(size=[7, 8], city=["N", "S"]))
    assert listed(tensors)["size"] == [7, 8]
    assert listed(tensors)["city"] == ["N", "S"]
    said = refusal(made, {**given, "size": column(NAN, 5)})
    assert said == "input 'size' is the feature 'size', which requests do not carry for this model; leave it out"


def test_a_value_of_the_request_wins_where_that_is_declared() -> None:
    made = intake(features=references({**SIZE, **WINS}, {**CITY, **WINS}))
    mixed = {"store_id": keys(1, 2), "size": column(5, NAN), "city": column("X", "Y"), "rain": column(0, 0)}
    draft = made.draft(mixed)
    assert list(draft.asked) == ["size"]
    assert listed(made.complete(draft, found(size=[70, 80]))[0]) == {
        "size": [5, 80],
        "city": ["X", "Y"],
        "rain": [0, 0],
    }
    assert mixed["size"].tolist()[0] == [5], "the caller's own array was written to"
    assert np.isnan(mixed["size"][1, 0])


def test_a_request_that_carries_everything_needs_no_key() -> None:
    made = intake(features=references({**SIZE, **WINS}, {**CITY, **WINS}))
    draft = made.draft({"size": column(5), "city": column("X"), **DRY})
    assert list(draft.asked) == []
    assert listed(made.complete(draft, None)[0]) == {"size": [5], "city": ["X"], "rain": [0]}
    said = refusal(made, {"size": column(5), **DRY})
    assert said == "input 'store_id' is missing, the key by which features are looked up: city"


def test_without_a_store_requests_carry_everything_themselves() -> None:
    made = intake(store=False, features=references())
    given = {"size": column(5), "city": column("X"), **DRY}
    assert listed(made.complete(made.draft({**given, "store_id": keys(1)}), None)[0]) == listed(given)
    assert "store_id" in made.requests.optional
    said = refusal(made, {"store_id": keys(1), **DRY})
    assert said == "input 'size' is missing; no feature store is set here that could fill it in"


def test_columns_of_one_input_come_from_store_request_and_contract() -> None:
    inputs = (spec("x", Datatype.FP32, -1, 3),)
    fields: dict[str, Any] = {
        "features": references({**SIZE, "input": "x", "column": 1}),
        "variables": [{"name": "rooms", "input": "x", "column": 2, "onViolation": "Impute", "impute": 3}],
    }
    made = intake(inputs, **fields)
    assert "x" not in made.requests.optional
    given = {"store_id": keys(1, 2), "x": np.array([[1, NAN, 2], [4, NAN, NAN]], np.float32)}
    tensors, notes = made.complete(made.draft(given), found(size=[7, 8]))
    assert tensors["x"].tolist() == [[1, 7, 2], [4, 8, 3]]
    assert notes == "rooms=imputed(1)"
    assert "(column 1) is the feature 'size'" in refusal(made, {**given, "x": np.ones((2, 3), np.float32)})
    assert refusal(made, {"store_id": keys(1)}) == "input 'x' is missing"

    fields["variables"].append({"name": "age", "input": "x", "column": 0, "nullable": True})
    lenient = intake(inputs, **fields)
    tensors, notes = lenient.complete(lenient.draft({"store_id": keys(1)}), found(size=[7]))
    assert str(tensors["x"].tolist()) == "[[nan, 7.0, 3.0]]"
    assert notes == "rooms=imputed(1)"


def test_integers_that_are_left_out_are_imputed_and_told() -> None:
    inputs = (spec("n", Datatype.INT16, -1), spec("x", Datatype.INT32, -1, 2))
    made = intake(
        inputs,
        variables=[
            {"name": "n", "onViolation": "Impute", "impute": 4},
            {"name": "a", "input": "x", "column": 0, "onViolation": "Impute", "impute": 5},
            {"name": "b", "input": "x", "column": 1, "onViolation": "Impute", "impute": 6, "maximum": 9},
        ],
    )
    tensors, notes = made.complete(made.draft({}), None)
    assert (tensors["n"].tolist(), tensors["x"].tolist()) == ([4], [[5, 6]])
    assert notes == "n=imputed(1), a=imputed(1), b=imputed(1)"
    tensors, notes = made.complete(made.draft({"n": np.array([1, 2], np.int16)}), None)
    assert tensors["x"].tolist() == [[5, 6], [5, 6]]
    assert tensors["n"].tolist() == [1, 2]


@pytest.mark.parametrize(("shape", "made"), [((-1,), [int(NOW)] * 2), ((-1, 1), [[int(NOW)]] * 2), ((), int(NOW))])
def test_the_clock_fills_its_input_for_every_row(shape: tuple[int, ...], made: Any) -> None:
    inputs = (spec("rain", Datatype.FP32, -1), spec("now", Datatype.INT64, *shape))
    ticking = intake(inputs, clock={"input": "now"}, batchable=bool(shape))
    tensors, notes = ticking.complete(ticking.draft({"rain": np.zeros(2, np.float32)}), None)
    assert (tensors["now"].tolist(), notes) == (made, "")
    exact = intake((spec("now", Datatype.FP64, -1),), clock={"input": "now"})
    assert exact.complete(exact.draft({}), None)[0]["now"].tolist() == [NOW]


def test_a_request_states_its_own_time_only_where_that_is_declared() -> None:
    inputs = (spec("now", Datatype.FP64, -1),)
    own = {"now": np.array([5.0, NAN])}
    said = refusal(intake(inputs, clock={"input": "now"}), own)
    assert said == "input 'now' is the time of the request, which requests do not carry for this model; leave it out"
    asof = intake(inputs, clock={"input": "now", "fromRequest": True})
    assert asof.complete(asof.draft(own), None)[0]["now"].tolist() == [5.0, NOW]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"store_id": keys(1, 2), **DRY}, "inputs differ in their number of rows: {'store_id': 2, 'rain': 1}"),
        ({"store_id": np.zeros((1, 2), np.int64), **DRY}, "input 'store_id' has shape [1, 2], expected [-1]"),
        (
            {"store_id": keys(1), "rain": np.zeros((1, 2), np.float32)},
            "input 'rain' has shape [1, 2], expected [-1, 1]",
        ),
        ({"store_id": keys(1)}, "input 'rain' is missing"),
        (DRY, "input 'store_id' is missing, the key by which features are looked up: size, city"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_store_is_asked(given: dict[str, Tensor], words: str) -> None:
    assert refusal(intake(features=references()), given) == words


def test_a_graph_of_fixed_rows_takes_so_many_keys() -> None:
    made = intake((spec("size", Datatype.FP32, 2, 1),), features=references(SIZE), batchable=False)
    draft = made.draft({"store_id": keys(4, 5)})
    assert made.complete(draft, found(size=[7, 8]))[0]["size"].tolist() == [[7], [8]]
    assert refusal(made, {"store_id": keys(4)}) == "the request has 1 rows, and the model takes 2"


def test_no_rows_ask_for_nothing() -> None:
    made = intake(features=references(), variables=[{"name": "rain", "minimum": 0}])
    draft = made.draft({"store_id": keys(), "rain": np.zeros((0, 1), np.float32)})
    assert list(draft.asked) == []
    assert {tensor.shape for tensor in made.complete(draft, None)[0].values()} == {(0, 1)}


def test_the_contract_is_held_against_what_the_store_says() -> None:
    variables = [{"name": "size", "maximum": 10}, {"name": "rain", "minimum": 0}]
    made = intake(features=references(), variables=variables)
    draft = made.draft({"store_id": keys(1), **DRY})
    with pytest.raises(RequestError, match="variable 'size', row 0: what the feature store has is above 10") as caught:
        made.complete(draft, found(size=[70], city=["N"]))
    assert caught.value.kind is Kind.FEATURES
    wet = made.draft({"store_id": keys(1), "rain": column(-1)})
    with pytest.raises(RequestError, match="'rain'") as caught:
        made.complete(wet, found(size=[70], city=["N"]))
    assert caught.value.kind is Kind.INVALID, "the caller could mend this"


def test_features_may_be_missing_where_the_model_or_the_contract_knows_what_to_do() -> None:
    variables = [
        {"name": "size", "nullable": True},
        {"name": "city", "onViolation": "Impute", "impute": "N"},
        {"name": "rain", "minimum": 0},
    ]
    made = intake(features=references(SIZE, CITY, {"name": "rain"}), variables=variables)
    assert made.nullable() == ["size", "city"]
    draft = made.draft({"store_id": keys(1)})
    tensors, notes = made.complete(draft, found(size=[NAN], city=[""], rain=[1]))
    assert (str(tensors["size"][0, 0]), tensors["city"][0, 0], notes) == ("nan", "N", "city=imputed(1)")


def test_notes_are_printable_ascii_of_bounded_length_whatever_variables_are_called() -> None:
    names = ["größe\r\nx: y", "a,b", *[f"v{number}" * 20 for number in range(60)]]
    inputs = tuple(spec(name, Datatype.FP32, -1) for name in names)
    made = intake(inputs, variables=[{"name": name, "onViolation": "Flag"} for name in names])
    _, notes = made.complete(made.draft({}), None)
    assert notes.startswith("gr%C3%B6%C3%9Fe%0D%0Ax: y=flagged(1), a%2Cb=flagged(1), v0v0")
    assert notes.isascii()
    assert notes.isprintable()
    assert len(notes) < 2100
    assert notes.endswith(", ...")


def test_metadata_tells_what_may_be_left_out_and_what_fills_it_in() -> None:
    inputs = (*INPUTS, spec("now", Datatype.INT64, -1), spec("n", Datatype.INT64, -1))
    made = intake(
        inputs,
        features=references(SIZE, {**CITY, **WINS}),
        clock={"input": "now"},
        variables=[{"name": "n", "onViolation": "Impute", "impute": 1}],
    )
    assert [one.name for one in made.requests.inputs] == ["store_id", "size", "city", "rain", "now", "n"]
    assert made.requests.parameters == {
        "store_id": {"key": "store_id"},
        "size": {"optional": True, "source": "features", "accepted": False},
        "city": {"optional": True, "source": "features"},
        "now": {"optional": True, "source": "clock", "accepted": False},
        "n": {"optional": True, "source": "contract"},
    }
    assert made.requests.optional == {"size", "city", "now", "n"}
    free = intake(features=references({**SIZE, **WINS}, {**CITY, **WINS}))
    assert free.requests.parameters["store_id"] == {"key": "store_id", "optional": True}


def test_the_example_is_a_request_that_the_contract_takes() -> None:
    inputs = (*INPUTS, spec("kind", Datatype.BYTES, -1), spec("n", Datatype.INT8, -1), spec("x", Datatype.FP64, -1, 2))
    made = intake(
        inputs,
        features=references(),
        variables=[
            {"name": "rain", "minimum": 5, "maximum": 5.5},
            {"name": "kind", "categories": ["b", "a"]},
            {"name": "n", "maximum": -7},
            {"name": "b", "input": "x", "column": 1, "minimum": 100},
        ],
    )
    example = made.example()
    assert example.keys() == {"store_id", "rain", "kind", "n", "x"}
    assert made.complete(made.draft(example), found(size=[1], city=["N"]))[1] == ""


@pytest.mark.parametrize(
    ("inputs", "fields", "why"),
    [
        (INPUTS, {"clock": {"input": "city"}}, "a BYTES cannot hold the time"),
        ((spec("now", Datatype.INT64, -1, 2),), {"clock": {"input": "now"}}, "one value a row"),
        (INPUTS, {"deployed": references({"name": "staff"})}, "there is no input 'staff'"),
        (INPUTS, {"deployed": references({**SIZE, "column": 1})}, "none that is number 1"),
        (INPUTS, {"features": references(SIZE, {"name": "s", "input": "size"})}, "two features go to the same place"),
        ((spec("size", Datatype.FP32, -1, 2),), {"features": references(SIZE)}, "several columns, and none is named"),
        ((spec("size", Datatype.FP32),), {"features": references(SIZE)}, "no value for each row"),
        ((spec("size", Datatype.BF16, -1),), {"features": references(SIZE)}, "cannot go to BF16"),
        (
            (spec("size", Datatype.INT64, -1, 2),),
            {"features": references({**SIZE, "column": 0})},
            "features fill all of its columns or none",
        ),
        (
            (spec("size", Datatype.FP32, -1),),
            {"deployed": references(SIZE), "clock": {"input": "size"}},
            "the clock's, so no feature can go there",
        ),
        (INPUTS, {"features": references(entities=[{"name": "rain"}])}, "a key is INT64, one value a row"),
    ],
)
def test_a_package_that_contradicts_itself_is_refused(inputs: Any, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(PackageError) as caught:
        intake(inputs, **fields)
    assert caught.value.reason is Reason.INVALID_PACKAGE
    assert why in caught.value.message
