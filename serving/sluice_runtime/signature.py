"""What the loaded graph takes and gives, and the check that a request fits.

A request is checked here completely, so that whatever the graph raises afterwards is the model's failure and never the
caller's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sluice.failures import PackageError, Reason
from sluice.manifest import Datatype, Manifest, TensorSpec
from sluice_runtime.errors import Kind, RequestError

Tensor = NDArray[Any]
Tensors = Mapping[str, Tensor]

NUMPY_TYPES: dict[Datatype, np.dtype[Any]] = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.UINT8: np.dtype(np.uint8),
    Datatype.UINT16: np.dtype(np.uint16),
    Datatype.UINT32: np.dtype(np.uint32),
    Datatype.UINT64: np.dtype(np.uint64),
    Datatype.INT8: np.dtype(np.int8),
    Datatype.INT16: np.dtype(np.int16),
    Datatype.INT32: np.dtype(np.int32),
    Datatype.INT64: np.dtype(np.int64),
    Datatype.FP16: np.dtype(np.float16),
    Datatype.FP32: np.dtype(np.float32),
    Datatype.FP64: np.dtype(np.float64),
    Datatype.BF16: np.dtype(np.uint16),
    Datatype.BYTES: np.dtype(np.object_),
}
"""Datatypes as they are held in numpy; BYTES is an array of `str`, BF16 its bit patterns (see `bfloat16`)."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs in the graph's order. `batchable`: dimension 0 of every tensor counts rows."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batchable: bool
    inputs_by_name: Mapping[str, TensorSpec] = field(init=False, repr=False, compare=False)
    outputs_by_name: Mapping[str, TensorSpec] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs_by_name", {spec.name: spec for spec in self.inputs})
        object.__setattr__(self, "outputs_by_name", {spec.name: spec for spec in self.outputs})

    @property
    def bounded(self) -> bool:
        """True when the number of rows alone tells how much a request costs: no other dimension is open, no text."""
        open_allowed = 1 if self.batchable else 0
        return all(spec.datatype is not Datatype.BYTES and -1 not in spec.shape[open_allowed:] for spec in self.inputs)

    @property
    def row_bytes(self) -> int:
        """What one row of the inputs holds, where every open dimension is 1."""
        sizes = ((spec, [abs(size) for size in spec.shape[1:]]) for spec in self.inputs)
        return sum(math.prod(shape) * NUMPY_TYPES[spec.datatype].itemsize for spec, shape in sizes)

    def check(self, tensors: Tensors) -> None:
        """Check a request's tensors against the inputs.

        Raises:
            RequestError: INVALID, naming the tensor.
        """
        for spec in self.inputs:
            tensor = tensors.get(spec.name)
            if tensor is None:
                raise RequestError(Kind.INVALID, f"input {spec.name!r} is missing")
            if not fits(tensor.shape, spec.shape):
                raise RequestError(
                    Kind.INVALID,
                    f"input {spec.name!r} has shape {list(tensor.shape)}, expected {list(spec.shape)}",
                )
        if len(tensors) > len(self.inputs):
            unknown = sorted(set(tensors) - {spec.name for spec in self.inputs})
            raise RequestError(Kind.INVALID, f"unknown inputs {unknown}")
        if self.batchable and len(self.inputs) > 1:
            self._check_rows(tensors)

    def check_outputs(self, names: Sequence[str]) -> None:
        """Check the names of requested outputs.

        Raises:
            RequestError: INVALID.
        """
        known = [spec.name for spec in self.outputs]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise RequestError(Kind.INVALID, f"unknown outputs {unknown}; the model has {known}")

    def _check_rows(self, tensors: Tensors) -> None:
        rows = {name: tensor.shape[0] for name, tensor in tensors.items()}
        if len(set(rows.values())) > 1:
            raise RequestError(Kind.INVALID, f"inputs differ in their number of rows: {rows}")


@dataclass(frozen=True, slots=True)
class Requests:
    """What requests may carry: the model's inputs, and the keys under which a feature store knows the rest of them.

    `optional`: inputs that may be left out. `blank`: inputs of text in which `null` is a missing value. `parameters`:
    what the metadata says of an input beside its form: `key`, `optional`, `source` (what fills it in where it is left
    out), and `accepted`, false where it must be left out.
    """

    inputs: tuple[TensorSpec, ...]
    optional: frozenset[str] = frozenset()
    blank: frozenset[str] = frozenset()
    parameters: Mapping[str, Mapping[str, str | bool]] = field(default_factory=dict)
    by_name: Mapping[str, TensorSpec] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {spec.name: spec for spec in self.inputs})


