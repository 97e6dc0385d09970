"""A package that a training starts from: what its model had fitted, for a warm start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from sluice.failures import PackageError
from sluice.manifest import CODE_FOLDER
from sluice.model import Model
from sluice.package import opened
from sluice_training.errors import TrainingError
from sluice_training.guarding import guarded
from sluice_training.state import state_of


@dataclass(frozen=True, slots=True)
class Previous:
    """A model that was trained before, and the digest of its package."""

    model: Model
    digest: str


def read_previous(kind: type[Model], source: Path) -> Previous:
    """A model of the class with the state and the graph of a package.

    Raises:
        TrainingError: there is no such package, or its state cannot be read.
    """
    try:
        with opened(source) as package:
            model = guarded(kind, "__init__", kind)
            model.graph = onnx.load(package.model_path)
            if (package.folder / CODE_FOLDER).is_dir():
                guarded(model, "restore", lambda: model.restore(package.folder / CODE_FOLDER))
            else:
                model.state = state_of(model.graph)
            return Previous(model, package.digest)
    except (PackageError, OSError, ValueError) as error:
        raise TrainingError(f"previous package {source}: {error}") from error
