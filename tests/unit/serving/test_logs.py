"""What the product says is logged by every part of it, wherever it runs."""

from pathlib import Path

import sluice
from sluice_runtime.logs import own_packages

SERVING = Path(sluice.__file__).parents[1]


def test_no_package_of_ours_is_mute() -> None:
    assert own_packages() == sorted(path.parent.name for path in SERVING.glob("*/__init__.py"))
    assert {"sluice", "sluice_features", "sluice_training"} <= set(own_packages())
