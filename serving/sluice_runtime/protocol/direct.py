"""Predictions without ASGI: from a complete request straight into the data plane, and from its outcome to the wire.

The task, the events and the messages of an ASGI call cost half as much as everything that the protocol itself asks
for. Only what a small model's callers send all the time goes this way; the rest, and every other server than the
runtime's own, takes the same steps in `rest`.
"""

from __future__ import annotations

import logging

from sluice_runtime.errors import STATUS, Kind, RequestError, for_caller
from sluice_runtime.exchange import Exchange
from sluice_runtime.plane import InferRequest, InferResponse, Model, Plane
from sluice_runtime.protocol.codec import Form, decode_request, encode_error, encode_response
from sluice_runtime.protocol.compression import IDENTITY
from sluice_runtime.protocol.longlists import LONG_JSON_BYTES
from sluice_runtime.protocol.plans import Plan, Plans, Split, split
from sluice_runtime.protocol.replies import Header, error_headers, notes_header
from sluice_runtime.protocol.rest import Rest, Wishes
from sluice_runtime.running import Work
from sluice_runtime.signature import Tensor

log = logging.getLogger(__name__)

_JSON = b"content-type: application/json\r\n"
_BINARY = b"content-type: application/octet-stream\r\ninference-header-content-length: %d\r\n"


class Direct:
    """Takes inference requests of the model's plain path that came whole and uncompressed."""

    def __init__(self, plane: Plane, rest: Rest) -> None:
        self._plane = plane
        self._rest = rest
        self._target = f"/v2/models/{plane.name}/infer".encode()
        self._plans: Plans | None = None

    def take(self, exchange: Exchange) -> bool:
        """Answer a complete request, now or later; False leaves it to the application."""
        wishes = self._wishes(exchange)
        if wishes is None or (wishes.json_bytes or exchange.size) > LONG_JSON_BYTES:
            return False
        Prediction(self._plane, exchange, self._known()).start(wishes)
        return True

    def awaits(self, exchange: Exchange) -> int | None:
        """Where raw tensors begin in the body of a request that will be taken; None for one that may be refused."""
        wishes = self._wishes(exchange)
        if wishes is None or not self._plane.welcoming:
            return None
        return wishes.json_bytes or 0

    def _known(self) -> Plans | None:
        """What was learned about requests; nothing until the model is loaded."""
        if self._plans is None and self._plane.ready:
            model = self._plane.find(self._plane.name)
            # What is filled in and checked is not the same for all requests of a form.
            self._plans = Plans(model) if model.intake is None else None
        return self._plans

    def _wishes(self, exchange: Exchange) -> Wishes | None:
        """What the head of a request says that goes this way; None for all others."""
        head = exchange.head
        if self._plane.draining:
            return None
        if isinstance(head.reading, Wishes):
            return head.reading
        if head.target != self._target or head.method != b"POST":
            return None
        try:
            wishes = self._rest.read_headers(head.headers)
        except RequestError:
            return None
        if wishes.encoding != IDENTITY:
            return None
        head.reading = wishes
        return wishes


class Prediction:
    """One request on its way: the receiver of its work's outcome."""

    __slots__ = ("_exchange", "_form", "_mark", "_model", "_plan", "_plane", "_plans", "_request", "_started", "_work")

    def __init__(self, plane: Plane, exchange: Exchange, plans: Plans | None) -> None:
        self._plane = plane
        self._exchange = exchange
        self._plans = plans
        self._plan: Plan | None = None
        self._started = plane.begin()
        self._model: Model
        self._request: InferRequest
        self._form: Form
        self._work: Work | None = None

    def start(self, wishes: Wishes) -> None:
        """Decode, check and queue; whatever is wrong is answered at once."""
        self._mark = wishes.mark
        try:
            self._submit(wishes)
        except RequestError as error:
            self._fail(error)
        except Exception as error:
            log.exception("a request failed inside the runtime")
            self._fail(for_caller(error))

    def done(self) -> bool:
        """True when the caller has its answer or is gone."""
        return self._exchange.done or self._exchange.gone

    def set_result(self, result: list[Tensor]) -> None:
        """Answer with a prediction."""
        outputs = dict(zip(self._work.outputs, result, strict=True))  # type: ignore[union-attr]  # it was submitted
        # It refers to this prediction; without the circle an answered request is gone at once.
        self._work = None
        notes = b""
        try:
            if self._plan is not None:
                body, json_bytes = self._plan.answer(self._model, outputs)
            else:
                response = InferResponse(self._model, self._request.id, outputs, self._request.notes)
                body, json_bytes = encode_response(response, self._form)
                notes = _lines(notes_header(response.notes))
        except Exception as error:
            log.exception("an answer could not be encoded")
            self._fail(for_caller(error))
            return
        self._exchange.answer(200, (_JSON if json_bytes is None else _BINARY % json_bytes) + notes, body)
        self._plane.record(self._started, None)
        if self._mark is not None:
            self._plane.note(self._mark, None, InferResponse(self._model, None, outputs))

    def set_exception(self, exception: Exception) -> None:
        """Answer with an error."""
        self._fail(for_caller(exception))

    def _submit(self, wishes: Wishes) -> None:
        plane, exchange = self._plane, self._exchange
        self._model = model = plane.find(plane.name)
        plane.admit(model)
        body = exchange.body()
        parts = None if self._plans is None or wishes.timeout is not None else split(body, wishes.json_bytes)
        if parts is None or not self._follow(parts):
            self._decode(body, wishes, parts)
        exchange.on_gone = self._abandon

    def _follow(self, parts: Split) -> bool:
        """Go by what an earlier request has taught; False where none has."""
        plan = self._plans.find(parts.frame)  # type: ignore[union-attr]  # a split request comes with plans
        work = plan.work(parts.numbers, self) if plan is not None else None
        if work is None:
            return False
        self._plan, self._work = plan, work
        self._model.batcher.submit(work)
        return True

    def _decode(self, body: bytes | memoryview, wishes: Wishes, parts: Split | None) -> None:
        self._request, self._form = decode_request(body, self._model, wishes.json_bytes, wishes.timeout)
        self._work = self._plane.submit(self._model, self._request, self)
        if parts is not None and self._plans is not None:
            self._plans.learn(parts, self._request, self._form, self._work)

    def _abandon(self) -> None:
        if self._work is not None:
            self._plane.forget(self._model, self._work)
        self._plane.record(self._started, Kind.ABANDONED)

    def _fail(self, error: RequestError) -> None:
        self._work = None
        if error.kind is Kind.TOO_LARGE:
            self._exchange.keep_alive = False
        headers = _JSON + _lines(error_headers(error, "POST"))
        self._exchange.answer(STATUS[error.kind], headers, encode_error(error.message))
        self._plane.record(self._started, error.kind)
        if self._mark is not None:
            self._plane.note(self._mark, error.kind, None)


def _lines(headers: tuple[Header, ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
