"""What is learned from one request says of every later one just what taking it apart would say."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.manifest import Datatype
from sluice_runtime.plane import InferRequest, InferResponse, Model
from sluice_runtime.protocol.codec import Form, decode_request, encode_response
from sluice_runtime.protocol.plans import MOST_PLANS, Plan, Plans, Split, split
from sluice_runtime.running import Work
from sluice_runtime.signature import Tensor
from unit.serving.fakes import model_of, spec
from unit.serving.tensors import Case, tensors


class Nobody:
    """A receiver that is never told."""

    def done(self) -> bool:
        return False

    def set_result(self, result: list[Tensor], /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None: ...


def taught(plans: Plans, model: Model, body: bytes, json_bytes: int | None = None) -> tuple[Split, Plan | None]:
    """Let a request come twice; how the third one is split, and its plan."""
    parts = split(body, json_bytes)
    assert parts is not None
    request, form = decode_request(body, model, json_bytes)
    for _ in range(2):
        plans.learn(parts, request, form, work_of(request))
    return parts, plans.find(parts.frame)


def work_of(request: InferRequest, rows: int = 1) -> Work:
    return Work(request.inputs, request.outputs or ("x",), rows, ("key",), Nobody(), request.timeout)


def flat(datatype: str, data: list[Any], **more: Any) -> bytes:
    tensor = {"name": "x", "shape": [len(data)], "datatype": datatype, "data": data}
    return orjson.dumps({"inputs": [tensor], **more})


def planned(first: bytes, later: bytes, datatype: Datatype) -> Work | None:
    """The work of a later request by the plan of the first one, if they share their frame."""
    model = model_of(spec("x", datatype, -1))
    _, plan = taught(Plans(model), model, first)
    parts = split(later, None)
    assert plan is not None
    assert parts is not None
    return plan.work(parts.numbers, Nobody())


@given(tensors(infinite=False), st.booleans())
def test_a_plan_gives_the_same_tensors_and_the_same_answer(case: Case, binary: bool) -> None:
    datatype, tensor = case
    model = model_of(spec("x", datatype, *[-1] * tensor.ndim))
    form = Form(binary=binary)
    text, json_bytes = encode_response(InferResponse(model, None, {"x": tensor}), form)
    body = text.replace(b'"outputs"', b'"inputs"', 1)
    if json_bytes is not None:
        json_bytes -= 1
    request, _ = decode_request(body, model, json_bytes)
    parts, plan = taught(Plans(model), model, body, json_bytes)
    work = plan.work(parts.numbers, Nobody()) if plan is not None else None
    if work is not None:
        assert work.inputs["x"].dtype == request.inputs["x"].dtype
        np.testing.assert_array_equal(work.inputs["x"], request.inputs["x"])
        assert (work.outputs, work.rows, work.key) == (("x",), 1, ("key",))
    else:
        assert plan is None or np.isnan(tensor).any()
    if plan is not None:
        plan.form = form
        expected = encode_response(InferResponse(model, None, {"x": tensor}), form)
        assert [plan.answer(model, {"x": tensor}) for _ in range(2)] == [expected] * 2
        other = tensor[:0] if tensor.ndim else tensor
        assert plan.answer(model, {"x": other}) == encode_response(InferResponse(model, None, {"x": other}), form)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("FP32", ["1", 2.0]),
        ("FP32", [True, False]),
        ("FP32", [None, 1.0]),
        ("FP32", [1e300, 1.0]),
        ("FP32", [1.0, 2.0, 3.0]),
        ("FP32", [[1.0], [2.0]]),
        ("INT8", [300, 1]),
        ("INT32", [1.5, 2]),
        ("UINT64", [-1, 2]),
    ],
)
def test_what_a_plan_does_not_take_is_left_to_the_usual_way(datatype: str, data: list[Any]) -> None:
    later = orjson.dumps({"inputs": [{"name": "x", "shape": [2], "datatype": datatype, "data": data}]})
    assert planned(flat(datatype, [1, 2]), later, Datatype(datatype)) is None


def test_a_frame_is_prepared_the_second_time_it_comes() -> None:
    model = model_of(spec("x", Datatype.FP32, -1))
    body = flat("FP32", [1.0])
    request, form = decode_request(body, model)
    parts, plans = split(body, None), Plans(model)
    assert parts is not None
    for known in (False, False, True):
        assert (plans.find(parts.frame) is not None) is known
        plans.learn(parts, request, form, work_of(request))


def test_identity_and_parameters_belong_to_the_frame() -> None:
    model = model_of(spec("x", Datatype.FP32, -1))
    plans = Plans(model)
    body = flat("FP32", [1.0], id="one", parameters={"timeout": 5_000_000})
    _, plan = taught(plans, model, body)
    assert plan is not None
    assert plan.id == "one"
    parts = split(body, None)
    assert parts is not None
    work = plan.work(parts.numbers, Nobody())
    assert work is not None
    assert work.seconds == 5
    other = split(flat("FP32", [1.0], id="two", parameters={"timeout": 5_000_000}), None)
    assert other is not None
    assert plans.find(other.frame) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1],"data":[2]}]}',
        b'{"parameters":{"data":[1]},"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[2]}]}',
    ],
    ids=["twice", "elsewhere"],
)
def test_a_list_that_is_not_the_input_teaches_nothing(body: bytes) -> None:
    model = model_of(spec("x", Datatype.FP32, -1))
    parts = split(body, None)
    if parts is not None:
        assert taught(Plans(model), model, body)[1] is None


def test_raw_tensors_are_given_in_the_order_of_the_signature() -> None:
    model = model_of(spec("a", Datatype.FP32, -1), spec("b", Datatype.INT64, -1))
    items = [
        {"name": "b", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}},
        {"name": "a", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
    ]
    text = orjson.dumps({"inputs": items})
    body = text + np.int64(7).tobytes() + np.float32(0.5).tobytes()
    request, form = decode_request(body, model, len(text))
    ordered = InferRequest({name: request.inputs[name] for name in ("a", "b")})
    parts, plans = split(body, len(text)), Plans(model)
    assert parts is not None
    for _ in range(2):
        plans.learn(parts, request, form, work_of(ordered))
    plan = plans.find(parts.frame)
    assert plan is not None
    work = plan.work(parts.numbers, Nobody())
    assert work is not None
    assert [(name, tensor.item()) for name, tensor in work.inputs.items()] == [("a", 0.5), ("b", 7)]
    assert plan.work(parts.numbers[:-1], Nobody()) is None


def test_no_more_is_remembered_than_a_bound() -> None:
    model = model_of(spec("x", Datatype.FP32, -1))
    plans = Plans(model)
    frames = [taught(plans, model, flat("FP32", [1.0], id=str(i)))[0].frame for i in range(3 * MOST_PLANS)]
    assert 0 < sum(plans.find(frame) is not None for frame in frames) <= MOST_PLANS
