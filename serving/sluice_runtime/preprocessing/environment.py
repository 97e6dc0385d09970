"""Whether the libraries that a package's code was trained with are the ones that are here.

Nothing is installed where a pod starts: an image holds the libraries, and says in a file which. `sluice build` makes
both. On a data scientist's machine there is no such file, so what is installed is looked at itself.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sluice.failures import PackageError, Reason
from sluice.manifest import LOCK_FILE
from sluice.package import Package
from sluice.parts import locked_requirements

_PINNED = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)")
_NAMED = 3


def check_environment(package: Package, file: str | None) -> None:
    """Hold what a package's code needs against what is here; a lock that installs nothing is always met.

    `file`: where the image says which environment it has; None: look at what is installed.

    Raises:
        PackageError: EnvironmentMismatch.
    """
    preprocessing = package.manifest.preprocessing
    wanted = locked_requirements((package.folder / LOCK_FILE).read_text(encoding="utf-8", errors="replace"))
    if preprocessing is None or not wanted:
        return
    if file is None:
        _check_installed(wanted)
        return
    path = Path(file)
    here = path.read_text(encoding="utf-8").strip() if path.is_file() else None
    if here != preprocessing.environment:
        raise PackageError(
            Reason.ENVIRONMENT_MISMATCH,
            f"the package's code needs the environment {preprocessing.environment}, and this image has "
            f"{here or 'none of its own'}; make an image with `sluice build PACKAGE --image NAME`, push it, and name "
            "it in spec.runtime.image",
        )


def _check_installed(wanted: list[str]) -> None:
    differ = [text for line in wanted if (text := _difference(line))]
    if differ:
        more = f" and {len(differ) - _NAMED} more" if len(differ) > _NAMED else ""
        raise PackageError(
            Reason.ENVIRONMENT_MISMATCH,
            f"the package's code needs other libraries than there are here: {', '.join(differ[:_NAMED])}{more}; "
            f"pip install --require-hashes -r {LOCK_FILE} of the package",
        )


def _difference(requirement: str) -> str | None:
    """What is wrong with one pinned requirement here, if anything. One with a marker need not be here."""
    pinned = _PINNED.match(requirement)
    if pinned is None:
        return f"{requirement!r} is not pinned"
    try:
        here = version(pinned[1])
    except PackageNotFoundError:
        return None if ";" in requirement else f"{pinned[1]} {pinned[2]} (not installed)"
    return None if here == pinned[2] else f"{pinned[1]} {pinned[2]} (here {here})"
