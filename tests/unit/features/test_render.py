"""What Feast and Spark are told, as it is written: a diff of the golden files shows what would change there."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from sluice_features.definitions import read_definitions
from sluice_features.render import render
from sluice_features.sources.spark import render_jobs

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("feast")
    definitions = read_definitions(GOLDEN / "features.yaml")
    render(definitions, folder)
    render_jobs(definitions, GOLDEN, folder)
    return folder


@pytest.mark.parametrize("name", ["definitions.py", "feature_store.yaml", "spark_sales.py"])
def test_files_are_those_of_the_golden_ones(name: str, rendered: Path) -> None:
    text, golden = (rendered / name).read_text(), GOLDEN / f"{name}.golden"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_nothing_else_is_written(rendered: Path) -> None:
    assert sorted(path.name for path in rendered.iterdir()) == [
        "definitions.py",
        "feature_store.yaml",
        "spark_sales.py",
    ]


def test_the_programs_are_python(rendered: Path) -> None:
    for path in rendered.glob("*.py"):
        ast.parse(path.read_text())


def test_settings_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text("project: other\n")
    written = render(read_definitions(GOLDEN / "features.yaml"), tmp_path)
    assert written == [tmp_path / "definitions.py"]
    assert (tmp_path / "feature_store.yaml").read_text() == "project: other\n"
