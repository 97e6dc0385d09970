"""Predictions over gRPC: from a call's message straight into the data plane, and from its outcome to the wire."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sluice_runtime.answers import HEADER as MARK
from sluice_runtime.errors import Kind, RequestError, for_caller
from sluice_runtime.http2.connection import Http2Connection
from sluice_runtime.http2.head import Fields
from sluice_runtime.intake.incoming import Incoming
from sluice_runtime.plane import InferRequest, InferResponse, Model
from sluice_runtime.protocol.calls import Site
from sluice_runtime.protocol.messages import decode_message, encode_message
from sluice_runtime.protocol.methods import Unary, parse
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from sluice_runtime.protocol.status import STATUSES, Status
from sluice_runtime.running import Work
from sluice_runtime.signature import Tensor
from sluice_runtime.tracing import Trace

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = logging.getLogger(__name__)

_CALLED = {"rpc.system": "grpc", "rpc.service": "inference.GRPCInferenceService", "rpc.method": "ModelInfer"}
_SERVER_ERRORS = frozenset((Status.DEADLINE_EXCEEDED, Status.UNIMPLEMENTED, Status.INTERNAL, Status.UNAVAILABLE))
"""By OpenTelemetry's conventions for gRPC, as far as they are sent."""


class Infer(Unary):
    """ModelInfer: the receiver of its work's outcome."""

    __slots__ = ("_model", "_request", "_span", "_started", "_work")

    def __init__(self, site: Site, line: Http2Connection, number: int, head: Fields) -> None:
        super().__init__(site, line, number, head)
        self._started: float | None = None
        self._work: Work | None = None
        self._span: Span | None = None
        self._model: Model
        self._request: InferRequest

    def read_head(self, head: Fields) -> None:
        """Beyond the limit of connections only probes are answered."""
        if self.line.surplus:
            self.site.door.refused("connections")
            self.finish(Status.UNAVAILABLE, "too many connections; try again later")
        else:
            super().read_head(head)

    def handle(self, data: bytes) -> None:
        """Decode, check and queue."""
        self._begin()
        plane = self.site.plane
        message = parse(pb.ModelInferRequest, data)
        self._model = model = plane.find(message.model_name, message.model_version or None)
        plane.admit(model)
        left = None if self.deadline is None else self.deadline - self.line.loop.time()
        if left is not None and left <= 0:
            raise RequestError(Kind.DEADLINE, "no prediction within the time given")
        self._request = decode_message(message, model, left)
        if self._span is not None and self.site.spans is not None:
            self._request.trace = Trace(self.site.spans, self._span)
        self._work = plane.submit(model, self._request, self)

    def refuse_large(self, error: RequestError) -> None:
        """A message beyond the limit is a refused prediction."""
        self._begin()
        self.fail(error)

    def done(self) -> bool:
        """True when the caller has its answer or is gone."""
        return self.status is not None

    def set_result(self, result: list[Tensor], /) -> None:
        """Answer with a prediction."""
        outputs = dict(zip(self._request.outputs or self._model.all_outputs, result, strict=True))
        response = InferResponse(self._model, self._request.id, outputs, self._request.notes)
        try:
            data = encode_message(response)
        except Exception as error:
            log.exception("an answer could not be encoded")
            self.fail(for_caller(error))
            return
        self.answer(data)
        self._end(None, response)

    def set_exception(self, exception: Any, /) -> None:
        """Answer with an error."""
        self.fail(for_caller(exception))

    def fail(self, error: RequestError) -> None:
        """End with an error."""
        super().fail(error)
        self._end(error.kind)

    def gone(self) -> None:
        """The caller gave up, or its time has passed, of which both sides learn at once: nothing is computed for it."""
        late = self.deadline is not None and self.line.loop.time() >= self.deadline
        super().gone()
        waited = isinstance(self._work, Incoming) and self._work.waits
        if self._work is not None:
            self.site.plane.forget(self._model, self._work)
        over = Kind.STORE_DEADLINE if waited else Kind.DEADLINE
        self._end(over if late else Kind.ABANDONED)

    def _begin(self) -> None:
        self._started = self.site.plane.begin()
        spans = self.site.spans
        if spans is not None:
            self._span = spans.start(self.head.items(), _CALLED)

    def _end(self, error: Kind | None, response: InferResponse | None = None) -> None:
        """Count the request, if it had come so far. The work refers to this call: without the circle both are gone."""
        self._work = None
        started, self._started = self._started, None
        if started is None:
            return
        self.site.plane.record(started, error)
        mark = self.head.get(MARK)
        if mark is not None:
            self.site.plane.note(mark, error, response)
        if self.site.plane.draining:
            self.line.leave()
        if self._span is not None and self.site.spans is not None:
            code = Status.OK if error is None else STATUSES[error]
            self.site.spans.end(self._span, "rpc.grpc.status_code", code, code in _SERVER_ERRORS)
