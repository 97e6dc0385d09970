"""A module that a person can read in one sitting, and that says why it exists."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
GENERATED = "_pb2.py"
SOURCES = sorted(
    path
    for part in ("operator", "serving")
    for path in (REPOSITORY / part).rglob("*.py")
    if not path.name.endswith(GENERATED)
)
LONGEST = 300
# API types are read as a reference, one type at a time.
MAY_BE_LONGER = REPOSITORY / "operator" / "sluice_operator" / "api"
# Names and filler that say no more than the file's name does.
LEAST_WORDS = 5


@pytest.fixture(params=SOURCES, ids=[str(path.relative_to(REPOSITORY)) for path in SOURCES])
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_a_module_is_short_enough_to_read(source: Path) -> None:
    lines = len(source.read_text().splitlines())
    assert lines <= LONGEST or source.is_relative_to(MAY_BE_LONGER), f"{lines} lines"


def test_a_module_opens_with_why_it_exists(source: Path) -> None:
    docstring = ast.get_docstring(ast.parse(source.read_text())) or ""
    assert len(docstring.split("\n\n")[0].split()) >= LEAST_WORDS, f"docstring: {docstring!r}"
