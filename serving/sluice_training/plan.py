"""How to train: everything that decides what comes out, beside the class and the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sluice.contract import FeatureReferences

TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. `test_share`: of the rows, held out. `timestamp`, `keys`: columns that say when, and about whom,
    a row is. `candidates`: how many parameters to try; 0: none, the defaults are taken. `lock`: of the libraries that
    the class's own preprocessing needs where it is served. `references`: features, where the class declares none.
    """

    seed: int = 0
    test_share: float = TEST_SHARE
    timestamp: str | None = None
    keys: Sequence[str] = ()
    candidates: int = 0
    previous: Path | None = None
    lock: Path | None = None
    references: FeatureReferences | None = None
