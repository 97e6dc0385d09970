"""The Open Inference Protocol V2 over gRPC, with health and reflection, on the loop and the data plane of REST."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from sluice import __version__
from sluice.config import RuntimeConfig
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.http2.connection import Http2Connection
from sluice_runtime.http2.head import Fields
from sluice_runtime.plane import Plane
from sluice_runtime.protocol.calls import Call, Site
from sluice_runtime.protocol.health import NAME as HEALTH
from sluice_runtime.protocol.health import Health, Watch
from sluice_runtime.protocol.inference import Infer
from sluice_runtime.protocol.messages import describe_model
from sluice_runtime.protocol.methods import Answer, Plain, Unknown
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from sluice_runtime.protocol.repository import index
from sluice_runtime.protocol.rest import EXTENSIONS

SERVICE = "inference.GRPCInferenceService"
REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
SERVICES = frozenset((SERVICE, HEALTH, *REFLECTIONS))

_BACKLOG = 2048

Method = Callable[[Http2Connection, int, Fields], Call]


class Reading:
    """The protocol's methods that only read. Each takes the parsed request and gives the response."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def methods(self) -> dict[str, Answer]:
        """By name, with the kind of their request."""
        return {
            "ServerLive": (self._server_live, pb.ServerLiveRequest),
            "ServerReady": (self._server_ready, pb.ServerReadyRequest),
            "ModelReady": (self._model_ready, pb.ModelReadyRequest),
            "ServerMetadata": (self._server_metadata, pb.ServerMetadataRequest),
            "ModelMetadata": (self._model_metadata, pb.ModelMetadataRequest),
            "RepositoryIndex": (self._repository_index, pb.RepositoryIndexRequest),
        }

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


class GrpcServer:
    """The listening server. Health and reflection answer whatever state the model is in."""

    def __init__(self, site: Site, config: RuntimeConfig) -> None:
        self._site = site
        self._config = config
        self._methods = _methods(site)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        config, loop = self._config, asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, config.host, config.grpc_port, backlog=_BACKLOG)

    def leave(self) -> None:
        """Ask callers to go elsewhere; whoever asks all the same is answered."""
        for connection in self._connections():
            connection.leave()

    def close(self) -> None:
        """Listen no more, and close each connection when its calls are answered."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections():
            connection.shutdown()

    def _connect(self) -> Http2Connection:
        return Http2Connection(self._site.door, self._open)

    def _open(self, line: Http2Connection, number: int, head: Fields) -> Call:
        method = self._methods.get(head[b":path"])
        return Unknown(self._site, line, number, head) if method is None else method(line, number, head)

    def _connections(self) -> list[Http2Connection]:
        return [found for found in self._site.door.state.connections if isinstance(found, Http2Connection)]


def _methods(site: Site) -> dict[bytes, Method]:
    """All methods by their paths."""
    health = Health(site.plane, frozenset(("", SERVICE)))
    plain: dict[str, Answer] = {f"{SERVICE}/{name}": method for name, method in Reading(site.plane).methods().items()}
    plain[f"{HEALTH}/Check"] = (health.check, health_pb2.HealthCheckRequest)
    methods: dict[str, Method] = {path: partial(Plain, method, site) for path, method in plain.items()}
    methods[f"{SERVICE}/ModelInfer"] = partial(Infer, site)
    methods[f"{HEALTH}/Watch"] = partial(Watch, health, site)
    for name in REFLECTIONS:
        methods[f"{name}/ServerReflectionInfo"] = partial(_reflect, site)
    return {f"/{path}".encode(): method for path, method in methods.items()}


def _reflect(site: Site, line: Http2Connection, number: int, head: Fields) -> Call:
    from sluice_runtime.protocol.reflection import Reflect  # noqa: PLC0415

    return Reflect(SERVICES, site, line, number, head)
