"""The packages that the tests deploy: good ones, bad ones, and files that are no packages at all."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from support import packages
from support.packages import Built

SLOW_ROUNDS = 150
NEWEST_OPSET = 99


@dataclass(frozen=True)
class Zoo:
    """Packages by name, and everything the store serves by file name."""

    built: Mapping[str, Built]
    files: Mapping[str, bytes]

    def expected(self, name: str) -> npt.NDArray[Any]:
        """In-process predictions of a package for every row of the data set."""
        return self.built[name].predict(packages.rows())


def make_zoo(folder: Path) -> Zoo:
    """Train, export and package everything; `folder` is scratch space."""
    good = {name: packages.train(c) for name, c in {"v1": 0.001, "v2": 0.01, "v3": 0.1, "v4": 0.3}.items()}
    models: dict[str, onnx.ModelProto | bytes] = {**good}
    models |= {"failing": packages.failing(good["v2"]), "slow": packages.slow(good["v2"], SLOW_ROUNDS)}
    models["opset"] = with_opset(good["v1"], NEWEST_OPSET)
    built = {name: packages.build(model, name, folder) for name, model in models.items()}
    files = {f"{name}.tar.gz": package.archive for name, package in built.items()}
    files["corrupt.tar.gz"] = packages.rearchived(built["v1"], {"model.onnx": b"this is no ONNX model"})
    files["traversal.tar.gz"] = packages.rearchived(built["v1"], {"../../escaped": b"out"})
    files["no-archive.tar.gz"] = b"this is no archive"
    files["link.tar.gz"] = with_link(built["v1"])
    return Zoo(built, files)


def with_opset(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """The graph claiming to need an operator set that does not exist yet."""
    newer = onnx.ModelProto()
    newer.CopyFrom(model)
    for imported in newer.opset_import:
        imported.version = version if imported.domain == "" else imported.version
    return newer


def with_link(package: Built) -> bytes:
    """The archive with a symbolic link in it that leads out."""
    content = io.BytesIO(gzip.decompress(package.archive))
    with tarfile.open(fileobj=content, mode="a") as archive:
        link = tarfile.TarInfo("secrets")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    return gzip.compress(content.getvalue())
