"""A search takes the best of what can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sluice_training.errors import TrainingError
from sluice_training.searching import search

FOLDS = np.array([0, 1])


def loss(parameters: Mapping[str, Any], judged: NDArray[np.bool_]) -> float:
    return float(parameters["loss"])


def test_a_candidate_whose_loss_is_no_number_comes_last() -> None:
    candidates = [{"loss": value} for value in (float("nan"), 0.2, 0.1)]
    found = search(candidates, 3, FOLDS, loss)
    assert [str(candidate.parameters["loss"]) for candidate in found.candidates] == ["0.1", "0.2", "nan"]
    assert found.winner.loss == 0.1


def test_no_candidate_wins_where_none_can_be_compared() -> None:
    with pytest.raises(TrainingError, match="no candidate of the search"):
        search([{"loss": float("nan")}], 1, FOLDS, loss)
