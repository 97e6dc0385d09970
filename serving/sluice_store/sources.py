"""Which module reads which store. Each has `obtain(uri, config, folder)`, which fills an empty folder with a package.

They are imported when they are asked: a package on a volume should not pay for the client of an object store.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from sluice.config import RuntimeConfig
from sluice.uri import ModelUri

READERS = {
    "http": "sluice_store.http",
    "https": "sluice_store.http",
    "s3": "sluice_store.objects",
    "gs": "sluice_store.objects",
    "az": "sluice_store.objects",
    "oci": "sluice_store.oci",
    "hf": "sluice_store.huggingface",
    "models": "sluice_store.mlflow",
    "pvc": "sluice_store.volume",
    "file": "sluice_store.volume",
}


class Reader(Protocol):
    """A module that reads a store."""

    def obtain(self, uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
        """Fill the existing, empty `folder` with the files of the package; `folder.parent` is scratch space.

        Raises:
            PackageError: why it cannot be had, with what to change.
            OSError: the disk failed or is full.
        """


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Fill the existing, empty `folder` with the files of the package that `uri` names; nothing is checked yet."""
    cast("Reader", import_module(READERS[uri.scheme])).obtain(uri, config, folder)
