"""An image's name changes exactly when its sources change, and a build keeps nothing of the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster import buildah, images
from localcluster.errors import ClusterError

DOCKERFILE = """ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}
# COPY nothing /
COPY serving/requirements.lock /tmp/
COPY --chown=1:1 serving/sluice \\
     serving/sluice_runtime /app/
COPY --from=other /x /y
ADD ["README.md", "/"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    for name in (
        "README.md",
        "serving/requirements.lock",
        "serving/sluice/a.py",
        "serving/sluice_runtime/b.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    compiled = tmp_path / "serving/sluice/__pycache__"
    compiled.mkdir()
    (compiled / "a.pyc").write_text("compiled")
    return tmp_path


def test_every_copied_file_counts_and_compiled_ones_do_not(context: Path) -> None:
    found = [str(path.relative_to(context)) for path in images.copied_files(DOCKERFILE, context)]

    assert found == [
        "README.md",
        "serving/requirements.lock",
        "serving/sluice/a.py",
        "serving/sluice_runtime/b.py",
    ]


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="absent"):
        images.copied_files("COPY absent /\n", tmp_path)


def test_variables_win_and_host_folders_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buildah, "pip_files", lambda: {"timeout": "15", "cache-dir": "/root/.cache"})

    text = buildah.pip_conf(buildah.host_pip_settings({"PIP_TIMEOUT": "60", "PIP_NO_CACHE_DIR": "0", "HOME": "/x"}))

    assert text.splitlines() == [
        "[global]",
        "timeout = 60",
        f"cert = {buildah.CA_BUNDLE}",
        "no-cache-dir = true",
    ]


def test_only_folders_of_wheels_that_exist_are_lent(tmp_path: Path) -> None:
    assert buildah.local_wheels({"PIP_FIND_LINKS": f"{tmp_path} /nowhere"}) == [tmp_path]
