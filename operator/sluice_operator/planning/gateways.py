"""What the backend means for a pass: whether the cluster has what it needs, and the change from one to another."""

from sluice_operator.api.gateway import RouterBackend
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.status import Failure
from sluice_operator.planning.observed import Observed
from sluice_operator.planning.situation import Situation
from sluice_operator.routing.gateway_api import GRPC_ROUTE, HTTP_ROUTE


def refusal(resource: ModelDeployment, observed: Observed) -> Failure | None:
    """Why the backend cannot be had: the cluster has no such kind of route."""
    router = resource.spec.router
    if router.backend is not RouterBackend.gateway_api:
        return None
    needed = [HTTP_ROUTE, *([GRPC_ROUTE] if router.gateway and router.gateway.grpc_hostnames else [])]
    missing = [kind for kind in needed if kind in observed.absent]
    if not missing:
        return None
    kinds = " and no ".join(missing)
    return Failure(
        reason="GatewayAPIMissing",
        message=f"the cluster has no {kinds} (gateway.networking.k8s.io/v1): install Gateway API and a gateway, or set "
        "spec.router.backend to Envoy",
    )


def changing(s: Situation) -> bool:
    """Whether another backend's objects still route, because the wanted one is not seen to: they are not taken away."""
    return s.observed.router.former and not s.verified
