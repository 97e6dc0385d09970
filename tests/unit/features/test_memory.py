"""DuckDB goes to disk before the container's limit ends the process."""

from pathlib import Path

import pytest

from sluice.failures import Reason
from sluice_features.errors import FeaturesError
from sluice_features.memory import VARIABLE, duckdb_memory
from sluice_features.staging import staging


@pytest.mark.parametrize(
    ("limit", "memory"),
    [
        (str(1024**3), "256MiB"),
        (str(2 * 1024**3), "512MiB"),
        (str(64 * 1024**3), "1024MiB"),
        (str(128 * 1024**2), "256MiB"),
        ("max", "1024MiB"),
        (None, "1024MiB"),
    ],
)
def test_it_may_take_a_quarter_of_what_the_container_may(limit: str | None, memory: str, tmp_path: Path) -> None:
    path = tmp_path / "memory.max"
    if limit is not None:
        path.write_text(limit + "\n")
    assert duckdb_memory({}, [path, tmp_path / "other"]) == memory


def test_what_duckdb_cannot_do_for_another_reason_is_told() -> None:
    with (
        pytest.raises(FeaturesError, match="DuckDB cannot check the rows: Conversion Error") as raised,
        staging() as stage,
    ):
        stage.run("SELECT 'much'::DOUBLE")
    assert raised.value.reason is Reason.FEATURES_INVALID


def test_it_may_be_told() -> None:
    assert duckdb_memory({VARIABLE: "3GB"}, []) == "3GB"
