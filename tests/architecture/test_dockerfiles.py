"""One Dockerfile makes the image for every kind of machine: nothing in it knows which, and nothing is compiled."""

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest

from sluice.cli import EXTENSIONS

REPOSITORY = Path(__file__).parents[2]
DOCKERFILES = [REPOSITORY / part for part in ("operator/Dockerfile", "serving/Dockerfile", "serving/tools.Dockerfile")]
MACHINES = re.compile(r"amd64|arm64|x86_64|aarch64|--platform", re.IGNORECASE)


@pytest.fixture(params=DOCKERFILES, ids=[str(path.relative_to(REPOSITORY)) for path in DOCKERFILES])
def dockerfile(request: pytest.FixtureRequest) -> str:
    path: Path = request.param
    return path.read_text()


def test_it_names_no_kind_of_machine(dockerfile: str) -> None:
    assert MACHINES.findall(dockerfile) == []


def test_its_base_is_chosen_by_whoever_builds(dockerfile: str) -> None:
    assert re.findall("^FROM .*", dockerfile, re.MULTILINE) == ["FROM ${BASE_IMAGE}"]


def test_it_installs_locked_wheels_alone(dockerfile: str) -> None:
    installs = re.findall("pip install .*", dockerfile)
    assert installs
    assert all("--only-binary=:all: --require-hashes" in line for line in installs)


def test_it_runs_as_nobody(dockerfile: str) -> None:
    assert re.findall("^USER .*", dockerfile, re.MULTILINE) == ["USER 65532:65532"]


def test_the_tools_have_the_commands_of_an_installation_but_those_about_a_cluster() -> None:
    found = ConfigParser()
    found.read(REPOSITORY / "serving" / "tools.entry_points.txt")
    installed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = {name: place for name, place in installed["entry-points"][EXTENSIONS].items() if name != "control"}
    assert dict(found[EXTENSIONS]) == declared
    dockerfile = (REPOSITORY / "serving" / "tools.Dockerfile").read_text()
    assert f"Version: {installed['version']}" in dockerfile
    assert all(f"COPY serving/{place.partition('.')[0]} /app/" in dockerfile for place in declared.values())
