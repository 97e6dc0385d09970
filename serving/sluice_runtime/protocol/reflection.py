"""Server reflection, v1 and v1alpha, whose messages are the same: what a debugging client asks about methods and types.

Imported by the first who asks: a debugging aid should not cost every pod its memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection_pb2 as pb

from sluice_runtime.http2.connection import Http2Connection
from sluice_runtime.http2.head import Fields
from sluice_runtime.protocol.calls import Call, Site
from sluice_runtime.protocol.methods import parse
from sluice_runtime.protocol.status import Status

ALPHA, V1 = "grpc.reflection.v1alpha", "grpc.reflection.v1"


def _pool() -> descriptor_pool.DescriptorPool:
    """Every file that was imported, and v1's, which differs from v1alpha's by its package alone."""
    pool = descriptor_pool.Default()
    alpha = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(alpha)
    v1 = text_format.Parse(text_format.MessageToString(alpha).replace(ALPHA, V1), descriptor_pb2.FileDescriptorProto())
    v1.name = "grpc/reflection/v1/reflection.proto"
    pool.Add(v1)
    return pool


_POOL = _pool()


def answer(request: Any, services: Iterable[str]) -> Any:
    """The response to one request of the protocol; what is not found is an error inside of it."""
    response = pb.ServerReflectionResponse(valid_host=request.host, original_request=request)
    kind = request.WhichOneof("message_request")
    try:
        if kind == "list_services":
            response.list_services_response.service.extend(pb.ServiceResponse(name=name) for name in sorted(services))
        elif kind == "all_extension_numbers_of_type":
            extended = _POOL.FindMessageTypeByName(request.all_extension_numbers_of_type)
            response.all_extension_numbers_response.base_type_name = extended.full_name
            numbers = sorted(extension.number for extension in _POOL.FindAllExtensions(extended))
            response.all_extension_numbers_response.extension_number.extend(numbers)
        else:
            response.file_descriptor_response.file_descriptor_proto.extend(_with_imports(_file(request, kind)))
    except KeyError:
        response.error_response.error_code = Status.NOT_FOUND
        response.error_response.error_message = "not found"
    return response


def _file(request: Any, kind: str | None) -> Any:
    extension: Any
    if kind == "file_by_filename":
        return _POOL.FindFileByName(request.file_by_filename)
    if kind == "file_containing_symbol":
        return _POOL.FindFileContainingSymbol(request.file_containing_symbol)
    if kind == "file_containing_extension":
        wanted = request.file_containing_extension
        extended = _POOL.FindMessageTypeByName(wanted.containing_type)
        extension = _POOL.FindExtensionByNumber(extended, wanted.extension_number)
        return extension.file
    raise KeyError(kind)


def _with_imports(file: Any) -> list[bytes]:
    found: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        file = waiting.pop()
        if file.name not in found:
            found[file.name] = file.serialized_pb
            waiting.extend(file.dependencies)
    return list(found.values())


class Reflect(Call):
    """ServerReflectionInfo: an answer for each message."""

    __slots__ = ("_services",)

    def __init__(self, services: frozenset[str], site: Site, line: Http2Connection, number: int, head: Fields) -> None:
        super().__init__(site, line, number, head)
        self._services = services

    def message(self, data: bytes) -> None:
        """Answer one message."""
        self.push(answer(parse(pb.ServerReflectionRequest, data), self._services).SerializeToString())

    def complete(self) -> None:
        """The caller has no more questions."""
        self.finish(Status.OK)

    def overdue(self) -> None:
        """A caller may think about its next question."""

    def farewell(self) -> None:
        """The server ends."""
        if self.status is None:
            self.finish(Status.UNAVAILABLE, "the server is stopping")
