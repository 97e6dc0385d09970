"""`spec.access`: who may ask. Checked in the router, for every protocol and path alike; pods never see a token."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.scalars import Duration

AUDIENCE = "sluice.dev"
CALLER_CLAIM = "sub"
_PORT = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
URL_PATTERN = rf"^https?://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:{_PORT})?(/[!-~]*)?$"
BYTES_PATTERN = r"^[1-9][0-9]{0,8}(Ki|Mi)?$"
BYTES_MOST = 64 << 20

_Claim = Annotated[str, Field(pattern=r"^[!-~]+$", min_length=1, max_length=253)]
_Text = Annotated[str, Field(min_length=1, max_length=253)]
_Bytes = Annotated[str, Field(pattern=BYTES_PATTERN, max_length=12)]

_SIZE = "int(self.maxRequestBytes.replace('Ki', '').replace('Mi', ''))"
_UNIT = "(self.maxRequestBytes.endsWith('Mi') ? 1048576 : self.maxRequestBytes.endsWith('Ki') ? 1024 : 1)"


class AccessMode(StrEnum):
    """How a caller is known."""

    none = "None"
    kubernetes = "Kubernetes"
    jwt = "JWT"


class OnUnavailable(StrEnum):
    """What becomes of a request that cannot be checked now."""

    deny = "Deny"
    allow = "Allow"


class RequiredClaim(ApiModel):
    """A claim that a token must have."""

    claim: _Claim = Field(
        description="Name of the claim; `a.b` is `b` inside of `a`, where there is no claim called `a.b`."
    )
    values: list[_Text] = Field(
        min_length=1,
        max_length=64,
        description="The claim must be one of them, or a list that has one of them, or (scope, scp) words among which "
        "is one of them.",
    )


class Jwt(ApiModel):
    """Tokens of an identity provider."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.jwksUri) != has(self.jwks)",
                "set exactly one of jwksUri (where the issuer publishes its keys) and jwks (the keys themselves)",
            ),
            (
                "!has(self.jwks) || !self.jwks.contains('\"oct\"')",
                "jwks must hold public keys only: a symmetric key written here would let every reader make tokens",
            ),
            (
                "!has(self.caBundle) || (has(self.jwksUri) && self.jwksUri.startsWith('https://'))",
                "caBundle belongs to a jwksUri with https",
            ),
            (
                "!has(self.cacheDuration) || duration(self.cacheDuration) >= duration('10s')",
                "cacheDuration is at least 10s: the issuer is not asked more often",
            ),
        )
    )

    issuer: Annotated[str, Field(pattern=r"^[!-~]+$", min_length=1, max_length=1024)] = Field(
        description="Who must have issued the token (`iss`), letter for letter."
    )
    jwks_uri: Annotated[str, Field(pattern=URL_PATTERN, max_length=1024)] | None = Field(
        default=None,
        description="Where the issuer publishes its keys (JWKS), e.g. https://login.example/keys. Routers fetch them "
        "ahead of need and go on with those that they have while the issuer cannot be reached; without any, callers "
        "are refused. https is checked against the CAs of the router's image, or `caBundle`.",
    )
    jwks: Annotated[str, Field(min_length=2, max_length=65536)] | None = Field(
        default=None, description="The issuer's public keys, as the JSON text of a JWKS."
    )
    ca_bundle: Annotated[str, Field(min_length=1, max_length=65536)] | None = Field(
        default=None, description="CA certificates (PEM) by which the server of `jwksUri` is known. none: public CAs."
    )
    cache_duration: Duration = Field(
        default="5m",
        description="How long fetched keys are believed: a new key of the issuer's is known, and one that it took back "
        "unknown, 5 s after this time at most.",
    )
    required_claims: Annotated[list[RequiredClaim], Field(max_length=16)] = Field(
        default=[], description="Claims that a token must have, each of them. none: any token of the issuer."
    )
    caller_claim: _Claim = Field(
        default=CALLER_CLAIM,
        description="The claim that names the caller: what pods are told (x-sluice-caller) and rates are counted by.",
    )


