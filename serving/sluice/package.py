"""The model package: a folder with `model.yaml` and `model.onnx`, or an archive of it. Written and opened here.

A package is data only. Nothing in it is executed when it is opened.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sluice.archive import write_archive
from sluice.digest import package_digest
from sluice.failures import PackageError, Reason
from sluice.manifest import MANIFEST_FILE, MODEL_FILE, Manifest, dump_manifest, load_manifest
from sluice.uri import ARCHIVE_SUFFIXES


@dataclass(frozen=True, slots=True)
class Package:
    """A package that is complete: its manifest is valid and its model file is there."""

    folder: Path
    manifest: Manifest
    digest: str

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
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


def write_package(model_path: Path, name: str, version: str, out: Path) -> str:
    """Make a package of an ONNX file (with its external data files, if it has any).

    `out` names an archive when it ends in .tar.gz or .tgz, otherwise a folder that does not exist yet. The signature
    comes from the graph; this needs the `onnx` package. Equal inputs give equal bytes.

    Returns the package's digest, which is the same for folder and archive.

    Raises:
        PackageError: the graph cannot be served; SignatureUnsupported names the tensor.
        FileExistsError: `out` exists.
    """
    if out.name.endswith(".tar"):
        raise ValueError(f"{out.name}: write .tar.gz, .tgz or a folder")
    if out.exists():
        raise FileExistsError(out)
    if not out.name.endswith(ARCHIVE_SUFFIXES):
        return _write_folder(model_path, name, version, out).digest
    with tempfile.TemporaryDirectory() as scratch:
        package = _write_folder(model_path, name, version, Path(scratch) / "package")
        write_archive(package.folder, out)
    return package.digest


def _write_folder(model_path: Path, name: str, version: str, out: Path) -> Package:
    # Only who writes packages needs the onnx package; the operator and the runtime just open them.
    from sluice.graph import external_files, read_graph, signature_of  # noqa: PLC0415

    graph = read_graph(model_path)
    inputs, outputs = signature_of(graph)
    manifest = Manifest(name=name, version=version, inputs=inputs, outputs=outputs)
    out.mkdir(parents=True)
    shutil.copyfile(model_path, out / MODEL_FILE)
    for location in external_files(graph):
        (out / location).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model_path.parent / location, out / location)
    (out / MANIFEST_FILE).write_text(dump_manifest(manifest), encoding="utf-8")
    return open_package(out)


def _missing(folder: Path, name: str) -> str:
    nested = next(iter(sorted(folder.glob(f"*/{name}"))), None)
    if nested is None:
        return f"{name} is missing; a package holds {MANIFEST_FILE} and {MODEL_FILE}"
    return f"{name} lies in the folder {nested.parent.name!r}; pack that folder's content, not the folder itself"
