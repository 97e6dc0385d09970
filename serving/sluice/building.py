"""`sluice build`: the image that a package with Python code is served from.

Pods install nothing when they start, so the libraries that the code was trained with are in an image, which says which
lock they come from. It is made only where the package answers in it as it did in training.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sluice.config import ENVIRONMENT_FILE
from sluice.manifest import LOCK_FILE, Preprocessing
from sluice.package import Package

LABEL = "dev.sluice.environment"

BUILDERS = {"buildah": "bud", "podman": "build", "docker": "build"}
"""Programs that build images, and their command for it; the first one that is installed is used."""

PIP_SETTINGS = "pip.conf"
"""The builder's secret that pip reads as its settings, where there is one. Arguments stay in an image's history."""

# pip comes and goes in an environment of its own: the runtime has none. It checks what it changed for the runtime, too.
_DOCKERFILE = """\
ARG BASE_IMAGE={base}
FROM ${{BASE_IMAGE}} AS environment
USER 0:0
ARG PIP_INDEX_URL
COPY requirements.lock /tmp/requirements.lock
RUN --mount=type=secret,id={secret},target=/etc/pip.conf \\
    python3 -m venv /tmp/installer \\
    && /tmp/installer/bin/pip --python /opt/venv/bin/python install --no-cache-dir --only-binary=:all: \\
        --require-hashes -r /tmp/requirements.lock \\
    && /tmp/installer/bin/pip --python /opt/venv/bin/python check \\
    && mkdir -p {folder} && echo {digest} > {file} \\
    && rm -rf /tmp/installer /tmp/requirements.lock /root/.cache
USER 65532:65532

FROM environment AS replayed
COPY --chown=65532:65532 package /tmp/package
RUN python -m sluice_runtime.replaying /tmp/package && touch /tmp/replayed

FROM environment
COPY --from=replayed /tmp/replayed {folder}/replayed
LABEL {label}={digest}
"""


class BuildError(Exception):
    """No image was made; the builder has said why."""


def dockerfile(preprocessing: Preprocessing, base: str) -> str:
    """The Dockerfile of a package's image; its context holds `requirements.lock` and `package/`."""
    file = Path(ENVIRONMENT_FILE)
    environment = preprocessing.environment
    return _DOCKERFILE.format(
        base=base, digest=environment, folder=file.parent, file=file, label=LABEL, secret=PIP_SETTINGS
    )


def needed(package: Package) -> Preprocessing:
    """What says which environment a package needs.

    Raises:
        ValueError: it needs none.
    """
    if package.manifest.preprocessing is None:
        raise ValueError("the package holds no Python code: the runtime's own image serves it")
    return package.manifest.preprocessing


def write_context(package: Package, folder: Path, base: str) -> None:
    """Fill an existing, empty folder with what the image is built from."""
    (folder / "Dockerfile").write_text(dockerfile(needed(package), base), encoding="utf-8")
    shutil.copyfile(package.folder / LOCK_FILE, folder / "requirements.lock")
    (folder / "package").mkdir()
    package.copy_to(folder / "package")


def build(package: Package, image: str, base: str, builder: str | None, options: Sequence[str]) -> None:
    """Build the image and keep it under the name `image` in the builder's store. `options` go to the builder.

    Raises:
        ValueError: the package needs no image, or an option would leave a password in it. BuildError: it could not be
            built, or there is no builder.
    """
    _refuse_passwords(options)
    program = builder or next((name for name in BUILDERS if shutil.which(name)), None)
    if program is None:
        raise BuildError(f"none of {', '.join(BUILDERS)} is installed here; --context writes what any builder takes")
    with tempfile.TemporaryDirectory(prefix="sluice-") as scratch:
        context = Path(scratch)
        write_context(package, context, base)
        words = [program, BUILDERS[program], *options, "--tag", image, "--file", str(context / "Dockerfile"), scratch]
        try:
            status = subprocess.run(words, check=False).returncode
        except OSError as error:
            raise BuildError(f"{program} cannot be run ({error.strerror})") from error
    if status:
        raise BuildError(f"{program} ended with status {status}: {image} was not built")


def _refuse_passwords(options: Sequence[str]) -> None:
    for word in options:
        _, named, url = word.partition("PIP_INDEX_URL=")
        if named and "@" in urlsplit(url).netloc:
            raise ValueError(
                "the URL of the index names a user, and would stay in the image's history; write it into a pip.conf "
                f"and give --option=--secret=id={PIP_SETTINGS},src=pip.conf"
            )
