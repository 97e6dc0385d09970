"""Requests that differ from an earlier one in their numbers alone are decoded by what was learned from it.

A caller writes the same names, shapes and parameters each time. Taking them apart and checking them costs several times
what the numbers cost, and their answers begin alike too. So a request is split into its numbers and its frame, and
what a frame means is remembered: the second time it comes it is prepared, from the third time on it is looked up.
Only whole frames are compared, byte by byte, and whatever does not fit is decoded, and refused, in the usual way.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import orjson

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.plane import InferRequest, InferResponse, Model
from sluice_runtime.protocol.codec import Form, encode_response
from sluice_runtime.running import Receiver, Work
from sluice_runtime.signature import NUMPY_TYPES, Tensor

MOST_PLANS = 256
LONGEST_FRAME = 4096
"""Bytes. Together they bound what callers can make a pod remember to a megabyte."""

_MOST_NUMBERS = 4096
"""In a prepared JSON request; numpy converts longer lists faster."""

_CODES = {
    Datatype.FP32: "f",
    Datatype.FP64: "d",
    Datatype.INT64: "q",
    Datatype.INT32: "i",
    Datatype.INT16: "h",
    Datatype.INT8: "b",
    Datatype.UINT64: "Q",
    Datatype.UINT32: "I",
    Datatype.UINT16: "H",
    Datatype.UINT8: "B",
}
"""How `struct` calls the datatypes it converts as strictly as `values` does."""

_RAW = frozenset({*_CODES, Datatype.FP16, Datatype.BF16})
"""Datatypes whose raw bytes are their values, whatever they are."""

Frame = tuple[bytes, ...]
Body = bytes | memoryview


@dataclass(slots=True)
class Split:
    """A request's frame, and the bytes of its numbers: a JSON list, or raw tensors."""

    frame: Frame
    numbers: Body
    raw: bool


def split(body: Body, json_bytes: int | None) -> Split | None:
    """Take a body apart; None for one whose form has no plan."""
    if json_bytes is not None:
        if json_bytes > LONGEST_FRAME:
            return None
        view = memoryview(body)
        return Split((bytes(view[:json_bytes]),), view[json_bytes:], raw=True)
    if not isinstance(body, bytes):
        return None
    name = body.find(b'"data":', 0, LONGEST_FRAME)
    start = body.find(b"[", name, LONGEST_FRAME)
    end = body.find(b"]", start) + 1
    if name < 0 or start < 0 or not end or len(body) - end > LONGEST_FRAME:
        return None
    return Split((body[:start], body[end:]), body[start:end], raw=False)


class Plan:
    """One frame's meaning: from numbers to a work, and from its outputs to the body of the answer."""

    __slots__ = ("_answer", "_inputs", "_list", "_work", "form", "id", "size")

    def __init__(self, request: InferRequest, form: Form, work: Work, specs: Mapping[str, TensorSpec]) -> None:
        self.id = request.id
        self.form = form
        self._work = work.outputs, work.rows, work.key, work.seconds
        self._list: struct.Struct | None = None
        # In the signature's order, from which the places of the bytes in the order of the request follow.
        at, places = 0, {}
        for name, tensor in request.inputs.items():
            places[name] = at
            at += tensor.nbytes
        self.size = at
        self._inputs = [
            (name, NUMPY_TYPES[specs[name].datatype], tensor.size, places[name], tensor.shape)
            for name, tensor in work.inputs.items()
        ]
        self._answer: Answer | None = None

    def reads_list(self, datatype: Datatype, count: int) -> None:
        """The numbers are a JSON list of so many."""
        self._list = struct.Struct(f"={count}{_CODES[datatype]}")

    def work(self, numbers: Body, receiver: Receiver[list[Tensor]]) -> Work | None:
        """The work of a request with these numbers, or None where they do not fit."""
        data: Body | None = numbers if self._list is None else self._packed(numbers)
        if data is None or len(data) != self.size:
            return None
        inputs = {}
        for name, dtype, count, at, shape in self._inputs:
            tensor: Tensor = np.frombuffer(data, dtype, count, at)
            inputs[name] = (tensor if tensor.flags.aligned else tensor.copy()).reshape(shape)
        outputs, rows, key, seconds = self._work
        return Work(inputs, outputs, rows, key, receiver, seconds)

    def _packed(self, numbers: Body) -> bytes | None:
        try:
            values = orjson.loads(numbers)
            if not values or type(values[0]) is bool:
                return None  # a list of truths is no list of numbers
            return self._list.pack(*values)  # type: ignore[union-attr]  # called where there is one
        except (orjson.JSONDecodeError, struct.error, OverflowError):
            return None

    def answer(self, model: Model, outputs: dict[str, Tensor]) -> tuple[bytes, int | None]:
        """What `encode_response` gives, by the latest answer of the same shapes if there was one."""
        if self._answer is not None and self._answer.fits(outputs):
            return self._answer.encode(outputs)
        response = InferResponse(model, self.id, outputs)
        self._answer = prepare_answer(response, self.form)
        return encode_response(response, self.form)


