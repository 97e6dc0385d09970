"""A package's Python code around its graph, seen from outside as one model: batches go in, batches come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sluice.failures import PackageError, Reason
from sluice.manifest import CODE_FOLDER, Datatype, Manifest, TensorSpec
from sluice.model import Model, to_columns, to_tensors
from sluice.package import Package
from sluice_runtime.preprocessing.importing import guarded, import_entrypoint, told
from sluice_runtime.sessions import Session
from sluice_runtime.signature import NUMPY_TYPES, Signature, Tensor, Tensors


class CodeError(Exception):
    """A package's code failed on a request; the message says where and how."""


class CodePredictor:
    """`preprocess`, the graph, `postprocess`. Whatever it raises is the model's failure, and of that request alone."""

    def __init__(self, session: Session, model: Model, package: Package) -> None:
        self.signature = signature_of(package.manifest, session.signature)
        self._session = session
        self._model = model
        self._code = package.folder / CODE_FOLDER
        self._graph_outputs = [spec.name for spec in session.signature.outputs]

    def run(self, outputs: list[str], inputs: Tensors) -> list[Tensor]:
        """Run code and graph on a batch; may be called from any thread."""
        rows = next(iter(inputs.values())).shape[0] if self.signature.batchable else None
        # Copies, because tensors that came as raw bytes are read-only, and those of a request may be needed once more.
        own = {name: tensor.copy() for name, tensor in inputs.items()}
        prepared = self._call("preprocess", self._model.preprocess, own, self._session.signature.inputs, rows)
        given = self._session.run(self._graph_outputs, prepared)
        graph = dict(zip(self._graph_outputs, given, strict=True))
        answer = self._call("postprocess", self._model.postprocess, graph, self.signature.outputs, rows)
        return [answer[name] for name in outputs]

    def stop(self) -> None:
        """Make the graph's current run fail; Python code cannot be stopped."""
        self._session.stop()

    def resume(self) -> None:
        """Let runs succeed again."""
        self._session.resume()

    def _call(
        self, what: str, method: Any, tensors: Tensors, wanted: tuple[TensorSpec, ...], rows: int | None
    ) -> dict[str, Tensor]:
        try:
            return fitting(to_tensors(method(to_columns(tensors))), wanted, rows)
        except BaseException as error:  # an exit or a cancellation would end the thread that runs for all
            raise CodeError(f"{what}: {told(error, self._code)}") from error


def load_code(package: Package, session: Session) -> CodePredictor:
    """Import a package's code and restore its fitted state.

    Raises:
        PackageError: CodeFailed, with the line of the package's code that failed last.
    """
    code = package.folder / CODE_FOLDER
    declared = package.manifest.preprocessing
    if declared is None:
        raise PackageError(Reason.INVALID_PACKAGE, "model.yaml declares no preprocessing")
    kind = import_entrypoint(code, declared.entrypoint, package.digest[-12:])
    if not (isinstance(kind, type) and issubclass(kind, Model)):
        raise PackageError(Reason.CODE_FAILED, f"{declared.entrypoint} is no subclass of sluice.Model")
    return CodePredictor(session, guarded(code, declared.entrypoint, lambda: _restored(kind, code)), package)


def _restored(kind: type[Model], code: Path) -> Model:
    model = kind()
    model.restore(code)
    return model


def signature_of(manifest: Manifest, graph: Signature) -> Signature:
    """What callers see: the inputs that the code takes and the outputs that it gives. Rows stay rows on the way.

    Raises:
        PackageError: SignatureUnsupported.
    """
    tensors = (*manifest.inputs, *manifest.outputs)
    if any(spec.datatype is Datatype.BF16 for spec in (*tensors, *graph.inputs, *graph.outputs)):
        raise PackageError(
            Reason.SIGNATURE_UNSUPPORTED, "Python code has no numbers for BF16; let the graph cast from and to FP32"
        )
    rows = graph.batchable and all(spec.shape[:1] == (-1,) for spec in tensors)
    return Signature(manifest.inputs, manifest.outputs, batchable=rows)


def fitting(tensors: Tensors, wanted: tuple[TensorSpec, ...], rows: int | None) -> dict[str, Tensor]:
    """Tensors in the types and shapes they are wanted in, and no others. Numbers keep their kind and their size: no
    fraction is cut, and nothing wraps around.

    `rows`: as many as were asked with; None: their first dimension does not count them.

    Raises:
        ValueError: one is missing or does not fit, naming it.
    """
    missing = [spec.name for spec in wanted if spec.name not in tensors]
    if missing:
        raise ValueError(f"it returned {sorted(tensors)}, without {missing}")
    found = {spec.name: _fit(tensors[spec.name], spec) for spec in wanted}
    for name, tensor in found.items():
        if rows is not None and tensor.shape[0] != rows:
            raise ValueError(f"{name!r} has {tensor.shape[0]} rows for {rows} that were asked with")
    return found


def _fit(tensor: Tensor, spec: TensorSpec) -> Tensor:
    if len(spec.shape) == 1 and tensor.ndim == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if len(tensor.shape) != len(spec.shape) or any(
        want not in (-1, have) for have, want in zip(tensor.shape, spec.shape, strict=True)
    ):
        raise ValueError(f"{spec.name!r} has shape {list(tensor.shape)}, wanted {list(spec.shape)}")
    target = NUMPY_TYPES[spec.datatype]
    if spec.datatype is Datatype.BYTES:
        if tensor.dtype.kind != "O" or not all(isinstance(value, str) for value in tensor.flat):
            raise ValueError(f"{spec.name!r} holds {tensor.dtype}, wanted text")
        return tensor
    if not np.can_cast(tensor.dtype, target, "same_kind"):
        raise ValueError(f"{spec.name!r} holds {tensor.dtype}, wanted {spec.datatype}")
    if not _within_range(tensor, target):
        raise ValueError(f"{spec.name!r} holds {tensor.dtype} beyond the range of {spec.datatype}")
    return np.ascontiguousarray(tensor, target)


def _within_range(tensor: Tensor, target: np.dtype[Any]) -> bool:
    """Whether numbers stay themselves: whole ones would wrap around, and others become infinite."""
    if np.can_cast(tensor.dtype, target) or not tensor.size:
        return True
    if target.kind in "iu":
        limits = np.iinfo(target)
        return limits.min <= int(tensor.min()) and int(tensor.max()) <= limits.max
    with np.errstate(over="ignore"):
        return bool((np.isinf(tensor.astype(target)) == np.isinf(tensor)).all())
