"""One running runtime for all tests that only ask it something."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.harness import Running, config_for, package_of, serving
from runtime.models import brain_floats, every_datatype, fails_beyond_the_table, trained


@pytest.fixture(scope="session")
def trained_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package_of(trained(), tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def classifier(trained_package: Path) -> Iterator[Running]:
    config = config_for(trained_package, revision="abc123", limits={"maxBodyBytes": 200_000})
    with serving(config) as running:
        yield running


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(config_for(package_of(every_datatype(), tmp_path_factory.mktemp("echo")))) as running:
        yield running


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(config_for(package_of(fails_beyond_the_table(), tmp_path_factory.mktemp("fragile")))) as running:
        yield running


@pytest.fixture(scope="session")
def brain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(config_for(package_of(brain_floats(), tmp_path_factory.mktemp("brain")))) as running:
        yield running
