"""The Open Inference Protocol V2 over gRPC, with health and reflection, on the loop and the data plane of REST.

Messages are parsed here and not by the library, which would call a malformed one an internal error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as health

from sluice import __version__
from sluice.config import RuntimeConfig
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.plane import InferResponse, Plane
from sluice_runtime.protocol.messages import decode_message, describe_model, encode_message
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from sluice_runtime.protocol.repository import index
from sluice_runtime.protocol.rest import EXTENSIONS

log = logging.getLogger(__name__)

SERVICE = "inference.GRPCInferenceService"
Context = grpc.aio.ServicerContext[Any, Any]

CODES: dict[Kind, grpc.StatusCode] = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNKNOWN: grpc.StatusCode.NOT_FOUND,
    Kind.NOT_ALLOWED: grpc.StatusCode.UNIMPLEMENTED,
    Kind.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.ABANDONED: grpc.StatusCode.CANCELLED,
    Kind.FAILED: grpc.StatusCode.INTERNAL,
    Kind.NOT_READY: grpc.StatusCode.UNAVAILABLE,
    Kind.OVERLOADED: grpc.StatusCode.UNAVAILABLE,
    Kind.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
}

_HEALTH_SECONDS = 0.5
"""How late those who watch the health service may hear of a change; those who ask hear the truth at once."""

_LAST_WORDS_SECONDS = 0.5
"""For answers that are on their way when the last prediction has ended."""


class Inference:
    """The protocol's methods. Each takes the parsed request and gives the response."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def handlers(self) -> grpc.GenericRpcHandler:
        """All methods under the service's name."""
        methods: dict[str, tuple[Callable[..., Message], type[Message]]] = {
            "ServerLive": (self._server_live, pb.ServerLiveRequest),
            "ServerReady": (self._server_ready, pb.ServerReadyRequest),
            "ModelReady": (self._model_ready, pb.ModelReadyRequest),
            "ServerMetadata": (self._server_metadata, pb.ServerMetadataRequest),
            "ModelMetadata": (self._model_metadata, pb.ModelMetadataRequest),
            "RepositoryIndex": (self._repository_index, pb.RepositoryIndexRequest),
        }
        known: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(_plain(*method)) for name, method in methods.items()
        }
        infer: Any = grpc.unary_unary_rpc_method_handler(self._infer)
        return grpc.method_handlers_generic_handler(SERVICE, {**known, "ModelInfer": infer})

    async def _infer(self, data: bytes, context: Context) -> bytes:
        started = self._plane.begin()
        kind: Kind | None = Kind.FAILED
        try:
            response = await self._predict(data, context.time_remaining())
            answer = encode_message(response)
            kind = None
        except RequestError as error:
            kind = error.kind
            return await _refuse(context, error)
        except asyncio.CancelledError:
            # The library cancels when the caller does, and when the caller's deadline has passed.
            left = context.time_remaining()
            kind = Kind.ABANDONED if left is None or left > 0 else Kind.DEADLINE
            raise
        except Exception:
            log.exception("a request failed inside the runtime")
            return await _refuse(context, RequestError(Kind.FAILED, "internal error of the runtime"))
        finally:
            self._plane.record(started, kind)
        return answer

    async def _predict(self, data: bytes, seconds_left: float | None) -> InferResponse:
        message = _parse(pb.ModelInferRequest, data)
        model = self._plane.find(message.model_name, message.model_version or None)
        self._plane.admit(model)
        request = decode_message(message, model, seconds_left)
        work = self._plane.submit(model, request)
        try:
            outputs = await work.future
        except asyncio.CancelledError:
            model.batcher.drop(work, RequestError(Kind.ABANDONED, "the caller is gone"))
            raise
        return InferResponse(model, request.id, dict(zip(work.outputs, outputs, strict=True)))

    def _server_live(self, _: pb.ServerLiveRequest) -> Message:
        return pb.ServerLiveResponse(live=True)

    def _server_ready(self, _: pb.ServerReadyRequest) -> Message:
        return pb.ServerReadyResponse(ready=self._plane.ready)

    def _model_ready(self, request: pb.ModelReadyRequest) -> Message:
        try:
            self._plane.find(request.name, request.version or None)
        except RequestError as error:
            if error.kind is not Kind.NOT_READY:
                raise
        return pb.ModelReadyResponse(ready=self._plane.ready)

    def _server_metadata(self, _: pb.ServerMetadataRequest) -> Message:
        return pb.ServerMetadataResponse(name="sluice", version=__version__, extensions=EXTENSIONS)

    def _model_metadata(self, request: pb.ModelMetadataRequest) -> Message:
        return describe_model(self._plane.find(request.name, request.version or None))

    def _repository_index(self, request: pb.RepositoryIndexRequest) -> Message:
        models = [pb.RepositoryIndexResponse.ModelIndex(**model) for model in index(self._plane, request.ready)]
        return pb.RepositoryIndexResponse(models=models)


