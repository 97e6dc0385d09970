"""`spec.model`: which model package is served, and how its store is asked."""

from typing import Annotated

from pydantic import Field

from sluice.uri import URI_PATTERN
from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.scalars import Digest, SecretRef

# What `sluice.uri.parse_uri` refuses, told at `kubectl apply` already.
URI_RULES = rules(
    (
        "!self.matches('^https?:') || self.matches('^https?://[^/?#@]+/[^?#]')",
        "an http(s) URI needs a host and the path of an archive, and no credentials: name a Secret in "
        "model.credentials",
    ),
    (
        "!self.startsWith('pvc:') || self.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/+[^/]')",
        "write pvc://CLAIM/PATH, with the name of a PersistentVolumeClaim in this namespace",
    ),
    (
        "!self.startsWith('file:') || self.matches('^file:///+[^/]')",
        "a file URI has three slashes and names a folder or archive: file:///absolute/path",
    ),
    ("!self.matches('^(pvc|file):.*/[.][.](/|$)')", "the path must not hold '..'"),
)


class Credentials(ApiModel):
    """How the model store is asked."""

    secret_ref: SecretRef = Field(
        description="Secret with the keys `username` and `password`, or `token`. Only the step that downloads the "
        "package sees it, never the process that serves the model."
    )


class Model(ApiModel):
    """Which model package to serve."""

    uri: Annotated[str, Field(pattern=URI_PATTERN, max_length=2048, json_schema_extra=URI_RULES)] = Field(
        description="Where the model package is: https://, http:// (an archive), pvc://claim/path or file:///path "
        "(a folder or an archive). It is resolved to a digest once, before any traffic; changed bytes under the same "
        "URI are refused, so give a new version a new URI."
    )
    digest: Digest | None = Field(
        default=None,
        description="The package's digest, sha256:<64 hex digits>, as `sluice inspect` prints it. Without it the URI "
        "is resolved once and the digest found is pinned in status. A package with another digest never gets "
        "traffic.",
    )
    credentials: Credentials | None = Field(default=None, description="How to authenticate to the store.")
