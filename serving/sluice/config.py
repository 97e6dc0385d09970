"""The runtime's settings: the contract the operator renders and the model pod reads.

All of it travels in one environment variable as JSON without defaults, so that a field added later with a default
leaves every pod template that exists byte for byte as it was, and an operator upgrade restarts no model pod.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from sluice.contract import FeatureReferences
from sluice.digest import DIGEST_PATTERN
from sluice.uri import parse_uri

CONFIG_ENV = "SLUICE_CONFIG"

PACKAGE_MOUNT = "/models"
"""Writable volume of a model pod. The package folder lies inside it, so that a finished download can be renamed
into place."""


SIGNATURE_MOUNT = "/var/run/secrets/sluice/signature"
"""Where the step that fetches finds the public key or the trust configuration that signatures are checked with."""

FEATURES_MOUNT = "/var/run/secrets/sluice/features"
"""Where the runtime finds what the feature store wants to see."""

ENVIRONMENT_FILE = "/opt/sluice/environment"
"""Where an image says which environment it has: the digest of the lock that its libraries come from."""

DEFAULT_PACKAGE_BYTES = 10 * 1024**3
"""Unpacked; more is refused unless the settings say otherwise."""

PROVIDER_PATTERN = "^[A-Za-z0-9_]+ExecutionProvider$"
"""How ONNX Runtime names its execution providers."""


def _known_uri(text: str) -> str:
    parse_uri(text)
    return text


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )


class Batching(_Settings):
    """How requests may share a run. `maxSize` counts rows; 1 switches batching off.

    On the CPU requests that share a run hold 4 MiB of inputs at most, whatever `maxSize` says.
    """

    max_size: int = Field(default=64, ge=1)
    max_delay_seconds: float = Field(default=0.0, ge=0, le=10)


class Limits(_Settings):
    """What one pod accepts before it refuses: bytes, requests waiting, connections, seconds.

    `maxWaitSeconds`: a request that would wait longer for its run is refused at once. `maxBufferedBytes`: of all
    requests and answers together. `headSeconds`: until the head of a request has arrived; its body has the deadline.
    """

    max_body_bytes: int = Field(default=32 * 1024**2, ge=1)
    max_buffered_bytes: int = Field(default=128 * 1024**2, ge=1)
    max_connections: int = Field(default=1024, ge=1)
    max_queue: int = Field(default=1024, ge=1)
    max_wait_seconds: float = Field(default=10.0, gt=0)
    deadline_seconds: float = Field(default=30.0, gt=0)
    head_seconds: float = Field(default=10.0, gt=0)
    max_package_bytes: int = Field(default=DEFAULT_PACKAGE_BYTES, ge=1)


class Provider(_Settings):
    """An execution provider of ONNX Runtime that must load, and its options as ONNX Runtime documents them."""

    name: str = Field(pattern=PROVIDER_PATTERN)
    options: dict[str, str] = Field(default_factory=dict)


class Fetching(_Settings):
    """How patiently a package is downloaded. Timeouts bound silence, not the whole download.

    `attempts` in a row may fail before anything came, `resumes` in a row once something has: a store that restarts
    is worth more patience than an address where nobody is.
    """

    attempts: int = Field(default=5, ge=1)
    resumes: int = Field(default=15, ge=1)
    backoff_seconds: float = Field(default=0.5, ge=0)
    timeout_seconds: float = Field(default=15.0, gt=0)


class Store(_Settings):
    """Where a store is, whose URI does not say so. `endpoint`: of an S3-compatible server, of another Azure or Google
    Cloud, of an MLflow server, of a mirror of Hugging Face; None: what the environment or the provider says.
    """

    endpoint: str | None = None


class Signature(_Settings):
    """Who must have signed the package: whoever holds the private key of `publicKeyFile` (PEM), or, without a key, the
    `identity` that `issuer` (an OpenID Connect provider) vouched for when sigstore gave it a certificate.

    `trustFile`: sigstore's client trust configuration as a file, for a sigstore of one's own and for clusters that
    reach none; None: that of the public instance, which is asked for.
    """

    public_key_file: str | None = None
    identity: str | None = None
    issuer: str | None = None
    trust_file: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if given - {"trust_file"} != {"identity", "issuer"} and given != {"public_key_file"}:
            raise ValueError("give publicKeyFile alone, or identity and issuer")
        return self


class FeatureLookup(_Settings):
    """The feature store, a server of Feast's, and how it is asked.

    `references`: in place of the package's own. `onMissing`: where the store has no value, or one that is too old;
    `onOutage`: where it does not answer within `timeoutSeconds`. Fail refuses the request, Default uses the default of
    each feature that has one and says so in the answer. `cacheSeconds`: how long an answer is used again; 0: never.
    """

    url: str = Field(pattern="^https?://")
    references: FeatureReferences | None = None
    timeout_seconds: float = Field(default=0.1, gt=0, le=10)
    cache_seconds: float = Field(default=0.0, ge=0)
    cache_entries: int = Field(default=10_000, ge=1)
    on_missing: Literal["Fail", "Default"] = "Fail"
    on_outage: Literal["Fail", "Default"] = "Fail"
    # Where its bearer token and CA (`token`, `ca.crt`) are mounted; None: it wants neither.
    credentials_dir: str | None = None


class RuntimeConfig(_Settings):
    """Everything a model pod needs to know. `name` is the model's name in the Open Inference Protocol."""

    name: str = Field(min_length=1)
    uri: Annotated[str, AfterValidator(_known_uri)]
    revision: str = ""
    digest: str | None = Field(default=None, pattern=DIGEST_PATTERN)
    # Not the volume's own root: a download becomes this folder by one rename, and a mount point cannot be renamed.
    package_dir: str = PACKAGE_MOUNT + "/package/current"
    volume_dir: str = "/mnt/pvc"
    credentials_dir: str = "/var/run/secrets/sluice/model"
    # None: there is no such file, and what is installed tells.
    environment_file: str | None = ENVIRONMENT_FILE
    host: str = "0.0.0.0"
    port: int = Field(default=8080, ge=1, le=65535)
    # None: no gRPC.
    grpc_port: int | None = Field(default=8081, ge=1, le=65535)
    threads: int | None = Field(default=None, ge=1)
    # Preferred first; empty means the CPU. Each one must load: none is silently replaced by the CPU.
    providers: tuple[Provider, ...] = ()
    batching: Batching = Batching()
    limits: Limits = Limits()
    fetching: Fetching = Fetching()
    store: Store = Store()
    # None: requests carry every input themselves.
    features: FeatureLookup | None = None
    # None: packages need not be signed. Its files are mounted into the step that fetches, beside `credentials_dir`.
    signature: Signature | None = None
    # What the URI stood for when it was last resolved: where it still does, nothing is downloaded.
    known_uri: str | None = None
    drain_seconds: float = Field(default=10.0, ge=0)
    access_log: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    termination_log: str = "/dev/termination-log"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read `SLUICE_CONFIG`.

        Raises:
            KeyError: the variable is not set.
            pydantic.ValidationError: its JSON does not fit.
        """
        return cls.model_validate_json(environ[CONFIG_ENV])

    def to_env_value(self) -> str:
        """JSON for `SLUICE_CONFIG`: defaults left out, keys sorted, the same bytes for equal settings."""
        payload = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return json.dumps(payload, sort_keys=True, separators=(",", ":"))
