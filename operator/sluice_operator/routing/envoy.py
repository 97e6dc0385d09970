"""The default router: an Envoy of its own for each ModelDeployment, steered by a ConfigMap.

The data plane needs no operator: routers start, restart and go on from the files that the ConfigMap holds.
"""

from collections.abc import Mapping
from functools import lru_cache

from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.routing import envoy_config, envoy_workload
from sluice_operator.routing.base import Traffic


def manifests(owner: ModelDeployment, traffic: Traffic, image: str) -> tuple[Manifest, ...]:
    """The ConfigMap with the split, and the workload that reads it. `image` needs `envoy` and `bash` on its path."""
    return (
        config_map(owner, traffic),
        envoy_workload.deployment(owner, image),
        *envoy_workload.services(owner),
        envoy_workload.disruption_budget(owner),
    )


def version(traffic: Traffic) -> str:
    """Hash of the rendered split: what a router pod that applies it reports back."""
    return envoy_config.version(traffic)


def scales(owner: ModelDeployment) -> Mapping[str, int]:
    """Wanted replicas of the router's Deployment, which go through /scale."""
    return {names.router(owner.name): owner.spec.router.replicas}


def config_map(owner: ModelDeployment, traffic: Traffic) -> Manifest:
    """The four files. The weights stand beside them, so that a lost status can be rebuilt from what is true."""
    metadata = names.metadata(owner, names.router(owner.name), "router")
    annotations = names.decided(traffic.weights, version(traffic))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**metadata, "annotations": annotations},
        "data": dict(_files(traffic)),
    }


@lru_cache(maxsize=256)
def _files(traffic: Traffic) -> Mapping[str, str]:
    """Writing them as YAML takes longer than all the rest of a pass, and while a rollout is polled they stay the same.

    Bounded to a few megabytes: what rests is looked at so seldom that it need not be kept.
    """
    return envoy_config.files(traffic)
