"""Training as the data scientist does it, by `sluice train`; and the same pipeline kept to compare with."""

from __future__ import annotations

import csv
import importlib.util
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from demo_store import offline
from demo_store.commands import Outcome
from demo_store.dataset import TARGET, Row
from demo_store.files import EXAMPLE
from sluice.manifest import Manifest
from sluice.package import opened
from sluice_training.splitting import held_out

if TYPE_CHECKING:
    from demo_store.stage import Stage

SEED = 7
TEST_SHARE = 0.2
ALIAS = "champion"
TIME = "event_timestamp"
DATA = "revenues.csv"


@dataclass(frozen=True)
class Trained:
    """A package, when it was finished (by time.monotonic, and in unix seconds), and its pipeline in scikit-learn."""

    digest: str
    manifest: Manifest
    ended: float
    ended_at: float
    pipeline: Any
    said: str

    def predict(self, rows: Sequence[Row]) -> offline.Floats:
        """Offline predictions, in float64."""
        return np.asarray(self.pipeline.predict(offline.table(rows)), dtype=np.float64)

    def defaults(self) -> Row:
        """A store of which nothing is known but the package's defaults."""
        assert self.manifest.features is not None
        return offline.row_of({feature.name: feature.default for feature in self.manifest.features.features})

    @staticmethod
    def difference(expected: offline.Floats, given: Sequence[float]) -> float:
        """The largest relative one."""
        return offline.largest_difference(expected, given)


def train(stage: Stage, desk: str, version: str = "1", words: Sequence[str] = (), *, register: bool = False) -> Trained:
    """Train a version at a desk; `register` it as what the alias stands for."""
    place = stage.desk(desk)
    code = place.folder / "model.py"
    code.write_text(code.read_text().replace('version = "1"', f'version = "{version}"'))
    write_revenues(stage, place.folder / DATA)
    chosen = ["--data", DATA, "--features", "features.yaml", "--timestamp", TIME, "--seed", str(SEED)]
    package = f"store-revenue-{version}.tar.gz"
    chosen += ["--output", package, *words]
    if register:
        chosen += ["--register", stage.servers.mlflow.url, "--alias", ALIAS]
    outcome = place.sluice("train", "model:StoreRevenue", *chosen).checked()
    return trained(stage, place.folder / package, outcome)


def trained(stage: Stage, package: Path, outcome: Outcome) -> Trained:
    """What came of it, now."""
    ended, ended_at = time.monotonic(), time.time()
    with opened(package) as found:
        digest, manifest = found.digest, found.manifest
    assert manifest.training is not None
    pipeline = fitted(stage, manifest.training.parameters)
    return Trained(digest, manifest, ended, ended_at, pipeline, outcome.said)


def fitted(stage: Stage, parameters: Mapping[str, Any]) -> Any:
    """The example's own `train` on the data set's values, with the rows that `sluice train` takes."""
    times = pa.table({TIME: [stage.as_of(store) for store in stage.revenues]})
    out = held_out(times, TEST_SHARE, SEED, timestamp=TIME)
    rows = [row for row, left_out in zip(stage.revenues.values(), out, strict=True) if not left_out]
    target = np.array([row[TARGET] for row in rows])
    return example().StoreRevenue().train(offline.columns(rows), target, seed=SEED, **parameters)


def example() -> Any:
    """The module `model.py` of the example."""
    spec = importlib.util.spec_from_file_location("example_model", EXAMPLE / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_revenues(stage: Stage, file: Path) -> None:
    """What each store earned, and as of when: whom to learn about. Everything else comes from the features."""
    with file.open("w", newline="") as target:
        lines = csv.writer(target)
        lines.writerow(["store_id", TIME, "size_class", "revenue"])
        for store, row in stage.revenues.items():
            lines.writerow([store, stage.as_of(store).isoformat(), size_class(row["ssize"]), row[TARGET]])


def size_class(floor: float) -> str:
    """By square metres: about a third of the stores each."""
    return "small" if floor < 90 else "medium" if floor < 160 else "large"
