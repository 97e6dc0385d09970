"""Asks a loaded model again what it was asked where it was trained, before anybody else may ask it.

Answers that differ mean that something between the raw values and the answer is not what it was in training: another
scaler, columns in another order, a library of another version. Nothing else would tell, as each of these answers well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from sluice.failures import PackageError, Reason
from sluice.manifest import SAMPLE_FILE, Datatype, Manifest, Sample, TensorSpec
from sluice.package import Package
from sluice.sample import SAMPLE_LIMIT, absolute_of
from sluice_runtime import bfloat16
from sluice_runtime.errors import RequestError
from sluice_runtime.protocol.binary import check_shape
from sluice_runtime.protocol.values import to_array
from sluice_runtime.sessions import Predictor, Rows
from sluice_runtime.signature import Signature, Tensor, Tensors

_MOST_ROWS = 10_000
"""More of them make a pod late, and nothing surer."""

_ROWS_ALONE = 256
"""Rows that are asked one by one, evenly spaced over all of them."""

_SHOWN = 60
"""Characters of a value in a message."""


Asked = NDArray[np.int64]
"""Numbers of rows."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was asked and what was answered in training, and how exactly it must be answered again."""

    inputs: Tensors
    outputs: Tensors
    tolerance: Sample

    def replay(self, predictor: Predictor, alone: bool) -> None:
        """Ask again, as one batch and, with `alone`, row by row.

        Raises:
            PackageError: SampleMismatch, naming output, row, expected and given value; InvalidPackage for too many.
        """
        rows = len(next(iter(self.inputs.values()))) if predictor.signature.batchable else 1
        if rows > _MOST_ROWS:
            raise _invalid(f"it has {rows} rows, and {_MOST_ROWS} are the most; some dozens are enough")
        together = _run(predictor, self, self.inputs)
        _hold_against(self, together, predictor.signature, "as one batch")
        if alone:
            asked = np.unique(np.linspace(0, rows - 1, min(rows, _ROWS_ALONE)).astype(np.int64))
            _hold_against(self, _row_by_row(predictor, self, asked), predictor.signature, "row by row", asked)

    def repeated(self, batchable: bool) -> Rows:
        """The recorded rows over and over; where no dimension counts rows, the inputs as they are."""
        if not batchable:
            return lambda rows: self.inputs
        return lambda rows: {name: tensor[np.arange(rows) % len(tensor)] for name, tensor in self.inputs.items()}


def read_sample(package: Package) -> Recorded | None:
    """Read a package's `sample.json` as strictly as a request; None if it has none.

    Raises:
        PackageError: InvalidPackage, naming what does not fit.
    """
    manifest = package.manifest
    if manifest.sample is None:
        return None
    try:
        document = orjson.loads(_content(package.folder / SAMPLE_FILE))
        if not isinstance(document, dict) or set(document) != {"inputs", "outputs"}:
            raise _invalid("it must be an object with inputs and outputs")
        inputs = _decoded(document["inputs"], manifest.inputs)
        outputs = _decoded(document["outputs"], manifest.outputs)
        Signature(manifest.inputs, (), batchable=False).check(inputs)
        _check_outputs(outputs, manifest)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"it is no JSON: {error}") from error
    except RequestError as error:
        raise _invalid(error.message) from error
    if any(tensor.shape[:1] == (0,) for tensor in inputs.values()):
        raise _invalid("it has no row")
    # In the order in which requests come to a model, whatever order they were written in.
    return Recorded({spec.name: inputs[spec.name] for spec in manifest.inputs}, outputs, manifest.sample)


def _check_outputs(outputs: Tensors, manifest: Manifest) -> None:
    if not outputs:
        raise _invalid("it expects no output")
    kept = tuple(spec for spec in manifest.outputs if spec.name in outputs)
    Signature(kept, (), batchable=False).check(outputs)


def _decoded(tensors: Any, specs: tuple[TensorSpec, ...]) -> dict[str, Tensor]:
    by_name = {spec.name: spec for spec in specs}
    found = {}
    for item in tensors if isinstance(tensors, list) else [tensors]:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in by_name or name in found:
            raise _invalid(f"unknown or repeated tensor {name!r}; the model has {list(by_name)}")
        found[name] = _tensor(item, by_name[name])
    return found


