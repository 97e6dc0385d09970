"""Who may import whom is part of the design, so breaking it breaks a test and not only a habit."""

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LINTER = Path(sysconfig.get_path("scripts")) / "lint-imports"

FORBIDDEN_IMPORTS = (
    ("sluice_operator.planning.plan", "sluice_operator.cluster.client"),
    ("sluice_operator.api.base", "sluice_operator.planning.plan"),
    ("sluice_operator.routing.base", "sluice_operator.scaling.hpa"),
    ("sluice_operator.planning.plan", "kubernetes"),
    ("sluice_operator.main", "sluice_runtime.fetch"),
    ("sluice_operator.reconcile", "sluice_operator.cli.errors"),
    ("sluice_runtime.fetch", "sluice_operator.api.base"),
    ("sluice_authorizer.entities", "sluice_runtime.sessions"),
    ("sluice.uri", "onnxruntime"),
)


def lint(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    sources = os.pathsep.join(str(root / part) for part in ("operator", "serving"))
    return subprocess.run(
        [LINTER, "--no-cache", *options],
        cwd=root,
        env={**os.environ, "PYTHONPATH": sources},
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_every_import_contract_is_kept() -> None:
    result = lint(REPOSITORY)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.fixture(scope="module")
def copy_of_the_house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, in a place where a test may break them."""
    root = tmp_path_factory.mktemp("house")
    (root / "pyproject.toml").write_bytes((REPOSITORY / "pyproject.toml").read_bytes())
    for part in ("operator", "serving"):
        for source in (REPOSITORY / part).rglob("*.py"):
            target = root / source.relative_to(REPOSITORY)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return root


def source_of(root: Path, module: str) -> Path:
    folder = "operator" if module.startswith("sluice_operator") else "serving"
    return root / folder / (module.replace(".", "/") + ".py")


@pytest.mark.parametrize(("importer", "imported"), FORBIDDEN_IMPORTS)
def test_a_forbidden_import_is_found(copy_of_the_house: Path, importer: str, imported: str) -> None:
    source = source_of(copy_of_the_house, importer)
    text = source.read_text()
    source.write_text(f"{text}\nimport {imported}\n")
    try:
        result = lint(copy_of_the_house)
    finally:
        source.write_text(text)
    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout


@pytest.mark.parametrize("folder", ["operator", "serving", "tests"])
def test_source_roots_are_folders_and_never_packages(folder: str) -> None:
    assert not (REPOSITORY / folder / "__init__.py").exists()


def test_a_program_started_in_the_repository_imports_the_standard_librarys_operator() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"],
        cwd=REPOSITORY,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        text=True,
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout.strip()
    assert Path(found).is_relative_to(sysconfig.get_path("stdlib"))


def test_every_package_of_the_wheel_stands_under_the_contracts() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    shipped = {Path(package).name for package in settings["hatch"]["build"]["targets"]["wheel"]["packages"]}
    assert shipped == set(settings["importlinter"]["root_packages"])
