"""`spec.endpoint`: how applications reach the model."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.scalars import SecretRef


class EndpointTLS(ApiModel):
    """The certificate of the endpoint."""

    secret_ref: SecretRef = Field(
        description="Secret of type kubernetes.io/tls (keys `tls.crt`, the whole chain, and `tls.key`). The routers "
        "take a new one without a restart, once the kubelet has brought it to them (about a minute), and do not take "
        "one that is broken. Only the routers see it."
    )


class PlainHTTP(StrEnum):
    """Whether the endpoint answers without TLS."""

    enabled = "Enabled"
    disabled = "Disabled"


class Endpoint(ApiModel):
    """How applications reach the model."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.http) || self.http != 'Disabled' || has(self.tls)",
                "http: Disabled needs tls: nobody could ask",
            ),
        )
    )

    tls: EndpointTLS | None = Field(
        default=None,
        description="HTTPS on port 443, for REST (HTTP/1.1, HTTP/2) and gRPC (HTTP/2). none: no TLS.",
    )
    http: PlainHTTP = Field(
        default=PlainHTTP.enabled,
        description="Enabled: port 80 answers without TLS, beside port 443 where `tls` is set. Disabled: only port 443 "
        "is there.",
    )
