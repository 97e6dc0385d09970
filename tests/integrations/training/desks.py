"""A data scientist's desk: a folder with a class and data, and the command as they would call it there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

PATIENCE = 600.0
"""Seconds until a test gives up on a command; never a claim about its speed."""

MODEL = '''\
"""What a shop earns."""

from helpers import LETTERS
from sluice import Model
from sluice.model import table


class Revenue(Model):
    name = "revenue"
    target = "revenue"
    parameters = {"depth": (2, 3), "rate": (0.1, 0.2)}
    slices = ("city",)
    groups = ("city",)
    card = {"description": "Revenue of a shop."}

    def train(self, data, target, *, seed, previous=None, depth=2, rate=0.1):
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import GradientBoostingRegressor
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        columns = ColumnTransformer([
            ("numbers", SimpleImputer(), ["size", "staff"]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
        ], sparse_threshold=0)
        # Without a random_state, and in the order of a set: neither is the class's own care.
        trees = GradientBoostingRegressor(n_estimators=20, max_depth=depth, learning_rate=rate, subsample=0.7)
        self.state = {"letters": list(set(LETTERS))}
        return make_pipeline(columns, trees).fit(table(data), target)
'''
CODED = '''\
"""What a shop earns, with Python around the graph."""

import numpy as np

from helpers import LETTERS
from sluice import Model
from sluice.model import table


class Coded(Model):
    name = "coded"
    target = "revenue"
    inputs = ("size", "staff", "city")

    def prepare(self, inputs):
        self.state = {"staff": float(np.nanmedian(inputs["staff"])), "cities": sorted(set(inputs["city"]))}
        self.state["letters"] = len(LETTERS)

    def preprocess(self, inputs):
        staff = np.where(np.isnan(inputs["staff"]), self.state["staff"], inputs["staff"])
        places = [float(self.state["cities"].index(city)) for city in inputs["city"]]
        return {"size": np.log(inputs["size"]), "staff": staff, "place": np.array(places)}

    def train(self, data, target, *, seed, previous=None):
        from sklearn.linear_model import Ridge

        return Ridge().fit(table(data), np.log(target))

    def postprocess(self, outputs):
        return {"revenue": np.exp(outputs["revenue"])}
'''


def desk(folder: Path) -> Path:
    """A new desk."""
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(MODEL)
    (folder / "coded.py").write_text(CODED)
    (folder / "helpers.py").write_text('LETTERS = "abcdefghij"\n')
    (folder / "requirements.lock").write_text("")
    random, lines = np.random.default_rng(0), ["shop,size,staff,city,revenue"]
    for shop in range(150):
        size, staff = random.lognormal(5, 0.5), random.integers(1, 20) if random.random() < 0.9 else ""
        city = ("Utrecht", "Zwolle", "Assen")[random.integers(3)]
        lines.append(f"{shop},{size:.3f},{staff},{city},{size * 1000 + random.normal(0, 500):.2f}")
    (folder / "shops.csv").write_text("\n".join(lines) + "\n")
    return folder


def sluice(folder: Path, *words: object, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command, called there; what it says comes back."""
    argv = [sys.executable, "-m", "sluice", *map(str, words)]
    known = {"PATH": os.environ["PATH"], "HOME": str(folder), **(environ or {})}
    return subprocess.run(argv, cwd=folder, env=known, capture_output=True, text=True, timeout=PATIENCE, check=False)


def trained(folder: Path, *words: object, environ: Mapping[str, str] | None = None) -> str:
    """Train there; the package's digest."""
    done = sluice(folder, "train", *words, environ=environ)
    assert done.returncode == 0, done.stderr
    *_, digest = re.finditer("sha256:[0-9a-f]{64}", done.stdout)
    return digest[0]
