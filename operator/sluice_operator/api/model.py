"""`spec.model`: which model package is served, how its store is asked, and who must have signed it."""

from typing import Annotated

from pydantic import ConfigDict, Field

from sluice.uri import URI_PATTERN
from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.scalars import Digest, Duration, ObjectName, SecretRef, Size

LEAST_POLL = "10s"

# What `sluice.uri.parse_uri` refuses, told at `kubectl apply` already.
URI_RULES = rules(
    (
        "!self.matches('^https?:') || self.matches('^https?://[^/?#@]+/[^?#]')",
        "an http(s) URI needs a host and the path of an archive, and no credentials: name a Secret in "
        "model.credentials",
    ),
    (
        "!self.matches('^(s3|gs|az):') || self.matches('^(s3|gs|az)://[A-Za-z0-9$][A-Za-z0-9._-]+/[^/?#]')",
        "write s3://BUCKET/KEY (or gs://, az://) of an archive, or s3://BUCKET/PREFIX of a folder; a server of your "
        "own belongs into model.endpoint",
    ),
    (
        "!self.startsWith('oci:') || self.matches('^oci://[A-Za-z0-9.:_\\\\[\\\\]-]+/[a-z0-9][a-z0-9._/-]*"
        "(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$')",
        "write oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:DIGEST",
    ),
    (
        "!self.startsWith('hf:') || self.matches('^hf://(models/)?[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(@[^@/]+)?(/[^@]+)?$')",
        "write hf://ORGANIZATION/NAME, with @REVISION and /SUBFOLDER where they are wanted",
    ),
    (
        "!self.startsWith('models:') || self.matches('^models:/[^/@:]+(@[A-Za-z0-9_.-]+|/[0-9]+)$')",
        "write models:/NAME@ALIAS or models:/NAME/VERSION, with one slash and a number as the version",
    ),
    (
        "!self.startsWith('pvc:') || self.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/+[^/]')",
        "write pvc://CLAIM/PATH, with the name of a PersistentVolumeClaim in this namespace",
    ),
    (
        "!self.startsWith('file:') || self.matches('^file:///+[^/]')",
        "a file URI has three slashes and names a folder or archive: file:///absolute/path",
    ),
    ("!self.matches('^(pvc|file|s3|gs|az|hf):.*/[.][.](/|$)')", "the path must not hold '..'"),
)

_CAN_MOVE = (
    "self.uri.matches('^models:.*@') || (self.uri.startsWith('oci:') && !self.uri.contains('@sha256:')) || "
    "(self.uri.startsWith('hf:') && !self.uri.matches('@[0-9a-f]{40}(/|$)'))"
)
_MODEL_RULES = rules(
    (
        f"!has(self.poll) || ({_CAN_MOVE})",
        "poll looks whether a reference has moved, so uri must be one that can: models:/NAME@ALIAS, "
        "oci://REGISTRY/REPOSITORY:TAG or hf://ORGANIZATION/NAME@BRANCH",
    ),
    (
        "!has(self.poll) || !has(self.digest)",
        "digest holds one package and poll follows a reference to the next: set one of them",
    ),
    (
        f"!has(self.poll) || duration(self.poll) >= duration('{LEAST_POLL}')",
        f"poll is at least {LEAST_POLL}",
    ),
    (
        "!self.uri.startsWith('models:') || has(self.endpoint)",
        "models:/ needs endpoint, the address of the MLflow server: http://mlflow.ml.svc:5000",
    ),
    (
        "!has(self.endpoint) || self.uri.matches('^(s3|gs|az|oci|hf|models):')",
        "endpoint is for s3://, gs://, az://, oci://, hf:// and models:/; any other uri says itself where it leads",
    ),
)


class Credentials(ApiModel):
    """How the model store is asked."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.secretRef) || has(self.serviceAccountName)",
                "name a Secret in secretRef, a ServiceAccount with an identity at the store in serviceAccountName, or "
                "leave credentials out",
            )
        )
    )

    secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with what the store asks for: `username` and `password`, or `token`; for s3 `accessKeyId` "
        "and `secretAccessKey`; for gs `serviceAccount.json`; for az `accountName` with `accountKey` or `sasToken`; "
        "for oci also `.dockerconfigjson`; and `ca.crt` where a private CA has signed the store's certificate. Only "
        "the step that downloads the package sees it, never the process that serves the model.",
    )
    service_account_name: ObjectName | None = Field(
        default=None,
        description="ServiceAccount of this namespace that model pods and the look-up run as, for the workload "
        "identity of a cloud (IRSA, EKS Pod Identity, GKE and Azure Workload Identity). Whoever may write this field "
        "can use that identity. Sluice mounts no token of it; what the cloud's own webhook injects is the cloud's.",
    )


class KeyRef(ApiModel):
    """A key of a Secret in the ModelDeployment's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        default="pub.pem", description="The key in it that holds the public key, as PEM."
    )