class Answer:
    """The frame of an answer: the pieces of its JSON before, between and behind the numbers, or before raw tensors."""

    __slots__ = ("_pieces", "_raw", "_shapes")

    def __init__(self, pieces: list[bytes], raw: bool, outputs: Mapping[str, Tensor]) -> None:
        self._pieces = pieces
        self._raw = raw
        self._shapes = [tensor.shape for tensor in outputs.values()]

    def fits(self, outputs: Mapping[str, Tensor]) -> bool:
        """True for outputs of the same shapes."""
        return [tensor.shape for tensor in outputs.values()] == self._shapes

    def encode(self, outputs: Mapping[str, Tensor]) -> tuple[bytes, int | None]:
        """The body and, where raw tensors follow it, the length of its JSON."""
        first = self._pieces[0]
        if self._raw:
            return b"".join([first, *[tensor.tobytes() for tensor in outputs.values()]]), len(first)
        parts = [first]
        for tensor, piece in zip(outputs.values(), self._pieces[1:], strict=True):
            parts += (orjson.dumps(tensor.ravel(), option=orjson.OPT_SERIALIZE_NUMPY), piece)
        return b"".join(parts), None


def prepare_answer(response: InferResponse, form: Form) -> Answer | None:
    """The frame of an answer; None where it is not the same for all numbers."""
    specs = response.model.signature.outputs_by_name
    wanted = {form.is_binary(name) for name in response.outputs}
    allowed = _RAW if True in wanted else _CODES
    if len(wanted) != 1 or not all(specs[name].datatype in allowed for name in response.outputs):
        return None
    body, json_bytes = encode_response(response, form)
    if json_bytes is not None:
        return Answer([body[:json_bytes]], True, response.outputs)
    pieces, at = [], 0
    for tensor in response.outputs.values():
        numbers = orjson.dumps(tensor.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)
        start = body.find(b'"data":' + numbers, at) + 7
        pieces.append(body[at:start])
        at = start + len(numbers)
    return Answer([*pieces, body[at:]], False, response.outputs)


class Plans:
    """What is remembered of one model's requests."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._plans: dict[Frame, Plan] = {}
        self._seen: set[int] = set()

    def find(self, frame: Frame) -> Plan | None:
        """The plan of a frame that came before."""
        return self._plans.get(frame)

    def learn(self, parts: Split, request: InferRequest, form: Form, work: Work) -> None:
        """Take a request in that was found to be right; its frame is prepared when it comes for the second time."""
        seen = hash(parts.frame)
        if seen not in self._seen:
            _bound(self._seen)
            self._seen.add(seen)
        elif (plan := self._prepare(parts, request, form, work)) is not None:
            _bound(self._plans)
            self._plans[parts.frame] = plan

    def _prepare(self, parts: Split, request: InferRequest, form: Form, work: Work) -> Plan | None:
        specs = self._model.signature.inputs_by_name
        if parts.raw:
            fits = all(specs[name].datatype in _RAW for name in request.inputs) and work.rows
            plan = Plan(request, form, work, specs)
            # Less where an input came as JSON in spite of the raw tensors behind it.
            return plan if fits and plan.size == len(parts.numbers) else None
        (name, tensor), *others = request.inputs.items()
        if others or specs[name].datatype not in _CODES or not 0 < tensor.size <= _MOST_NUMBERS or not _empty(parts):
            return None
        plan = Plan(request, form, work, specs)
        plan.reads_list(specs[name].datatype, tensor.size)
        return plan


def _empty(parts: Split) -> bool:
    """Whether the frame is valid JSON around a list, and that list is the data of its only input."""
    try:
        item = orjson.loads(b"[]".join(parts.frame))["inputs"][0]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False
    return bool(item.get("data") == [])


def _bound(known: set[int] | dict[Frame, Plan]) -> None:
    """Forget everything rather than grow: what still comes is learned anew at once."""
    if len(known) >= MOST_PLANS:
        known.clear()
