"""`spec.router`: what splits requests between revisions."""

import json
from typing import Annotated

from pydantic import ConfigDict, Field

from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.gateway import Gateway, RouterBackend
from sluice_operator.api.matching import Sticky
from sluice_operator.api.runtime import Resources

ROUTER_REPLICAS = 2
ROUTER_RESOURCES = Resources(requests={"cpu": "100m", "memory": "96Mi"}, limits={"memory": "256Mi"})


def _equals(field: str, wanted: dict[str, str]) -> str:
    return f"has({field}) && {field} == {json.dumps(wanted).replace(chr(34), chr(39))}"


# A rule sees defaults filled in, never whether somebody wrote them.
_AS_BY_DEFAULT = " && ".join(
    (
        f"self.replicas == {ROUTER_REPLICAS}",
        _equals("self.resources.requests", ROUTER_RESOURCES.requests),
        _equals("self.resources.limits", ROUTER_RESOURCES.limits),
    )
)


class Router(ApiModel):
    """What splits requests between revisions."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                # A default is checked alone, before those inside of it are filled in.
                "!has(self.backend) || self.backend != 'GatewayAPI' || has(self.gateway)",
                "the backend GatewayAPI needs gateway.parentRefs: the Gateway that leads to the model",
            ),
            (
                "!has(self.gateway) || (has(self.backend) && self.backend == 'GatewayAPI')",
                "gateway belongs to the backend GatewayAPI: set it, or leave gateway out",
            ),
            (
                "!has(self.gateway) || !has(self.sticky)",
                "sticky needs the backend Envoy: the standard channel of Gateway API knows no users",
            ),
            (
                f"!has(self.gateway) || ({_AS_BY_DEFAULT})",
                "replicas and resources are those of the backend Envoy: a gateway has pods of its own",
            ),
        )
    )

    backend: RouterBackend = Field(
        default=RouterBackend.envoy,
        description="Envoy: routers of this model's own, which need nothing else in the cluster and tell the operator "
        "what they apply. GatewayAPI: an HTTPRoute (and GRPCRoute) at a gateway that is there already; docs/gateway.md "
        "says what that gives up. Changes only while no rollout is under way.",
    )
    gateway: Gateway | None = Field(default=None, description="With the backend GatewayAPI: the gateway.")
    replicas: Annotated[int, Field(ge=1, le=100)] = Field(
        default=ROUTER_REPLICAS, description="Router pods of the backend Envoy."
    )
    resources: Resources = Field(
        default=ROUTER_RESOURCES,
        description="Resources of a router pod of the backend Envoy.",
    )
    sticky: Sticky | None = Field(
        default=None,
        description="A user stays on one version: weights are shares of the users. While weights rise a user moves at "
        "most once, to the new version; where that is taken back its users return at once. none: weights are shares "
        "of the requests, each drawn for itself.",
    )