class Served(Protocol):
    """What requests are decoded for: whatever says what they may carry."""

    @property
    def requests(self) -> Requests:
        """The inputs of requests."""
        ...


def read_signature(inputs: Sequence[Any], outputs: Sequence[Any]) -> Signature:
    """Signature of a graph from ONNX Runtime's node arguments (each with `name`, `type`, `shape`).

    Raises:
        PackageError: SignatureUnsupported for an input that is no tensor of a known type, or for tensors that cannot go
            together.
    """
    takes = tuple(_spec(node) for node in inputs)
    gives = tuple(_spec(node) for node in outputs if node.type.startswith("tensor("))
    if any(spec.datatype is Datatype.BYTES for spec in takes) and any(spec.datatype is Datatype.BF16 for spec in gives):
        raise PackageError(
            Reason.SIGNATURE_UNSUPPORTED,
            "ONNX Runtime cannot take text and give BF16 in one run; let the graph cast its BF16 outputs to FP32",
        )
    rows = {node.shape[0] if node.shape else 0 for node in (*inputs, *outputs)}
    tensors_only = len(gives) == len(outputs)
    return Signature(takes, gives, batchable=bool(takes) and tensors_only and _one_row_dimension(rows))


def agree(signature: Signature, manifest: Manifest) -> None:
    """Check that the graph is what `model.yaml` says.

    Raises:
        PackageError: SignatureMismatch, naming the tensor.
    """
    for kind, graph, declared in (
        ("input", signature.inputs, manifest.inputs),
        ("output", signature.outputs, manifest.outputs),
    ):
        by_name = {spec.name: spec for spec in graph}
        if set(by_name) != {spec.name for spec in declared}:
            raise _mismatch(f"{kind}s {[spec.name for spec in declared]}", f"{kind}s {list(by_name)}")
        for spec in declared:
            found = by_name[spec.name]
            if spec.datatype != found.datatype or not _compatible(spec.shape, found.shape):
                raise _mismatch(f"{kind} {_describe(spec)}", _describe(found))


def fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """True for a shape that is as expected, where -1 is any size."""
    if len(shape) != len(expected):
        return False
    for have, want in zip(shape, expected):  # noqa: B905, SIM110 - spelled out, because every request comes here
        if want not in (-1, have):
            return False
    return True


def _compatible(declared: tuple[int, ...], found: tuple[int, ...]) -> bool:
    # ONNX Runtime infers dimensions that the exporter left open, so -1 on either side fits anything.
    return len(declared) == len(found) and all(
        -1 in (one, other) or one == other for one, other in zip(declared, found, strict=True)
    )


def _one_row_dimension(rows: set[int | str | None]) -> bool:
    """True when no first dimension is fixed and no two of them carry different names."""
    return not any(isinstance(size, int) for size in rows) and len(rows - {None}) <= 1


def _spec(node: Any) -> TensorSpec:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        raise PackageError(
            Reason.SIGNATURE_UNSUPPORTED, f"{node.name!r} is a {node.type}; export the model with plain tensors"
        )
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in node.shape)
    return TensorSpec(name=node.name, datatype=datatype, shape=shape)


def _describe(spec: TensorSpec) -> str:
    return f"{spec.name!r} {spec.datatype} {list(spec.shape)}"


def _mismatch(declared: str, found: str) -> PackageError:
    message = f"model.yaml declares {declared}, but the graph has {found}; write model.yaml anew from this graph"
    return PackageError(Reason.SIGNATURE_MISMATCH, message)


_DATATYPES = {
    "tensor(bool)": Datatype.BOOL,
    "tensor(uint8)": Datatype.UINT8,
    "tensor(uint16)": Datatype.UINT16,
    "tensor(uint32)": Datatype.UINT32,
    "tensor(uint64)": Datatype.UINT64,
    "tensor(int8)": Datatype.INT8,
    "tensor(int16)": Datatype.INT16,
    "tensor(int32)": Datatype.INT32,
    "tensor(int64)": Datatype.INT64,
    "tensor(float16)": Datatype.FP16,
    "tensor(float)": Datatype.FP32,
    "tensor(double)": Datatype.FP64,
    "tensor(bfloat16)": Datatype.BF16,
    "tensor(string)": Datatype.BYTES,
}
