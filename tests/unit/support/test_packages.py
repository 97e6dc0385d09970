"""The models that tests deploy are what the tests believe of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support import packages


def test_versions_are_told_apart_by_their_predictions(tmp_path: Path) -> None:
    first, second = (packages.build(packages.train(c), name, tmp_path) for c, name in ((0.001, "v1"), (0.01, "v2")))
    differences = np.abs(first.predict(packages.rows()) - second.predict(packages.rows())).max(axis=1)
    assert first.digest != second.digest
    assert (differences > packages.TOLERANCE).all()


def test_the_failing_model_fails_on_a_fifth_of_the_rows_and_computes_the_others(tmp_path: Path) -> None:
    model, fails_on = packages.train(0.01), packages.failing_rows()
    good, bad = packages.rows()[~fails_on], packages.rows()[fails_on]
    failing = packages.build(packages.failing(model), "v3", tmp_path)
    np.testing.assert_allclose(failing.predict(good), packages.build(model, "v2", tmp_path).predict(good), atol=1e-6)
    assert abs(fails_on.mean() - packages.FAILING_SHARE) < 0.01
    for row in bad[:3]:
        with pytest.raises(Exception, match="out of data bounds"):
            failing.predict(row[None])


def test_the_slow_model_predicts_the_same(tmp_path: Path) -> None:
    model = packages.train(0.01)
    slow = packages.build(packages.slow(model, 2), "slow", tmp_path)
    expected = packages.build(model, "v2", tmp_path).predict(packages.rows())
    np.testing.assert_allclose(slow.predict(packages.rows()), expected, atol=1e-6)
