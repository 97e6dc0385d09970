"""What training gives: everything of a package, until it is written."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from sluice.contract import FeatureReferences, Variable
from sluice.local import replay
from sluice.manifest import Card, Manifest, TensorSpec, Training
from sluice.model import Model, overrides
from sluice.package import Package, write_package
from sluice.parts import Code as CodeParts
from sluice.parts import Parts
from sluice.statistics import Statistics, dump_statistics
from sluice_training.card import notebook, page
from sluice_training.errors import TrainingError
from sluice_training.export import serialized
from sluice_training.fitting import saved
from sluice_training.record import NOTEBOOK, Code
from sluice_training.searching import Search
from sluice_training.state import with_state

NOT_REPLAYED = "the sample was not replayed, as the runtime is not installed here; the cluster does before it serves"


def replayed(package: Package) -> None:
    """The runtime itself, where it is installed, has the last word.

    Raises:
        PackageError: it does not answer as it did in training.
    """
    if not replay(package):
        warnings.warn(NOT_REPLAYED, stacklevel=2)


def lock_of(kind: type[Model], lock: Path | None) -> Path:
    """The libraries of a class whose Python is served.

    Raises:
        TrainingError: they are not said.
    """
    if lock is None:
        raise TrainingError(
            f"{kind.__name__} overrides preprocess or postprocess, so its Python is served: give --lock FILE, its "
            "libraries pinned with hashes (uv pip compile --generate-hashes), or use a scikit-learn Pipeline instead"
        )
    if not lock.is_file():
        raise TrainingError(f"{lock} does not exist; it must be the lock of the class's libraries")
    return lock


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that was fitted, evaluated and described. `searched`: None without a search."""

    model: Model
    graph: onnx.ModelProto
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    variables: tuple[Variable, ...]
    references: FeatureReferences | None
    training: Training
    card: Card
    statistics: Statistics
    sample: str
    code: Code
    lock: Path | None
    searched: Search | None

    @property
    def metrics(self) -> dict[str, float]:
        """Of the rows held out."""
        return dict(self.card.metrics or {})

    def write(self, output: Path | str, check: Callable[[Package], None] = replayed) -> str:
        """Write the package: an archive where `output` ends in .tar.gz or .tgz, otherwise a new folder.

        Returns its digest: equal classes, data, seeds and libraries give equal bytes. `check`: of what is about to be
        the package; the runtime replays its sample, where it is installed.

        Raises:
            TrainingError: it cannot be written. PackageError: `check` refuses it, and nothing is left.
        """
        with tempfile.TemporaryDirectory(prefix="sluice-") as scratch:
            folder = Path(scratch)
            parts = self._parts(folder)
            (folder / "model.onnx").write_bytes(serialized(self._stateful()))
            (folder / "README.md").write_text(page(self._manifest(parts)), encoding="utf-8")
            try:
                return write_package(
                    folder / "model.onnx",
                    self.model.name,
                    self.model.version,
                    Path(output),
                    card=self.card,
                    doc=folder / "README.md",
                    parts=parts,
                    check=check,
                )
            except (OSError, ValueError) as error:
                raise TrainingError(f"the package cannot be written: {' '.join(str(error).split())}") from error

    def _repr_html_(self) -> str:
        with tempfile.TemporaryDirectory(prefix="sluice-") as scratch:
            return notebook(self._manifest(self._parts(Path(scratch))))

    def _manifest(self, parts: Parts) -> Manifest:
        return Manifest(
            name=self.model.name,
            version=self.model.version,
            inputs=self.inputs,
            outputs=self.outputs,
            card=self.card,
            **parts.declared(),
        )

    def _parts(self, folder: Path) -> Parts:
        (folder / "sample.json").write_text(self.sample, encoding="utf-8")
        (folder / "statistics.json").write_text(dump_statistics(self.statistics), encoding="utf-8")
        return Parts(
            variables=self.variables,
            features=self.references,
            clock=self.model.clock,
            sample=folder / "sample.json",
            statistics=folder / "statistics.json",
            code=self._code(folder / "code"),
            training=self.training,
        )

    def _code(self, folder: Path) -> CodeParts | None:
        if not overrides(self.model):
            return None
        name = type(self.model).__name__
        if self.code.entrypoint.startswith(("notebook:", f"{NOTEBOOK}:")):
            raise TrainingError(f"{name} has Python to be served, and lives in a notebook; move it into a file")
        lock = lock_of(type(self.model), self.lock)
        folder.mkdir()
        self.code.copy_to(folder)
        saved(self.model, folder)
        return CodeParts(folder, self.code.entrypoint, lock)

    def _stateful(self) -> onnx.ModelProto:
        return self.graph if overrides(self.model) else with_state(self.graph, self.model.state)
