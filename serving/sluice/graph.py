"""What an ONNX file takes and gives, read without running it.

Needs the `onnx` package, so only packaging imports this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from sluice.failures import PackageError, Reason
from sluice.manifest import Datatype, TensorSpec


def read_graph(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file; external tensor data stays on disk.

    Raises:
        PackageError: ModelCorrupt.
    """
    try:
        return onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise PackageError(Reason.MODEL_CORRUPT, f"{path.name} is no ONNX file; export the model again") from error


def signature_of(model: onnx.ModelProto) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a graph. Outputs that are no tensors have no form in the protocol and are left out.

    Raises:
        PackageError: SignatureUnsupported, naming the tensor.
    """
    graph = model.graph
    initialized = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_tensor_spec(value) for value in graph.input if value.name not in initialized)
    return inputs, tuple(_tensor_spec(value) for value in graph.output if value.type.HasField("tensor_type"))


def external_files(model: onnx.ModelProto) -> list[str]:
    """Files beside the model that hold its large tensors, relative to its folder.

    Raises:
        PackageError: UnsafeArchive for a file that is not beside or below the model.
    """
    stored = [tensor for tensor in _tensors(model) if uses_external_data(tensor)]
    locations = sorted({str(ExternalDataInfo(tensor).location) for tensor in stored})
    for location in locations:
        if Path(location).is_absolute() or ".." in Path(location).parts:
            raise PackageError(Reason.UNSAFE_ARCHIVE, f"tensor data {location!r} lies outside the model's folder")
    return locations


def opsets(model: onnx.ModelProto) -> dict[str, int]:
    """Operator sets the graph is written in, by domain; ONNX's own is `ai.onnx`."""
    return {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}


def unserved_outputs(model: onnx.ModelProto) -> list[str]:
    """Outputs that are no tensors (sequences, maps): the protocol has no form for them."""
    return [value.name for value in model.graph.output if not value.type.HasField("tensor_type")]


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every constant of a model: of its graph, of the bodies of its loops and branches, of its functions."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for body in (attribute.g, *attribute.graphs):
            yield from _graph_tensors(body)


def _tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
    if not value.type.HasField("tensor_type") or kind not in _DATATYPES or not tensor.HasField("shape"):
        raise PackageError(
            Reason.SIGNATURE_UNSUPPORTED,
            f"{value.name!r} is no tensor of a type the protocol knows with a known rank; export the model without it",
        )
    shape = tuple(dim.dim_value if dim.dim_value > 0 else -1 for dim in tensor.shape.dim)
    return TensorSpec(name=value.name, datatype=_DATATYPES[kind], shape=shape)


_DATATYPES = {
    "BOOL": Datatype.BOOL,
    "UINT8": Datatype.UINT8,
    "UINT16": Datatype.UINT16,
    "UINT32": Datatype.UINT32,
    "UINT64": Datatype.UINT64,
    "INT8": Datatype.INT8,
    "INT16": Datatype.INT16,
    "INT32": Datatype.INT32,
    "INT64": Datatype.INT64,
    "FLOAT16": Datatype.FP16,
    "FLOAT": Datatype.FP32,
    "DOUBLE": Datatype.FP64,
    "BFLOAT16": Datatype.BF16,
    "STRING": Datatype.BYTES,
}
"""ONNX element types (onnx.proto, TensorProto.DataType) by their V2 names."""
