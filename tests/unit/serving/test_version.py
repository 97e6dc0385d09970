"""The version that the runtime tells its callers is the one that is released."""

import tomllib
from pathlib import Path

import sluice


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert sluice.__version__ == project["version"]
