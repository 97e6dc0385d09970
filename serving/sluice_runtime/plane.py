"""THE PATH of a prediction, free of any transport: intake -> check -> batch -> run -> record.

REST and gRPC translate between their wire format and this module, so that both give the same answers. The intake, where
a package asks for one, brings together what a request has left out: its features, which a store is asked for, among it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sluice_runtime.answers import Answers
from sluice_runtime.batching import Batcher
from sluice_runtime.errors import STATUS, Kind, RequestError
from sluice_runtime.intake.incoming import Incoming, Lookup
from sluice_runtime.intake.intake import Draft, Fetched, Intake
from sluice_runtime.metrics import Metrics
from sluice_runtime.running import Receiver, Work
from sluice_runtime.signature import Requests, Signature, Tensor, Tensors
from sluice_runtime.tracing import Trace


@dataclass(slots=True)  # not frozen: that makes each construction three times as dear
class InferRequest:
    """A decoded request. Without `outputs` the caller gets all of them. `timeout`: seconds it is willing to wait.

    `notes`: what its caller is told beside the prediction, once it was taken in. `trace`: None where none is wanted.
    """

    inputs: Tensors
    outputs: tuple[str, ...] = ()
    id: str | None = None
    timeout: float | None = None
    notes: str = ""
    trace: Trace | None = None


@dataclass(slots=True)
class InferResponse:
    """A prediction: the requested outputs in the requested order. `notes`: how its inputs came about, if it is told."""

    model: Model
    id: str | None
    outputs: Mapping[str, Tensor]
    notes: str = ""


@dataclass(frozen=True, slots=True, eq=False)  # itself alone, so that it is cheap to look up by
class Model:
    """A loaded model under its public name.

    `intake`: None where requests carry the model's inputs as they are. `lookup`: the store's, where there is one.
    `card`: what its package says of it, as JSON; empty where it says nothing.
    """

    name: str
    version: str
    signature: Signature
    batcher: Batcher
    intake: Intake | None = None
    lookup: Lookup | None = None
    card: bytes = b""
    requests: Requests = field(init=False)
    all_inputs: tuple[str, ...] = field(init=False)
    all_outputs: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        plain = Requests(self.signature.inputs) if self.intake is None else self.intake.requests
        object.__setattr__(self, "requests", plain)
        object.__setattr__(self, "all_inputs", tuple(spec.name for spec in self.signature.inputs))
        object.__setattr__(self, "all_outputs", tuple(spec.name for spec in self.signature.outputs))


class Plane:
    """The one data plane of a pod. `name` is known before the model is loaded; the version is not."""

    def __init__(self, name: str, metrics: Metrics) -> None:
        self.name = name
        self.draining = False
        self.in_flight = 0
        self.answers = Answers()
        self._model: Model | None = None
        self._metrics = metrics
        metrics.watch_in_flight(lambda: self.in_flight)

    @property
    def ready(self) -> bool:
        """True when new requests are welcome: the model is loaded and the pod is not stopping."""
        return self._model is not None and not self.draining

    @property
    def welcoming(self) -> bool:
        """True when the next request would be admitted."""
        return self._model is not None and not self._model.batcher.full

    def serve(self, model: Model) -> None:
        """Start to answer with this model."""
        self._model = model

    def find(self, name: str, version: str | None = None) -> Model:
        """The model of that name and version.

        Raises:
            RequestError: UNKNOWN, or NOT_READY while the model is being loaded.
        """
        if name != self.name:
            raise RequestError(Kind.UNKNOWN, f"unknown model {name!r}; this server has {self.name!r}")
        if self._model is None:
            raise RequestError(Kind.NOT_READY, f"model {name!r} is being loaded")
        if version not in (None, self._model.version):
            raise RequestError(Kind.UNKNOWN, f"unknown version {version!r} of {name!r}; it is {self._model.version!r}")
        return self._model

    def admit(self, model: Model) -> None:
        """Refuse early, before a body is parsed, when the queue is full.

        Raises:
            RequestError: OVERLOADED.
        """
        if model.batcher.full:
            raise RequestError(Kind.OVERLOADED, "too many requests are waiting; try again later")

    def submit(self, model: Model, request: InferRequest, receiver: Receiver[list[Tensor]] | None = None) -> Work:
        """Check a request and queue it. The receiver, or else the returned work's future, gets the outputs.

        Raises:
            RequestError: INVALID or OVERLOADED, or what the feature store was answered with at once.
        """
        receiver = receiver or asyncio.get_running_loop().create_future()
        if request.outputs:
            model.signature.check_outputs(request.outputs)
        if model.intake is None:
            model.signature.check(request.inputs)
            work = self._work(model, request, receiver)
            model.batcher.submit(work)
            return work
        return self._take_in(model, model.intake, request, receiver)

    def forget(self, model: Model, work: Work) -> None:
        """Do nothing more for a work whose caller is gone."""
        if isinstance(work, Incoming):
            work.leave()
        model.batcher.forget(work)

    def begin(self) -> float:
        """Note a request's arrival; give the result to `record`."""
        self.in_flight += 1
        return time.perf_counter()

    def record(self, started: float, error: Kind | None) -> None:
        """Note how a request ended; None is a prediction."""
        self.in_flight -= 1
        if error is None:
            self._metrics.request(200, time.perf_counter() - started)
            return
        self._metrics.request(STATUS[error], time.perf_counter() - started)
        self._metrics.rejection(error)

    def note(self, mark: bytes, error: Kind | None, response: InferResponse | None) -> None:
        """Keep a digest of the answer to a request that a router has marked."""
        if error is not None:
            self.answers.refuse(mark, error)
        elif response is not None:
            self.answers.keep(mark, response.model.signature.outputs_by_name, response.outputs)

    def _take_in(self, model: Model, intake: Intake, request: InferRequest, receiver: Receiver[list[Tensor]]) -> Work:
        draft = intake.draft(request.inputs)
        if not draft.gaps or model.lookup is None:
            return self._queue(model, intake, request, receiver, draft)
        work = Incoming({}, request.outputs or model.all_outputs, draft.rows, (), receiver, request.timeout)

        def queue(fetched: Fetched) -> None:
            request.inputs, request.notes = intake.complete(draft, fetched)
            work.take(self._work(model, request, receiver))
            model.batcher.submit(work)

        work.ask(model.lookup, draft, model.batcher, queue, request.trace)
        intake.furnish(draft)
        return work

    def _queue(
        self, model: Model, intake: Intake, request: InferRequest, receiver: Receiver[list[Tensor]], draft: Draft
    ) -> Work:
        request.inputs, request.notes = intake.complete(draft, None)
        work = self._work(model, request, receiver)
        model.batcher.submit(work)
        return work

    @staticmethod
    def _work(model: Model, request: InferRequest, receiver: Receiver[list[Tensor]]) -> Work:
        outputs = request.outputs or model.all_outputs
        # Inputs go into a run in the signature's order, whatever order the caller wrote them in.
        inputs = {name: request.inputs[name] for name in model.all_inputs}
        if not model.signature.batchable:
            return Work(inputs, outputs, 1, (), receiver, request.timeout)
        rows = inputs[model.all_inputs[0]].shape[0]
        key = (outputs, *[tensor.shape[1:] for tensor in inputs.values()])
        # An empty request cannot be told apart from its neighbours after the run, so it shares with none.
        return Work(inputs, outputs, rows, key if rows else (object(),), receiver, request.timeout)
