"""The samples are documentation: a real API server takes each of them as it stands."""

import pytest

from support import samples
from support.kube import Kube


@pytest.mark.parametrize("name", samples.names())
def test_every_sample_can_be_applied(module_kube: Kube, name: str) -> None:
    path = str(samples.SAMPLES / name)
    module_kube.run("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", path)
