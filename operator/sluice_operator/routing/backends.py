"""Which module routes for a resource."""

from collections.abc import Mapping

from sluice_operator.api.gateway import RouterBackend
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.routing import envoy, gateway_api
from sluice_operator.routing.base import Backend

_BACKENDS: Mapping[RouterBackend, Backend] = {
    RouterBackend.envoy: envoy,
    RouterBackend.gateway_api: gateway_api,
}


def backend_of(owner: ModelDeployment) -> Backend:
    """The backend that the spec asks for."""
    return _BACKENDS[owner.spec.router.backend]
