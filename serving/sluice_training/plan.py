"""How to train: everything that decides what comes out, beside the class and the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

from sluice.contract import FeatureReferences
from sluice_training.errors import TrainingError

TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. `test_share`: of the rows, held out. `timestamp`, `keys`: columns that say when, and about whom,
    a row is. `candidates`: how many parameters to try; 0: none, the defaults are taken. `lock`: of the libraries that
    the class's own preprocessing needs where it is served. `references`: features, where the class declares none.

    Raises:
        TrainingError: a number is none that it can be.
    """

    seed: int = 0
    test_share: float = TEST_SHARE
    timestamp: str | None = None
    keys: Sequence[str] = ()
    candidates: int = 0
    previous: Path | None = None
    lock: Path | None = None
    references: FeatureReferences | None = None

    def __post_init__(self) -> None:
        """What no training could go by is refused before one begins."""
        for what, given in (("seed", self.seed), ("search", self.candidates)):
            if not isinstance(given, Integral) or given < 0:
                raise TrainingError(f"{what} is {given!r}; it must be a whole number, and not negative")
        if not isinstance(self.test_share, Real) or not 0 < self.test_share < 1:
            raise TrainingError(f"the test share is {self.test_share!r}; it must lie between 0 and 1, such as 0.2")