class PublicKey(ApiModel):
    """Whose private key must have signed the package."""

    secret_ref: KeyRef = Field(description="Where the public key is, as PEM (P-256, P-384 or P-521).")


class TrustRef(KeyRef):
    """A key of a Secret in the ModelDeployment's namespace."""

    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        default="trust.json", description="The key in it that holds the configuration."
    )


class Trust(ApiModel):
    """A sigstore of one's own."""

    secret_ref: TrustRef = Field(description="Where sigstore's client trust configuration is, as JSON.")


class Keyless(ApiModel):
    """Whom sigstore must have given the certificate that signed the package."""

    issuer: Annotated[str, Field(pattern=r"^https://\S+$", max_length=1024)] = Field(
        description="The OpenID Connect provider that vouched for the identity: "
        "https://token.actions.githubusercontent.com."
    )
    identity: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="The identity: an e-mail address, or the URI of a workflow."
    )
    trust: Trust | None = Field(
        default=None,
        description="Of a sigstore of one's own, or for a cluster that reaches none. Without it the public instance is "
        "asked for its keys.",
    )


class Signature(ApiModel):
    """Who must have signed the package (OpenSSF Model Signing, `model.sig` in the package)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.publicKey) != has(self.keyless)", "a signature has exactly one of publicKey and keyless")
        )
    )

    public_key: PublicKey | None = Field(default=None, description="By a public key.")
    keyless: Keyless | None = Field(default=None, description="By an identity, without a key to keep.")


class Model(ApiModel):
    """Which model package to serve."""

    model_config = ConfigDict(json_schema_extra=_MODEL_RULES)

    uri: Annotated[str, Field(pattern=URI_PATTERN, max_length=2048, json_schema_extra=URI_RULES)] = Field(
        description="Where the model package is: https:// or http:// (an archive), s3://bucket/key, gs://bucket/key, "
        "az://container/key (an archive, or the prefix of a folder), oci://registry/repository:tag, "
        "hf://organization/name@revision, models:/name@alias or models:/name/version (MLflow), pvc://claim/path or "
        "file:///path (a folder or an archive). It is resolved once, before any traffic: to a digest and, where it is "
        "a tag, branch or alias, to the immutable URI behind it, both told in status. Changed bytes under the same URI "
        "are refused, so give a new version a new URI, or move the reference and let `poll` follow it."
    )
    digest: Digest | None = Field(
        default=None,
        description="The package's digest, sha256:<64 hex digits>, as `sluice inspect` prints it. Without it the URI "
        "is resolved once and the digest found is pinned in status. A package with another digest never gets "
        "traffic.",
    )
    poll: Duration | None = Field(
        default=None,
        description="How often to look whether the tag, branch or alias in `uri` has moved, 10s at least. Where it "
        "has, the version it stands for now takes over as `rollout` says: canary, analysis, promotion or the way back. "
        "A version that was taken back stays so until the reference moves again (or a retry is asked for). The "
        "condition Promoted then speaks of the version that the reference stood for when it was looked at last: it "
        "turns False with the look that sees a move, never before. A look that fails changes nothing and is told by "
        "the condition ReferenceFollowed. Without this field the reference is resolved once and stays what it was. "
        "Changing this field restarts nothing.",
    )
    endpoint: Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$", max_length=2048)] | None = Field(
        default=None,
        description="Address of the store where the URI does not say it: of an S3-compatible server, of the MLflow "
        "server that models:/ is asked of, of a mirror of Hugging Face; http://REGISTRY for a registry without TLS.",
    )
    max_size: Size = Field(
        default="10Gi",
        description="A package that is larger, packed or unpacked, is refused. While it is fetched a pod needs "
        "ephemeral storage for the archive and what it unpacks to, twice this at most; from an OCI registry three "
        "times.",
    )
    credentials: Credentials | None = Field(default=None, description="How to authenticate to the store.")
    signature: Signature | None = Field(
        default=None,
        description="Who must have signed the package. It is verified before the model is loaded; a package without "
        "this signature never gets traffic.",
    )
