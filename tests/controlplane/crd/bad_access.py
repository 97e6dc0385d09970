"""What is refused of access: whose tokens count, what a rule may ask, and who waits."""

from controlplane.crd.refused import KEYS_AT, Refused, access, by_token

TABLE = (
    Refused("an unknown way to know callers", ("spec.access.mode", '"Kubernetes", "JWT"'), spec=access(mode="Basic")),
    Refused("tokens of nobody", ("spec.access", "mode JWT needs jwt"), spec=access(mode="JWT")),
    Refused(
        "an issuer that nobody asks for",
        ("spec.access", "other modes have none"),
        spec=access(mode="Kubernetes", jwt={"issuer": "x", **KEYS_AT}),
    ),
    Refused("an issuer without keys", ("access.jwt", "exactly one of jwksUri"), spec=by_token()),
    Refused("keys from two places", ("access.jwt", "exactly one of jwksUri"), spec=by_token(jwks="{}", **KEYS_AT)),
    Refused(
        "a key that everybody reads and nobody may know",
        ("access.jwt", "public keys only"),
        spec=by_token(jwks='{"keys": [{"kty": "oct", "k": "x"}]}'),
    ),
    Refused("keys that are no URL", ("access.jwt.jwksUri", "https?://"), spec=by_token(jwksUri="file:///etc/passwd")),
    Refused("a port that is none", ("access.jwt.jwksUri",), spec=by_token(jwksUri="https://login.example:65536/keys")),
    Refused(
        "keys that are asked for all the time",
        ("access.jwt", "at least 10s"),
        spec=by_token(cacheDuration="1s", **KEYS_AT),
    ),
    Refused("CAs of no server", ("access.jwt", "caBundle belongs to"), spec=by_token(jwks="{}", caBundle="x")),
    Refused("no audience", ("access.audiences", "at least 1"), spec=access(mode="Kubernetes", audiences=[])),
    Refused(
        "a rule without callers",
        ("spec.access", "set mode to Kubernetes or JWT"),
        spec=access(data={"entities": ["x"], "rule": "true"}),
    ),
    Refused(
        "a rate without callers",
        ("spec.access", "set mode to Kubernetes or JWT"),
        spec=access(rateLimit={"requests": 1}),
    ),
    Refused(
        "a burst below the rate",
        ("access.rateLimit", "burst is at least requests"),
        spec=access(mode="Kubernetes", rateLimit={"requests": 10, "burst": 5}),
    ),
    Refused(
        "the unchecked let in past a rule",
        ("spec.access", "never lets anybody in"),
        spec=access(mode="Kubernetes", onUnavailable="Allow", data={"entities": ["x"], "rule": "true"}),
    ),
    Refused(
        "the unchecked let in by anybody's token",
        ("spec.access", "never lets anybody in"),
        spec=access(mode="JWT", jwt={"issuer": "x", **KEYS_AT}, onUnavailable="Allow"),
    ),
    Refused(
        "a request too large to be held",
        ("access.data", "at most 64Mi"),
        spec=access(mode="Kubernetes", data={"entities": ["x"], "rule": "true", "maxRequestBytes": "65Mi"}),
    ),
    Refused(
        "callers known at a gateway",
        ("spec", "a gateway has authentication of its own"),
        spec={
            **access(mode="Kubernetes"),
            "router": {"backend": "GatewayAPI", "gateway": {"parentRefs": [{"name": "public"}]}},
        },
    ),
)
