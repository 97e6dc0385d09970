"""One ModelDeployment, as the renderers get it."""

import pytest

from sluice_operator.api.resource import ModelDeployment


@pytest.fixture
def owner() -> ModelDeployment:
    return ModelDeployment.parse(
        {
            "metadata": {"namespace": "shop", "name": "store-revenue", "uid": "uid-1", "generation": 1},
            "spec": {"model": {"uri": "https://models.example/store-revenue/1.tar.gz"}},
        }
    )
