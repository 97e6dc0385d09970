"""An operator upgrade restarts no model pod: what is planned for a spec of before is what was planned before.

The hashes are of version 0.1.0 as it first ran. A change of one is a restart of every model of that kind, everywhere:
write new fields so that their defaults leave templates and revisions as they are.
"""

from typing import Any

import pytest

from sluice_operator.api import names
from sluice_operator.api.names import short_hash
from unit.planning.world import World, make_spec

SPECS: dict[str, dict[str, Any]] = {
    "minimal": {},
    "resources and batching": {
        "runtime": {
            "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
            "batching": {"maxSize": 32, "maxDelay": "2ms"},
        }
    },
    "pod template": {
        "runtime": {
            "podTemplate": {
                "metadata": {"labels": {"team": "ml"}, "annotations": {"note": "x"}},
                "spec": {"nodeSelector": {"pool": "models"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
            }
        }
    },
    "credentials": {
        "model": {
            "uri": "https://store/m.tar.gz",
            "digest": "sha256:" + "1" * 64,
            "credentials": {"secretRef": {"name": "store"}},
        }
    },
    "claim": {"model": {"uri": "pvc://models/m/1", "digest": "sha256:" + "2" * 64}},
    "accelerator": {"runtime": {"image": "gpu:1", "accelerator": "nvidia"}},
    "autoscaled": {"scaling": {"minReplicas": 2, "maxReplicas": 5}},
    "features": {
        "features": {
            "store": {"url": "http://feast:6566", "credentials": {"secretRef": {"name": "feast"}}},
            "service": "revenue",
            "entities": [{"name": "store_id"}],
            "inputs": [{"feature": "size", "default": 0.5, "maxAge": "7d"}],
            "cache": {"maxAge": "5s"},
            "onOutage": "Default",
        }
    },
}

FIRST = {
    "minimal": ("a08d4c8d05", "73ed3235ab"),
    "resources and batching": ("da8002fe2d", "8b74d06114"),
    "pod template": ("0a06faa121", "e700c404ca"),
    "credentials": ("4bfc20e392", "d57b28c9dd"),
    "claim": ("dde8342dec", "de10561968"),
    "accelerator": ("b91a3ae57c", "f31ccf843f"),
    "autoscaled": ("a08d4c8d05", "73ed3235ab"),
    "features": ("34eaeb8a9d", "4fd94733fd"),
}
"""Revision, and hash of the pod template, by spec."""


def planned(changes: dict[str, Any]) -> tuple[str, str]:
    """Revision and hash of the pod template of a spec's model pods."""
    world = World(make_spec(**changes)).settle()
    (deployment,) = (m for m in world.of_kind("Deployment") if m["metadata"]["labels"][names.COMPONENT] == "model")
    return deployment["metadata"]["labels"][names.REVISION], short_hash(deployment["spec"]["template"])


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_of_before_keeps_its_revision_and_its_pods(name: str) -> None:
    assert planned(SPECS[name]) == FIRST[name]