def _tensor(item: dict[str, Any], spec: TensorSpec) -> Tensor:
    if item.get("datatype") != spec.datatype:
        raise _invalid(f"{spec.name!r} has datatype {item.get('datatype')!r}, and the model {spec.datatype!s}")
    data, shape = item.get("data"), item.get("shape")
    if not isinstance(data, list) or not isinstance(shape, list):
        raise _invalid(f"{spec.name!r} needs a list of values as data, and a list of sizes as shape")
    tensor = to_array(data, spec)
    try:
        check_shape(shape, spec.name)
        return tensor.reshape(shape)
    except (ValueError, TypeError) as error:
        raise _invalid(f"{spec.name!r} has {tensor.size} values, and its shape is {shape}") from error


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(SAMPLE_LIMIT + 1)
    except OSError as error:
        raise _invalid("model.yaml declares a sample, and there is none") from error
    if len(content) > SAMPLE_LIMIT:
        raise _invalid(f"it is larger than {SAMPLE_LIMIT} bytes; some dozens of rows are enough")
    return content


def _row_by_row(predictor: Predictor, recorded: Recorded, asked: Asked) -> dict[str, Tensor]:
    parts = [_run(predictor, recorded, _row(recorded.inputs, row)) for row in asked.tolist()]
    return {name: np.concatenate([np.atleast_1d(part[name]) for part in parts]) for name in recorded.outputs}


def _row(inputs: Tensors, place: int) -> dict[str, Tensor]:
    return {name: tensor[place : place + 1] for name, tensor in inputs.items()}


def _run(predictor: Predictor, recorded: Recorded, inputs: Tensors) -> dict[str, Tensor]:
    names = list(recorded.outputs)
    try:
        return dict(zip(names, predictor.run(names, inputs), strict=True))
    except PackageError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        text = " ".join(str(error).split())[:600]
        raise PackageError(Reason.SAMPLE_MISMATCH, f"the model fails on rows of {SAMPLE_FILE}: {text}") from error


def _hold_against(
    recorded: Recorded, given: Mapping[str, Tensor], signature: Signature, way: str, asked: Asked | None = None
) -> None:
    """`asked`: which rows were; None: all of them."""
    for name, whole in recorded.outputs.items():
        tensor = whole if asked is None else whole[asked]
        if given[name].shape != tensor.shape:
            raise _mismatch(
                f"output {name!r} has shape {list(given[name].shape)}, expected {list(tensor.shape)}, {way}"
            )
        is_bfloat16 = signature.outputs_by_name[name].datatype is Datatype.BF16
        wanted, found, every = (
            bfloat16.to_float32(part) if is_bfloat16 else part for part in (tensor, given[name], whole)
        )
        relative, absolute = recorded.tolerance.relative, absolute_of(recorded.tolerance, every)
        wrong = np.argwhere(~np.atleast_1d(within(wanted, found, relative, absolute)))
        if len(wrong):
            exact = "" if wanted.dtype.kind != "f" else f" (within {relative:g} of it + {absolute:g})"
            told = _told(wrong, np.atleast_1d(wanted), np.atleast_1d(found), exact, asked)
            raise _mismatch(f"output {name!r}, {told}, {way}")


def within(expected: NDArray[Any], given: NDArray[Any], relative: float, absolute: float) -> NDArray[np.bool_]:
    """Which values are as they must be: numbers within the tolerance, NaN for NaN, all else exactly."""
    if expected.dtype.kind != "f":
        same: NDArray[np.bool_] = np.asarray(expected == given, dtype=np.bool_)
        return same
    wanted, found = expected.astype(np.float64), given.astype(np.float64)
    with np.errstate(invalid="ignore"):
        near = np.abs(found - wanted) <= absolute + relative * np.abs(wanted)
    near = near & np.isfinite(found) | (np.isnan(wanted) & np.isnan(found))
    return np.asarray(near, dtype=np.bool_)


def _told(wrong: NDArray[Any], expected: NDArray[Any], given: NDArray[Any], exact: str, asked: Asked | None) -> str:
    place = tuple(wrong[0])
    row = place[0] if asked is None else asked[place[0]]
    column = f", column {', '.join(map(str, place[1:]))}" if len(place) > 1 and expected.shape[1:] != (1,) else ""
    rows = len(set(wrong[:, 0].tolist()))
    return (
        f"row {row}{column}: expected {_shown(expected[place])}{exact}, given {_shown(given[place])} "
        f"({rows} of {len(expected)} rows differ)"
    )


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else f"{value:.9g}" if isinstance(value, np.floating) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _mismatch(message: str) -> PackageError:
    return PackageError(
        Reason.SAMPLE_MISMATCH,
        f"the model does not answer as it did in training. {message}. Its preprocessing, its fitted values or a "
        f"library is another one than {SAMPLE_FILE} was written with; make the package again from one training run",
    )


def _invalid(message: str) -> PackageError:
    return PackageError(Reason.INVALID_PACKAGE, f"{SAMPLE_FILE}: {message}")
