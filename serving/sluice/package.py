"""The model package: a folder with `model.yaml` and `model.onnx`, or an archive of it. Written and opened here.

A package is data only. Nothing in it is executed when it is opened.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sluice.archive import write_archive
from sluice.digest import package_digest
from sluice.failures import PackageError, Reason
from sluice.manifest import MANIFEST_FILE, MODEL_FILE, Datatype, Manifest, TensorSpec, dump_manifest, load_manifest
from sluice.uri import ARCHIVE_SUFFIXES

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Package:
    """A package that is complete: its manifest is valid and its model file is there."""

    folder: Path
    manifest: Manifest
    digest: str

    @property
    def model_path(self) -> Path:
        return self.folder / MODEL_FILE


def open_package(folder: Path, expected_digest: str | None = None) -> Package:
    """Check a package folder and compute its digest. The graph itself is not read.

    Raises:
        PackageError: InvalidPackage, UnsafeArchive or DigestMismatch.
    """
    digest = package_digest(folder)
    if expected_digest is not None and digest != expected_digest:
        raise PackageError(
            Reason.DIGEST_MISMATCH,
            f"the package has digest {digest}, but {expected_digest} is wanted; "
            "publish the package again or correct spec.model.digest",
        )
    for name in (MANIFEST_FILE, MODEL_FILE):
        if not (folder / name).is_file():
            raise PackageError(Reason.INVALID_PACKAGE, _missing(folder, name))
    return Package(folder, load_manifest(folder / MANIFEST_FILE), digest)


def write_package(model_path: Path, name: str, version: str, out: Path) -> Package | Path:
    """Make a package of an ONNX file (with its external data files, if it has any).

    `out` names an archive when it ends in .tar.gz or .tgz, otherwise a folder that does not exist yet. The signature
    comes from the graph; this needs the `onnx` package. Equal inputs give equal bytes.

    Returns the opened package for a folder, the archive's path otherwise.

    Raises:
        PackageError: the graph cannot be served; SignatureUnsupported names the tensor.
        FileExistsError: `out` exists.
    """
    if out.name.endswith(".tar"):
        raise ValueError(f"{out.name}: write .tar.gz, .tgz or a folder")
    if out.exists():
        raise FileExistsError(out)
    if not out.name.endswith(ARCHIVE_SUFFIXES):
        return _write_folder(model_path, name, version, out)
    with tempfile.TemporaryDirectory() as scratch:
        package = _write_folder(model_path, name, version, Path(scratch) / "package")
        write_archive(package.folder, out)
    return out


def _write_folder(model_path: Path, name: str, version: str, out: Path) -> Package:
    import onnx

    model = onnx.load(model_path, load_external_data=False)
    manifest = _manifest_of(model, name, version)
    out.mkdir(parents=True)
    shutil.copyfile(model_path, out / MODEL_FILE)
    for location in _external_files(model):
        (out / location).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model_path.parent / location, out / location)
    (out / MANIFEST_FILE).write_text(dump_manifest(manifest), encoding="utf-8")
    return open_package(out)


def _manifest_of(model: onnx.ModelProto, name: str, version: str) -> Manifest:
    graph = model.graph
    initialized = {tensor.name for tensor in graph.initializer}
    inputs = [_tensor_spec(value) for value in graph.input if value.name not in initialized]
    # A sequence or map (skl2onnx's ZipMap) has no form in the protocol: such outputs are not offered.
    outputs = [_tensor_spec(value) for value in graph.output if value.type.HasField("tensor_type")]
    return Manifest(name=name, version=version, inputs=tuple(inputs), outputs=tuple(outputs))


def _tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    import onnx

    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
    if not value.type.HasField("tensor_type") or kind not in _DATATYPES or not tensor.HasField("shape"):
        raise PackageError(
            Reason.SIGNATURE_UNSUPPORTED,
            f"{value.name!r} is no tensor of a type the protocol knows with a known rank; export the model without it",
        )
    shape = tuple(dim.dim_value if dim.dim_value > 0 else -1 for dim in tensor.shape.dim)
    return TensorSpec(name=value.name, datatype=_DATATYPES[kind], shape=shape)


def _external_files(model: onnx.ModelProto) -> list[str]:
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    tensors = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
    return sorted({str(ExternalDataInfo(tensor).location) for tensor in tensors})


def _missing(folder: Path, name: str) -> str:
    nested = next(iter(sorted(folder.glob(f"*/{name}"))), None)
    if nested is None:
        return f"{name} is missing; a package holds {MANIFEST_FILE} and {MODEL_FILE}"
    return f"{name} lies in the folder {nested.parent.name!r}; pack that folder's content, not the folder itself"


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
    "STRING": Datatype.BYTES,
}
"""ONNX element types (onnx.proto, TensorProto.DataType) by their V2 names."""
