"""Whatever is asked: what reaches the model keeps the contract, or its caller is told that it does not."""

import math
import re
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.contract import OnViolation, Variable
from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.errors import RequestError
from sluice_runtime.intake.intake import Intake
from sluice_runtime.signature import NUMPY_TYPES, Tensor
from unit.serving.fakes import spec
from unit.serving.intake.packages import Found, intake, keys, references

SPECS = {
    "real": spec("real", Datatype.FP32, -1, 1),
    "pair": spec("pair", Datatype.FP64, -1, 2),
    "whole": spec("whole", Datatype.INT16, -1),
    "text": spec("text", Datatype.BYTES, -1, 1),
    "bought": spec("bought", Datatype.FP32, -1),
}
TEXTS = ["", "N", "S", "X"]
NUMBERS = st.sampled_from([math.nan, -math.inf, math.inf, -1.0, 0.0, 0.1, 0.5, 1.0, 7.0, 1e30])
WHOLES = st.integers(-3, 9)


@st.composite
def variables(draw: st.DrawFn, name: str, column: int | None = None) -> dict[str, Any]:
    """A variable that makes sense for its input."""
    values: st.SearchStrategy[Any] = {"text": st.sampled_from(TEXTS[1:]), "whole": WHOLES}.get(
        name, st.sampled_from([0.1, 0.5, 1.0])
    )
    made: dict[str, Any] = {
        "name": f"{name}-{column}",
        "input": name,
        "column": column,
        "nullable": draw(st.booleans()),
    }
    if draw(st.booleans()):
        made["categories"] = draw(st.lists(values, min_size=1, max_size=3))
    elif name != "text":
        limits = draw(values), draw(values)
        made["minimum"], made["maximum"] = min(limits), max(limits)
    made["onViolation"] = draw(st.sampled_from(list(OnViolation)))
    if made["onViolation"] == OnViolation.IMPUTE:
        inside = [made.get("minimum", 1), *made.get("categories", [])]
        made["impute"] = inside[-1] if name != "text" else made.get("categories", ["N"])[0]
    return made


@st.composite
def contracts(draw: st.DrawFn) -> list[dict[str, Any]]:
    places = [("pair", 0), ("pair", 1), ("whole", None), ("text", None), ("bought", None)]
    return [draw(variables("real")), *[draw(variables(*place)) for place in places if draw(st.booleans())]]


@st.composite
def requests(draw: st.DrawFn, complete: bool = False) -> tuple[int, dict[str, Tensor]]:
    rows = draw(st.sampled_from([0, 1, 2, 3, 70]))
    made: dict[str, Tensor] = {"store_id": keys(*range(rows))}
    for one in SPECS.values():
        if complete or draw(st.integers(0, 3)):
            made[one.name] = draw(tensors(one, rows))
    return rows, made


@st.composite
def tensors(draw: st.DrawFn, one: TensorSpec, rows: int) -> Tensor:
    values = {"text": st.sampled_from(TEXTS), "whole": WHOLES}.get(one.name, NUMBERS)
    shape = tuple(rows if size == -1 else size for size in one.shape)
    few = draw(st.lists(values, min_size=6, max_size=6))
    made = np.resize(np.array(few, NUMPY_TYPES[one.datatype]), shape)
    made.flags.writeable = False
    return made


def is_missing(value: Any) -> bool:
    return value == "" if isinstance(value, str) else bool(np.isnan(value))


def keeps(rule: Variable, value: Any, datatype: Datatype) -> bool:
    """The contract once more, as one would say it."""
    held: Any = str if datatype is Datatype.BYTES else NUMPY_TYPES[datatype].type
    if is_missing(value):
        return rule.nullable
    if rule.categories is not None and value not in [held(item) for item in rule.categories]:
        return False
    if rule.minimum is not None and not value >= held(rule.minimum):
        return False
    return rule.maximum is None or bool(value <= held(rule.maximum))


def offenders(rule: Variable, tensor: Tensor) -> int:
    values = tensor if rule.column is None else tensor[:, rule.column]
    return sum(not keeps(rule, value, SPECS[rule.tensor].datatype) for value in values.ravel())


def answer(made: Intake, request: dict[str, Tensor], bought: Tensor) -> tuple[Any, str]:
    draft = made.draft(request)
    return made.complete(draft, Found({"bought": bought}) if draft.asked else None)


@settings(max_examples=300, deadline=None)
@given(contracts(), requests(), st.lists(NUMBERS, min_size=3, max_size=3))
def test_what_reaches_the_model_keeps_the_contract_or_is_flagged(
    contract: list[dict[str, Any]], asked: tuple[int, dict[str, Tensor]], store: list[float]
) -> None:
    rows, request = asked
    sent = {name: tensor.copy() for name, tensor in request.items()}
    feature = {"name": "bought", "requestWins": True}
    made = intake(tuple(SPECS.values()), features=references(feature), variables=contract)
    try:
        given, notes = answer(made, request, np.resize(np.array(store, np.float32), rows))
    except RequestError:
        return
    told = {name: int(count) for name, count in re.findall(r"(\S+)=flagged\((\d+)\)", notes)}
    for rule in map(Variable.model_validate, contract):
        flagged = rule.on_violation is OnViolation.FLAG
        assert offenders(rule, given[rule.tensor]) == (told.get(rule.name, 0) if flagged else 0)
    for name, one in SPECS.items():
        assert given[name].dtype == NUMPY_TYPES[one.datatype]
        assert given[name].shape == tuple(rows if size == -1 else size for size in one.shape)
    for name, tensor in request.items():
        assert np.array_equal(tensor, sent[name], equal_nan=tensor.dtype.kind == "f"), "the caller's own array changed"


@settings(max_examples=150, deadline=None)
@given(contracts(), requests(complete=True))
def test_a_request_that_keeps_the_contract_is_taken_as_it_is(
    contract: list[dict[str, Any]], asked: tuple[int, dict[str, Tensor]]
) -> None:
    rows, request = asked
    made = intake(tuple(SPECS.values()), store=False, variables=contract)
    del request["store_id"]
    rules = map(Variable.model_validate, contract)
    if not any(offenders(rule, request[rule.tensor]) for rule in rules):
        tensors, notes = made.complete(made.draft(request), None)
        assert notes == ""
        assert all(tensors[name] is tensor and len(tensor) == rows for name, tensor in request.items())
