"""The model package: a folder with `model.yaml` and `model.onnx`, or an archive of it. Written and opened here.

Nothing in a package is executed when it is opened. It is data only, unless its manifest declares `preprocessing`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sluice.archive import extract_archive, write_archive
from sluice.config import DEFAULT_PACKAGE_BYTES
from sluice.digest import package_digest, package_files
from sluice.failures import PackageError, Reason
from sluice.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    README_FILE,
    SAMPLE_FILE,
    STATISTICS_FILE,
    Card,
    Manifest,
    TensorSpec,
    dump_manifest,
    load_manifest,
)
from sluice.parts import Parts, check_parts, sampled_signature
from sluice.pickles import refuse_pickles
from sluice.uri import ARCHIVE_SUFFIXES

_OTHER_FILES = (".tar", ".zip", ".onnx", ".yaml")
_Signature = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]
_NO_PARTS = Parts()


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

    def copy_to(self, folder: Path) -> None:
        """Copy the package's files into an existing folder."""
        for path in package_files(self.folder):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / path, folder / path)


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
    files = list(package_files(folder))
    refuse_pickles(folder, files)
    manifest = load_manifest(folder / MANIFEST_FILE)
    check_parts(folder, manifest, files)
    return Package(folder, manifest, digest)


def write_package(
    model_path: Path,
    name: str,
    version: str,
    out: Path,
    *,
    card: Card | None = None,
    doc: Path | None = None,
    parts: Parts = _NO_PARTS,
    preprocess: Path | None = None,
    check: Callable[[Package], None] = lambda package: None,
) -> str:
    """Make a package of an ONNX file (with its external data files, if it has any).

    `out` names an archive when it ends in .tar.gz or .tgz, otherwise a folder that does not exist yet. The signature
    comes from the graph; this needs the `onnx` package. `doc` is a Markdown file that becomes the package's README.
    `preprocess` is a graph that is put in front of the model's, so that the package holds one graph. `check` sees the
    package before anybody else does; what it raises keeps the package from its place.
    Equal inputs give equal bytes, and `out` appears only when it is complete.

    Returns the package's digest, which is the same for folder and archive.

    Raises:
        PackageError: the graph cannot be served; SignatureUnsupported names the tensor.
        ValueError: a name or version that cannot be one (pydantic.ValidationError), or parts that do not fit.
        FileExistsError: `out` exists.
        FileNotFoundError: the model, or a file that holds its tensors, is not there.
    """
    with new_package(out) as folder:
        inputs, outputs = _write_graph(model_path, preprocess, folder)
        if parts.code is not None:
            inputs, outputs = _signature_of_code(parts)
        manifest = Manifest(name=name, version=version, inputs=inputs, outputs=outputs, card=card, **parts.declared())
        parts.copy_to(folder)
        if doc is not None:
            shutil.copyfile(doc, folder / README_FILE)
        (folder / MANIFEST_FILE).write_text(dump_manifest(manifest), encoding="utf-8")
        package = open_package(folder)
        check(package)
        return package.digest


@contextlib.contextmanager
def new_package(out: Path) -> Iterator[Path]:
    """An empty folder to fill. When the context ends well its content is at `out`, whole and at once: as an archive
    where `out` ends in .tar.gz or .tgz, otherwise as a folder.

    Raises:
        ValueError, OSError: as `check_new`.
    """
    check_new(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside its final place, because a rename cannot cross file systems.
    with tempfile.TemporaryDirectory(prefix=".sluice-", dir=out.parent) as scratch:
        folder, archive = Path(scratch) / "package", Path(scratch) / "archive"
        folder.mkdir()
        yield folder
        if not out.name.endswith(ARCHIVE_SUFFIXES):
            folder.rename(out)
        else:
            write_archive(folder, archive)
            archive.rename(out)


def check_new(out: Path) -> None:
    """Whether a new package can be written there.

    Raises:
        ValueError: `out` is called as another kind of file is.
        FileExistsError: `out` exists. NotADirectoryError, PermissionError: nothing can be written beside it.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists; a package is never changed, so give the new one a new place")
    if out.suffix in _OTHER_FILES:
        raise ValueError(f"{out.name}: write .tar.gz, .tgz or a folder")
    there = next(folder for folder in out.absolute().parents if folder.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{out} cannot be written: {there} is no folder")
    if not os.access(there, os.W_OK):
        raise PermissionError(f"{out} cannot be written: {there} is read-only, or belongs to somebody else")


@contextlib.contextmanager
def opened(source: Path, max_bytes: int = DEFAULT_PACKAGE_BYTES) -> Iterator[Package]:
    """A package folder or archive, opened; an archive is unpacked for as long as the context lasts.

    Raises:
        PackageError: InvalidPackage, UnsafeArchive or PackageTooLarge.
        FileNotFoundError: there is nothing.
    """
    if source.is_dir():
        yield open_package(source)
        return
    with tempfile.TemporaryDirectory(prefix="sluice-") as scratch:
        extract_archive(source, Path(scratch), max_bytes)
        yield open_package(Path(scratch))


def _write_graph(model_path: Path, preprocess: Path | None, out: Path) -> _Signature:
    """Put the graph into a package's folder; returns its inputs and outputs."""
    # Only who writes packages needs the onnx package; the operator and the runtime just open them.
    from sluice.graph import external_files, read_graph, signature_of  # noqa: PLC0415
    from sluice.merging import merged  # noqa: PLC0415

    if preprocess is not None:
        graph = merged(preprocess, model_path)
        (out / MODEL_FILE).write_bytes(graph.SerializeToString(deterministic=True))
        return signature_of(graph)
    graph = read_graph(model_path)
    signature = signature_of(graph)
    shutil.copyfile(model_path, out / MODEL_FILE)
    for location in external_files(graph):
        _copy_tensors(model_path.parent / location, out / location)
    return signature


def _signature_of_code(parts: Parts) -> _Signature:
    if parts.sample is None:
        raise ValueError(
            "a package with Python code needs a sample, which says what it is asked with and what it gives"
        )
    return sampled_signature(parts.sample)


def _copy_tensors(source: Path, target: Path) -> None:
    if target.name in (MANIFEST_FILE, MODEL_FILE, README_FILE, SAMPLE_FILE, STATISTICS_FILE):
        raise PackageError(
            Reason.INVALID_PACKAGE, f"tensor data is called {target.name!r} like a part of the package; rename it"
        )
    if not source.is_file():
        raise FileNotFoundError(f"{source} is not there; the model keeps tensors in it, so copy both together")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _missing(folder: Path, name: str) -> str:
    nested = next(iter(sorted(folder.glob(f"*/{name}"))), None)
    if nested is None:
        return f"{name} is missing; a package holds {MANIFEST_FILE} and {MODEL_FILE}"
    return f"{name} lies in the folder {nested.parent.name!r}; pack that folder's content, not the folder itself"
