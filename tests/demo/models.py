"""The versions of the story: good ones, one that fails on some inputs, one that is not what it is said to be."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from support import packages
from support.packages import Built

OTHER_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Version:
    """A package of the story and what its ModelDeployment says about its digest (None: nothing)."""

    package: Built
    said_digest: str | None = None
    fails_on: npt.NDArray[np.bool_] | None = None
    """Rows of the data set that it cannot compute."""

    def expected(self) -> npt.NDArray[np.float64]:
        """In-process predictions for every row, NaN (which nothing equals) where there is none."""
        if self.fails_on is None:
            return self.package.predict(packages.rows())
        computed = self.package.predict(packages.rows()[~self.fails_on])
        everything = np.full((len(packages.rows()), computed.shape[1]), np.nan)
        everything[~self.fails_on] = computed
        return everything

    @property
    def file(self) -> str:
        """Its name in the store."""
        return f"{self.package.version}.tar.gz"


def train_versions(tries: int) -> Mapping[str, Version]:
    """All versions by name. v3 comes once per try: a version that was taken back stays blocked until it changes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        good = {name: packages.train(c) for name, c in {"v1": 0.001, "v2": 0.01, "v5": 0.1}.items()}
        versions = {name: Version(packages.build(model, name, folder)) for name, model in good.items()}
        failing = packages.failing(good["v2"])
        for name in (f"v3-{number}" for number in range(1, tries + 1)):
            built = packages.build(failing, name, folder)
            versions[name] = Version(built, built.digest, packages.failing_rows())
        versions["v4"] = Version(packages.build(good["v5"], "v4", folder), said_digest=OTHER_DIGEST)
    return versions
