"""A gateway of the cluster in the router's place: where the routes are attached, and by which names callers come."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.scalars import DNS_LABEL_PATTERN, DNS_SUBDOMAIN_PATTERN, Duration, ObjectName

HOSTNAME_PATTERN = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

Hostname = Annotated[str, Field(pattern=HOSTNAME_PATTERN, min_length=1, max_length=253)]


class RouterBackend(StrEnum):
    """What splits the requests."""

    envoy = "Envoy"
    gateway_api = "GatewayAPI"


class ParentRef(ApiModel):
    """A Gateway (gateway.networking.k8s.io), or one listener of it."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: Annotated[str, Field(pattern=DNS_LABEL_PATTERN, min_length=1, max_length=63)] | None = Field(
        default=None, description="Its namespace, where it is not the ModelDeployment's own."
    )
    section_name: Annotated[str, Field(pattern=DNS_SUBDOMAIN_PATTERN, min_length=1, max_length=253)] | None = Field(
        default=None, description="One listener of it; none: all that take the route."
    )


class Gateway(ApiModel):
    """Where the routes are attached."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.grpcHostnames) || self.grpcHostnames.size() == 0 || (has(self.hostnames) && "
                "self.hostnames.size() > 0)",
                "grpcHostnames needs hostnames: a route without them takes every name of the listener",
            ),
            (
                "!has(self.grpcHostnames) || !has(self.hostnames) || self.grpcHostnames.all(h, !(h in self.hostnames))",
                "Gateway API takes no name for REST and gRPC at once: give gRPC hostnames of its own",
            ),
        )
    )

    parent_refs: Annotated[
        list[ParentRef],
        Field(
            min_length=1,
            max_length=8,
            json_schema_extra=rules(
                (
                    "self.all(p, self.exists_one(q, q.name == p.name && "
                    "(has(q.__namespace__) ? q.__namespace__ : '') == (has(p.__namespace__) ? p.__namespace__ : '') && "
                    "(has(q.sectionName) ? q.sectionName : '') == (has(p.sectionName) ? p.sectionName : '')))",
                    "parentRefs must differ",
                )
            ),
        ),
    ] = Field(description="Gateways, or listeners of them, that lead to the model. They must let the namespace in.")
    hostnames: Annotated[list[Hostname], Field(max_length=16)] = Field(
        default_factory=list,
        description="Names by which REST is called, such as store-revenue.example.com. Empty: every name that the "
        "listeners have.",
    )
    grpc_hostnames: Annotated[list[Hostname], Field(max_length=16)] = Field(
        default_factory=list,
        description="Names by which gRPC is called, others than those of REST: Gateway API lets an HTTPRoute and a "
        "GRPCRoute share no name on one listener. Empty: no gRPC through the gateway.",
    )
    revision_header: bool = Field(
        default=False,
        description="true: answers say which revision gave them, in x-sluice-revision, by filters on backendRefs. Some "
        "gateways refuse those, and some answer a few requests with an error whenever a weight comes or goes.",
    )
    settle: Duration = Field(
        default="2s",
        description="How long after its controller has accepted a route the gateway's proxies are taken to apply it, "
        "and to know new pods: a gateway tells nobody when they do.",
    )
