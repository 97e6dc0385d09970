"""What a package may hold beside its graph: a sample, statistics, and Python code with the lock of its libraries.

Files below `code/` run in the serving process, so they are there on purpose or not at all: without `preprocessing` in
`model.yaml` they are refused, and a package without it stays data. So is a sample that nobody would replay. Statistics
are for people and what watches a model: nothing is served by them, and they need no declaration.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluice.contract import Clock, FeatureReferences, Variable
from sluice.failures import PackageError, Reason
from sluice.manifest import (
    CODE_FOLDER,
    LOCK_FILE,
    SAMPLE_FILE,
    STATISTICS_FILE,
    Manifest,
    Preprocessing,
    Sample,
    TensorSpec,
    Training,
)
from sluice.sample import SAMPLE_LIMIT

_LEFT_OUT = ("__pycache__", "*.py[cod]", ".*")
_BEGINS_NO_REQUIREMENT = ("#", "-")


@dataclass(frozen=True, slots=True)
class Code:
    """Python around the graph. `folder`: all of it becomes `code/`, fitted state included; `entrypoint`: MODULE:CLASS
    in it; `lock`: its libraries as `pip install --require-hashes -r` reads them.
    """

    folder: Path
    entrypoint: str
    lock: Path


@dataclass(frozen=True, slots=True)
class Parts:
    """What is declared in `model.yaml` and put beside the graph. `sample` and `statistics` are files to copy.

    With `code`, the sample says what the model is asked with and what it answers, as no graph does.
    """

    variables: tuple[Variable, ...] = ()
    features: FeatureReferences | None = None
    clock: Clock | None = None
    sample: Path | None = None
    tolerance: Sample = field(default_factory=Sample)
    statistics: Path | None = None
    code: Code | None = None
    training: Training | None = None

    def declared(self) -> dict[str, Any]:
        """The fields of the manifest that say so."""
        return {
            "variables": self.variables,
            "features": self.features,
            "clock": self.clock,
            "sample": None if self.sample is None else self.tolerance,
            "preprocessing": None if self.code is None else _preprocessing(self.code),
            "training": self.training,
        }

    def copy_to(self, folder: Path) -> None:
        """Put the files into a package's folder."""
        if self.sample is not None:
            shutil.copyfile(self.sample, folder / SAMPLE_FILE)
        if self.statistics is not None:
            shutil.copyfile(self.statistics, folder / STATISTICS_FILE)
        if self.code is not None:
            shutil.copytree(self.code.folder, folder / CODE_FOLDER, ignore=shutil.ignore_patterns(*_LEFT_OUT))
            shutil.copyfile(self.code.lock, folder / LOCK_FILE)


def check_parts(folder: Path, manifest: Manifest, files: Iterable[str]) -> None:
    """Check that a package holds what its manifest declares, and neither code nor a sample that it does not.

    Raises:
        PackageError: InvalidPackage.
    """
    if manifest.sample is not None and not (folder / SAMPLE_FILE).is_file():
        raise _invalid(f"model.yaml declares a sample, but {SAMPLE_FILE} is missing")
    if manifest.sample is None and (folder / SAMPLE_FILE).is_file():
        raise _invalid(
            f"{SAMPLE_FILE} would never be replayed, as model.yaml declares no sample; declare it, or leave it out"
        )
    if manifest.preprocessing is not None:
        _check_code(folder, manifest.preprocessing)
    elif code := next((path for path in files if path.startswith(f"{CODE_FOLDER}/")), None):
        raise _invalid(
            f"{code!r} would never run, as model.yaml declares no preprocessing; declare it, or leave it out"
        )


def locked_requirements(text: str) -> list[str]:
    """The requirements of a lock file, one a line, without hashes and options."""
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    kept = [line.split(" --hash", 1)[0].split(" #", 1)[0].strip() for line in lines]
    return [line for line in kept if line and not line.startswith(_BEGINS_NO_REQUIREMENT)]


def environment_digest(lock: Path) -> str:
    """The digest by which an image says that it holds the libraries of a lock file."""
    return f"sha256:{hashlib.sha256(lock.read_bytes()).hexdigest()}"


def sampled_signature(sample: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs as a sample has them, for any number of rows.

    Raises:
        ValueError: it is no sample.
    """
    if sample.stat().st_size > SAMPLE_LIMIT:
        raise ValueError(f"{sample.name} is larger than {SAMPLE_LIMIT} bytes; some dozens of rows are enough")
    try:
        document = json.loads(sample.read_text(encoding="utf-8"))
        inputs, outputs = (tuple(_spec(item) for item in document[key]) for key in ("inputs", "outputs"))
    except (json.JSONDecodeError, UnicodeDecodeError, LookupError, TypeError) as error:
        raise ValueError(f'{sample.name} is no sample: it must be {{"inputs": [...], "outputs": [...]}}') from error
    return inputs, outputs


def _spec(item: Any) -> TensorSpec:
    return TensorSpec(name=item["name"], datatype=item["datatype"], shape=(-1, *item["shape"][1:]))


def _preprocessing(code: Code) -> Preprocessing:
    return Preprocessing(entrypoint=code.entrypoint, environment=environment_digest(code.lock))


def _check_code(folder: Path, preprocessing: Preprocessing) -> None:
    module = preprocessing.entrypoint.partition(":")[0].replace(".", "/")
    files = (f"{CODE_FOLDER}/{module}.py", f"{CODE_FOLDER}/{module}/__init__.py")
    if not any((folder / file).is_file() for file in files):
        raise _invalid(f"{files[0]}, where preprocessing.entrypoint begins, is missing")
    lock = folder / LOCK_FILE
    if not lock.is_file():
        raise _invalid(f"{LOCK_FILE} is missing: it pins the libraries of the package's code, and may be empty")
    if (found := environment_digest(lock)) != preprocessing.environment:
        raise _invalid(f"{LOCK_FILE} has digest {found}, and model.yaml says {preprocessing.environment}")


def _invalid(message: str) -> PackageError:
    return PackageError(Reason.INVALID_PACKAGE, f"{message}; make the package again with `sluice package`")