class DataRule(ApiModel):
    """Which data a caller may ask about."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                f"!self.maxRequestBytes.matches(r'{BYTES_PATTERN}') || {_SIZE} * {_UNIT} <= {BYTES_MOST}",
                "maxRequestBytes is at most 64Mi: a request is held in the router while it is checked",
            ),
        )
    )

    entities: list[_Text] = Field(
        min_length=1,
        max_length=16,
        description="Inputs of the request whose values the rule may ask about. A request that lacks one is refused.",
    )
    rule: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="A CEL expression that must be true, over `entities` (by name the list of values) and `claims` "
        "(JWT: the token's; Kubernetes: username, uid, groups, extra), e.g. "
        "`entities.store_id.all(s, s in claims.stores)`."
    )
    max_request_bytes: _Bytes = Field(
        default="1Mi",
        description="Largest request that is checked, e.g. 512Ki, 4Mi; a larger one is answered with 413. Requests are "
        "held in the router until they are whole.",
    )


class RateLimit(ApiModel):
    """How often one caller may ask."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("duration(self.per) >= duration('100ms')", "per is at least 100ms"),
            ("!has(self.burst) || self.burst >= self.requests", "burst is at least requests"),
        )
    )

    requests: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="Requests of one caller in each `per`. Each router counts for itself, up to its share of them."
    )
    per: Duration = Field(default="1s", description="The time in which that many are answered.")
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Requests that a caller who was quiet may send at once. none: as many as `requests`."
    )


class Access(ApiModel):
    """Who may ask."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            # A default is checked alone, before those inside of it are filled in.
            (
                "has(self.jwt) == (has(self.mode) && self.mode == 'JWT')",
                "mode JWT needs jwt: issuer and jwksUri (or jwks); other modes have none",
            ),
            (
                "(has(self.mode) && self.mode != 'None') || (!has(self.data) && !has(self.rateLimit))",
                "data and rateLimit need to know the caller: set mode to Kubernetes or JWT",
            ),
            (
                "!has(self.onUnavailable) || self.onUnavailable == 'Deny' || "
                "(self.mode == 'Kubernetes' && !has(self.data))",
                "onUnavailable: Allow is for mode Kubernetes without data: a token whose signature cannot be checked, "
                "or a rule, never lets anybody in",
            ),
        )
    )

    mode: AccessMode = Field(
        default=AccessMode.none,
        description="None: whoever reaches the endpoint may ask. Kubernetes: callers bring a token of the cluster (of "
        "a ServiceAccount, say) and need the right to `create` `modeldeployments/inference` of this name, granted by "
        "RBAC. JWT: callers bring a token of `jwt.issuer`. Tokens come as `Authorization: Bearer ...`, are checked in "
        "the router and go no further: pods get the caller's name as x-sluice-caller. Whatever else callers send "
        "under x-sluice-* is removed. Open to all are only GET /v2/health/live, /v2/health/ready and gRPC's health.",
    )
    audiences: Annotated[list[_Text], Field(min_length=1, max_length=16)] = Field(
        default=[AUDIENCE],
        description="Whom a token must be meant for (`aud`), one of them: a token made for somebody else, such as the "
        "API server, is refused.",
    )
    jwt: Jwt | None = Field(default=None, description="With mode JWT: whose tokens, and what they must say.")
    data: DataRule | None = Field(
        default=None,
        description="Which data a caller may ask about: a rule over the caller and the request. none: about all.",
    )
    rate_limit: RateLimit | None = Field(
        default=None, description="How often each caller may ask; beyond it 429 (gRPC: RESOURCE_EXHAUSTED). none: any."
    )
    on_unavailable: OnUnavailable = Field(
        default=OnUnavailable.deny,
        description="While callers cannot be checked (the authorizer or the API server is away): Deny answers 503, "
        "Allow lets in whoever brings a token that is not known to be wrong.",
    )


def byte_count(text: str) -> int:
    """Bytes of a size such as ``512Ki``; the CRD's pattern has been checked."""
    for unit, factor in (("Ki", 1 << 10), ("Mi", 1 << 20)):
        if text.endswith(unit):
            return int(text.removesuffix(unit)) * factor
    return int(text)