class Health(health.HealthServicer):  # type: ignore[misc]  # untyped
    """The standard health service: readiness, under the empty name and the protocol's service."""

    def __init__(self, plane: Plane) -> None:
        super().__init__()
        self._plane = plane

    async def Check(  # noqa: N802 - gRPC's name
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """The state right now."""
        await self.update()
        return await super().Check(request, context)

    async def update(self) -> None:
        """Tell the library what is true; it tells those who watch."""
        states = health_pb2.HealthCheckResponse
        for name in ("", SERVICE):
            await self.set(name, states.SERVING if self._plane.ready else states.NOT_SERVING)

    async def keep_updated(self) -> None:
        """Until cancelled."""
        while True:
            await self.update()
            await asyncio.sleep(_HEALTH_SECONDS)


class GrpcServer:
    """The listening server. Health and reflection answer whatever state the model is in."""

    def __init__(self, plane: Plane, config: RuntimeConfig) -> None:
        self._server = grpc.aio.server(options=_options(config), maximum_concurrent_rpcs=config.limits.max_queue)
        self._address = f"{config.host}:{config.grpc_port}"
        self._plane = plane
        self._health = Health(plane)
        self._updates: asyncio.Task[None] | None = None
        self._server.add_generic_rpc_handlers((Inference(plane).handlers(), _Reflection()))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    async def start(self) -> None:
        """Listen.

        Raises:
            RuntimeError: the port is taken.
        """
        self._server.add_insecure_port(self._address)
        await self._server.start()
        self._updates = asyncio.create_task(self._health.keep_updated())

    async def stop(self, grace_seconds: float) -> None:
        """Ask callers to leave, let predictions end, then close; health watchers alone are not waited for."""
        if self._updates is not None:
            self._updates.cancel()
        stopping = asyncio.create_task(self._server.stop(grace_seconds))
        while self._plane.in_flight and not stopping.done():  # noqa: ASYNC110 - counted for every request, set for none
            await asyncio.sleep(0.02)
        await self._server.stop(min(_LAST_WORDS_SECONDS, grace_seconds))
        await stopping


def _options(config: RuntimeConfig) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", config.limits.max_body_bytes),
        # Answers are as large as the model makes them.
        ("grpc.max_send_message_length", -1),
        # A second process on the port is a mistake, and would take half of the requests.
        ("grpc.so_reuseport", 0),
    ]


def _plain(answer: Callable[[Any], Message], kind: type[Message]) -> Callable[[bytes, Context], Any]:
    """A method that only reads: bytes in, bytes out, refusals as status codes."""

    async def handle(data: bytes, context: Context) -> bytes:
        try:
            return answer(_parse(kind, data)).SerializeToString()
        except RequestError as error:
            return await _refuse(context, error)

    return handle


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise RequestError(Kind.INVALID, f"the message is no {kind.__name__}") from error


async def _refuse(context: Context, error: RequestError) -> bytes:
    await context.abort(CODES[error.kind], error.message)
    raise AssertionError("abort raises")


class _Reflection(grpc.GenericRpcHandler):
    """Server reflection, imported by the first who asks: a debugging aid should not cost every pod its memory."""

    _PREFIX = "/grpc.reflection.v1alpha.ServerReflection/"

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if not handler_call_details.method.startswith(self._PREFIX):
            return None
        from grpc_reflection.v1alpha import reflection, reflection_pb2  # noqa: PLC0415

        servicer = reflection.aio.ReflectionServicer((SERVICE, HEALTH, reflection.SERVICE_NAME))
        return grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
